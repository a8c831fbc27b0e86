/* SPDX-License-Identifier: Apache-2.0 */
/* Splits and joins host and port. Whether the host exists, or is a number, is for the callers that resolve or bind it.
 */
#include "addr.h"

#include <stdio.h>
#include <string.h>

static bool parse_port(const char *p, uint16_t *out)
{
    unsigned v = 0;
    size_t n = strlen(p);
    if (n == 0 || n > 5)
        return false;
    for (; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return false;
        v = v * 10 + (unsigned)(*p - '0');
    }
    *out = (uint16_t)v;
    return v <= UINT16_MAX;
}

static bool split(const char *text, struct tz_addr *out)
{
    bool bracket = text[0] == '[';
    const char *host = bracket ? text + 1 : text;
    const char *end = bracket ? strchr(host, ']') : strrchr(host, ':');
    if (end == NULL || end == host || (size_t)(end - host) >= sizeof out->host)
        return false;
    const char *colon = bracket ? end + 1 : end;
    memcpy(out->host, host, (size_t)(end - host));
    /* A bare IPv6 address would lose its last group to the port, so it must wear brackets. */
    return *colon == ':' && (bracket || strchr(out->host, ':') == NULL) && strpbrk(out->host, " \t[]/") == NULL &&
           parse_port(colon + 1, &out->port);
}

int tz_addr_parse(const char *text, struct tz_addr *out, struct tz_err *err)
{
    *out = (struct tz_addr){.port = 0};
    return split(text, out) ? 0 : tz_err_set(err, TZ_E_ADDRESS, text, NULL, NULL, NULL);
}

const char *tz_addr_print(const struct tz_addr *a, char *out, size_t out_bytes)
{
    bool v6 = strchr(a->host, ':') != NULL;
    (void)snprintf(out, out_bytes, v6 ? "[%s]:%u" : "%s:%u", a->host, (unsigned)a->port);
    return out;
}
