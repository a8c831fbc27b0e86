/* SPDX-License-Identifier: Apache-2.0 */
/* Three situations, one table each; see uverr.h. */
#include "uverr.h"

#include <uv.h>

int tz_err_from_uv(struct tz_err *err, int uv_code)
{
    if (uv_code == UV_ENOMEM)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (uv_code == UV_EOF || uv_code == UV_ECONNRESET || uv_code == UV_EPIPE || uv_code == UV_ETIMEDOUT ||
        uv_code == UV_ECONNABORTED || uv_code == UV_ENETUNREACH || uv_code == UV_EHOSTUNREACH ||
        uv_code == UV_ENETDOWN || uv_code == UV_ENOTCONN || uv_code == UV_ECANCELED) {
        (void)tz_err_set(err, TZ_E_GONE, NULL, NULL, NULL, NULL);
        (void)tz_err_prefix(err, "%s", uv_strerror(uv_code));
        return TZ_E_GONE;
    }
    return tz_err_set(err, TZ_E_INTERNAL, uv_strerror(uv_code), NULL, NULL, NULL);
}

int tz_err_from_uv_connect(struct tz_err *err, int uv_code, const char *peer)
{
    if (uv_code == UV_ENOMEM)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    (void)tz_err_set(err, TZ_E_UNREACHABLE, peer, NULL, NULL, NULL);
    (void)tz_err_prefix(err, "%s", uv_strerror(uv_code));
    return TZ_E_UNREACHABLE;
}

int tz_err_from_uv_bind(struct tz_err *err, int uv_code, const char *address)
{
    if (uv_code == UV_ENOMEM)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    (void)tz_err_set(err, TZ_E_ADDRESS, address, NULL, NULL, NULL);
    (void)tz_err_prefix(err, "%s", uv_strerror(uv_code));
    return TZ_E_ADDRESS;
}
