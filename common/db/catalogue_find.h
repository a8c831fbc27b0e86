/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CATALOGUE_FIND_H
#define TZ_CATALOGUE_FIND_H

#include "err.h"

#include <limits.h>

/**
 * The folder with the catalogue's files: @flag when given (not looked at, so that a mistake in it is reported by the
 * loading), else $TAIZHANG_CATALOGUE likewise, else the installed one, else the source tree's. TZ_E_CATALOGUE when
 * there is none; @out is then the installed place. Blocking, for start-up only.
 */
TZ_MUST_USE int tz_catalogue_find(const char *flag, char out[PATH_MAX]);

#endif
