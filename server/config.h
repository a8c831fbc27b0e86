/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CONFIG_H
#define TZ_CONFIG_H

/*
 * The server's settings: one table with name, unit, default and help. A flag beats the environment, that beats
 * taizhangd.ini, that beats the default; where a value came from is kept.
 */

#include "err.h"

enum { TZ_CONFIG_VALUE_BYTES = 512 };

enum tz_config_key {
    TZ_CONFIG_LISTEN,
    TZ_CONFIG_PUBLIC_ADDRESS,
    TZ_CONFIG_CONNECTIONS_MAX,
    TZ_CONFIG_UNAUTHENTICATED_MAX,
    TZ_CONFIG_READERS,
    TZ_CONFIG_RECOVERY_DAYS,
    TZ_CONFIG_LEASE_DAYS,
    TZ_CONFIG_PURGE_DAYS,
    TZ_CONFIG_COMPACT_DAYS,
    TZ_CONFIG_LOG_LEVEL,
    TZ_CONFIG_CATALOGUE,
    TZ_CONFIG_COUNT
};
enum tz_config_origin { TZ_FROM_DEFAULT, TZ_FROM_FILE, TZ_FROM_ENVIRONMENT, TZ_FROM_FLAG };

struct tz_config_item {
    const char *name; /**< in the file's [server] section; the flag is the same with hyphens */
    const char *env;
    const char *unit; /**< "" for texts */
    const char *dflt;
    long min, max;              /**< numbers; both 0 for texts */
    const char *const *choices; /**< NULL-terminated, or NULL */
    const char *help[2];        /**< by enum tz_lang */
};

struct tz_config {
    char value[TZ_CONFIG_COUNT][TZ_CONFIG_VALUE_BYTES];
    enum tz_config_origin origin[TZ_CONFIG_COUNT];
};

const struct tz_config_item *tz_config_item(enum tz_config_key k);
const char *tz_config_origin_name(enum tz_config_origin o);

/** Everything at its default. */
void tz_config_init(struct tz_config *c);
/** One value; TZ_E_VALUE (name, value, what is allowed) leaves the old one. Empty is allowed for texts only. */
TZ_MUST_USE int tz_config_set(struct tz_config *c, enum tz_config_key k, const char *value, enum tz_config_origin from,
                              struct tz_err *err);
/** Take over the [server] section of @text. TZ_E_VALUE names an unknown or wrong setting or a line that is none. */
TZ_MUST_USE int tz_config_parse(struct tz_config *c, const char *text, struct tz_err *err);
/** Same from a file; a missing one is fine. TZ_E_IO, TZ_E_LIMIT over 64 KiB. */
TZ_MUST_USE int tz_config_file(struct tz_config *c, const char *path, struct tz_err *err);
/** Values of the environment; @get is getenv or a test's. */
TZ_MUST_USE int tz_config_environment(struct tz_config *c, char *(*get)(const char *name), struct tz_err *err);

const char *tz_config_text(const struct tz_config *c, enum tz_config_key k);
unsigned tz_config_number(const struct tz_config *c, enum tz_config_key k);
/** Position among the choices. */
unsigned tz_config_choice(const struct tz_config *c, enum tz_config_key k);

#endif
