/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands share: the data folder, the catalogue and the office are opened on first use, once, and main closes
 * them.
 */
#include "cli.h"
#include "catalogue_dir.h"
#include "catalogue_find.h"
#include "control.h"
#include "folder.h"
#include "out.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { POKE_MS = 200, USERS_ARENA_BYTES = 256 * 1024 };

int cli_data(struct cli *c, const char **dir, struct tz_err *err)
{
    *dir = c->data;
    if (c->data != NULL && c->data[0] != '\0')
        return 0;
    return tz_err_set(err, TZ_E_USAGE, tr("缺少 --data DIR", "--data DIR is missing"), NULL, NULL, NULL);
}

int cli_path(struct cli *c, const char *name, char *out, size_t out_bytes, struct tz_err *err)
{
    const char *dir;
    int rc = cli_data(c, &dir, err);
    if (rc != 0)
        return rc;
    int n = snprintf(out, out_bytes, "%s/%s", dir, name);
    return n > 0 && (size_t)n < out_bytes ? 0 : tz_err_setf(err, TZ_E_LIMIT, "%.60s…: path", dir);
}

int cli_catalogue(struct cli *c, const struct tz_catalogue **out, struct tz_err *err)
{
    char dir[PATH_MAX];
    *out = &c->catalogue;
    if (c->catalogue_loaded)
        return 0;
    int rc = tz_catalogue_find(c->catalogue_dir, dir);
    if (rc != 0)
        return tz_err_set(err, rc, dir, NULL, NULL, NULL);
    rc = tz_catalogue_load_dir(dir, &c->catalogue, err);
    c->catalogue_loaded = rc == 0;
    return rc;
}

int cli_open_office(struct cli *c, struct tz_office **out, struct tz_err *err)
{
    const char *dir;
    const struct tz_catalogue *catalogue;
    int rc = 0;
    if (c->office == NULL) {
        rc = cli_data(c, &dir, err);
        if (rc == 0)
            rc = cli_catalogue(c, &catalogue, err);
        if (rc == 0)
            rc = tz_folder_office(dir, catalogue, &c->office, err);
        /* No room even for the -shm file: then nobody has one, and a short command can do without. */
        if (rc == TZ_E_DISK_FULL && c->command->run != cmd_agent && c->command->run != cmd_sync)
            rc = tz_folder_office_alone(dir, catalogue, &c->office, err);
    }
    *out = c->office;
    return rc;
}

static bool is_user(const struct tz_session_user *u, const char *name)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(u->id, hex);
    return strcmp(name, hex) == 0 || (u->code != NULL && strcmp(name, u->code) == 0) ||
           (u->name != NULL && strcmp(name, u->name) == 0);
}

int cli_user(struct cli *c, struct tz_id *out, struct tz_err *err)
{
    struct tz_office *o;
    struct tz_arena a;
    struct tz_session_user *users = NULL;
    size_t n = 0;
    bool found = false;
    *out = (struct tz_id){{0}};
    if (c->user == NULL)
        return 0;
    int rc = cli_open_office(c, &o, err);
    if (rc != 0)
        return rc;
    tz_arena_init(&a, USERS_ARENA_BYTES);
    rc = tz_office_users(o, &a, &users, &n, err);
    for (size_t i = 0; rc == 0 && i < n && !found; i++)
        if (users[i].active && is_user(&users[i], c->user)) {
            *out = users[i].id;
            found = true;
        }
    if (rc == 0 && !found)
        rc = tz_err_set(err, TZ_E_USER_DISABLED, c->user, NULL, NULL, NULL);
    tz_arena_deinit(&a);
    return rc;
}

void cli_poke(struct cli *c)
{
    char path[PATH_MAX];
    struct tz_buf reply;
    struct tz_err err = {0};
    tz_buf_init(&reply, 256);
    if (cli_path(c, TZ_FOLDER_SOCKET, path, sizeof path, &err) == 0 &&
        tz_control_ask(path, "poke", &reply, POKE_MS, &err) != 0)
        err.code = 0; /* nobody there: the next sync sends it */
    tz_buf_deinit(&reply);
}

int cli_usage_error(struct cli *c, const char *fmt, ...)
{
    struct tz_err err = {0};
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)tz_err_set(&err, TZ_E_USAGE, text, NULL, NULL, NULL);
    int rc = out_error(&err);
    if (c->command != NULL && !c->json)
        out_note(tr("  用法：taizhang %s %s", "  usage: taizhang %s %s"), c->command->name, c->command->usage);
    return rc;
}
