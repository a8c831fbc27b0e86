/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the catalogue lies. Both programs look in the same order, so that a client and a server on one machine agree.
 * The two compiled-in places are set by CMake.
 */
#include "catalogue_find.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool has_types(const char *dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/types.csv", dir);
    return n > 0 && (size_t)n < sizeof path && access(path, R_OK) == 0;
}

static int take(const char *dir, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s", dir);
    return n > 0 && n < PATH_MAX ? 0 : TZ_E_CATALOGUE;
}

int tz_catalogue_find(const char *flag, char out[PATH_MAX])
{
    static const char *const built_in[] = {TZ_CATALOGUE_INSTALL_DIR, TZ_CATALOGUE_SOURCE_DIR};
    const char *env = getenv("TAIZHANG_CATALOGUE");
    if (flag && flag[0])
        return take(flag, out);
    if (env && env[0])
        return take(env, out);
    for (size_t i = 0; i < sizeof built_in / sizeof built_in[0]; i++)
        if (has_types(built_in[i]))
            return take(built_in[i], out);
    (void)take(built_in[0], out);
    return TZ_E_CATALOGUE;
}
