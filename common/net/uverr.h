/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_UVERR_H
#define TZ_UVERR_H

/* libuv's codes become ours here, once; libuv's own text is kept as the argument or the trail. */

#include "err.h"

/** Code for a connection that was up. */
int tz_err_from_uv(struct tz_err *err, int uv_code);
/** Code for a connection that did not come up; @peer is "host:port". */
int tz_err_from_uv_connect(struct tz_err *err, int uv_code, const char *peer);
/** Code for binding and listening on @address. */
int tz_err_from_uv_bind(struct tz_err *err, int uv_code, const char *address);

#endif
