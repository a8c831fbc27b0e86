/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about the data folder as a whole: init, dump, verify, config, catalogue. dump and verify read beside a
 * running server, through a connection that cannot write.
 */
#include "cli.h"
#include "identity.h"
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- init ---- */

static int write_example(struct tz_cli *c)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_FILE_BYTES_MAX);
    int rc = tz_buf_puts(&b, "[server]\n");
    for (int k = 0; k < TZ_CONFIG_COUNT && !rc; k++) {
        const struct tz_config_item *it = tz_config_item((enum tz_config_key)k);
        rc = tz_buf_printf(&b, "\n; %s\n;%s = %s\n", it->help[c->lang], it->name, it->dflt);
    }
    if (rc)
        (void)tz_err_set(&c->err, rc, "taizhangd.ini", NULL, NULL, NULL);
    else if (!tz_datadir_has(&c->dir, "taizhangd.ini"))
        rc = tz_datadir_write_new(&c->dir, "taizhangd.ini", 0644, tz_buf_unread(&b), &c->err);
    tz_buf_deinit(&b);
    return rc;
}

static void remove_store(const struct tz_cli *c)
{
    static const char *const files[] = {"server.db", "server.db-wal", "server.db-shm"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        (void)unlink(tz_datadir_file(&c->dir, files[i], path));
}

/** Under the lock. The database comes last: a folder with one is a server's. */
static int fill_folder(struct tz_cli *c, const char *name)
{
    char path[PATH_MAX];
    const struct tz_store_options o = {.catalogue = &c->catalogue, .clock = tz_clock_system};
    if (tz_datadir_has(&c->dir, "server.db"))
        return tz_err_set(&c->err, TZ_E_DATA_EXISTS, c->dir.path, NULL, NULL, NULL);
    int rc = tz_identity_create(&c->dir, name, &c->err);
    if (rc)
        return rc;
    rc = write_example(c);
    if (!rc) {
        rc = tz_store_create(tz_datadir_file(&c->dir, "server.db", path), &o, &c->err);
        if (rc)
            remove_store(c);
    }
    if (rc)
        tz_identity_remove(&c->dir);
    return rc;
}

int tz_cmd_init(struct tz_cli *c)
{
    const char *name = c->opt[TZ_OPT_NAME] && c->opt[TZ_OPT_NAME][0] ? c->opt[TZ_OPT_NAME] : "taizhang";
    uint8_t pin[TZ_PKI_PIN_BYTES];
    char hex[2 * TZ_PKI_PIN_BYTES + 1] = "";
    int rc = tz_cli_open(c, true);
    if (!rc)
        rc = tz_cli_catalogue(c);
    if (rc)
        return rc;
    (void)umask(077); /* the database is for this user alone, and so is the folder */
    if (mkdir(c->dir.path, 0700) && errno != EEXIST)
        return tz_err_setf(&c->err, TZ_E_IO, "%s: %s", c->dir.path, strerror(errno));
    rc = tz_cli_lock(c, 0);
    if (!rc)
        rc = fill_folder(c, name);
    if (!rc)
        rc = tz_identity_pin(&c->dir, pin, &c->err);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof pin; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", pin[i]);
    if (c->json)
        return tz_cli_json(c, json_pack("{s:s,s:s,s:s}", "data", c->dir.path, "name", name, "pin", hex));
    tz_cli_say(c, tr(c, "已建立 %s。下一步：taizhangd serve --data %s", "made %s. Next: taizhangd serve --data %s"),
               c->dir.path, c->dir.path);
    return 0;
}

/* ---- dump ---- */

struct dump {
    struct tz_buf line;
    bool secret;
};

static int dump_row(void *ctx, const struct tz_row *row)
{
    struct dump *d = ctx;
    tz_buf_clear(&d->line);
    int rc = tz_row_dump(row, d->secret, &d->line);
    struct tz_bytes b = tz_buf_unread(&d->line);
    if (rc)
        return rc;
    return fwrite(b.p, 1, b.n, stdout) == b.n && fputc('\n', stdout) != EOF ? 1 : TZ_E_IO;
}

/** Everything: as a city-wide device of a role that reads all there is. */
static int whole_city(struct tz_cli *c, struct tz_store *s, struct tz_grant *g)
{
    struct tz_device d = {.name = "", .area = "120000"};
    for (size_t i = 0; i < c->catalogue.nroles; i++) {
        const struct tz_role *r = &c->catalogue.roles[i];
        if (r->reads_business && r->reads_secret && strlen(r->name) < sizeof d.role) {
            memcpy(d.role, r->name, strlen(r->name) + 1);
            return tz_store_grant_of(s, &d, tz_clock_wall(&tz_clock_system).ms, g, &c->err);
        }
    }
    return tz_err_set(&c->err, TZ_E_CATALOGUE, "roles.csv", NULL, NULL, NULL);
}

static int grant_named(struct tz_cli *c, struct tz_store *s, const char *name, struct tz_grant *g)
{
    struct tz_device d;
    int found = tz_store_device_by_name(s, name, &d, &c->err);
    if (found <= 0)
        return found < 0 ? found : tz_err_set(&c->err, TZ_E_NOT_FOUND, name, NULL, NULL, NULL);
    return tz_store_grant_of(s, &d, tz_clock_wall(&tz_clock_system).ms, g, &c->err);
}

int tz_cmd_dump(struct tz_cli *c)
{
    struct tz_store *s = NULL;
    struct tz_grant g;
    struct dump d;
    const char *as = c->opt[TZ_OPT_AS_DEVICE];
    int rc = tz_cli_store(c, &s);
    if (rc)
        return rc;
    rc = as ? grant_named(c, s, as, &g) : whole_city(c, s, &g);
    tz_buf_init(&d.line, 4 * TZ_ROW_BYTES_MAX); /* escapes make it longer than the row */
    d.secret = !rc && g.reads_secret;
    if (!rc)
        rc = tz_store_each_row(s, &g, dump_row, &d, &c->err);
    tz_buf_deinit(&d.line);
    tz_store_close(s);
    return rc;
}

/* ---- verify ---- */

/** The first damaged pack is what the command ends with; one that is lost goes before. Each is named. */
static void on_damaged(void *ctx, tz_ver first, tz_ver last, bool mendable)
{
    struct tz_cli *c = ctx;
    int code = mendable ? TZ_E_COMMITS_DAMAGED : TZ_E_COMMITS_LOST;
    struct tz_err err;
    char from[24];
    char to[24];
    char text[512];
    (void)snprintf(from, sizeof from, "%llu", (unsigned long long)first);
    (void)snprintf(to, sizeof to, "%llu", (unsigned long long)last);
    (void)tz_err_set(&err, code, from, to, NULL, NULL);
    if (!c->err.code) {
        c->err = err;
        return;
    }
    if (c->err.code == TZ_E_COMMITS_DAMAGED && !mendable) {
        struct tz_err other = c->err;
        c->err = err;
        err = other;
    }
    tz_cli_say(c, "%s", tz_err_text(&err, c->lang, text, sizeof text));
}

int tz_cmd_verify(struct tz_cli *c)
{
    struct tz_store *s = NULL;
    uint64_t entries = 0;
    int rc = tz_cli_store(c, &s);
    if (rc)
        return rc;
    rc = tz_db_check(tz_store_db(s), false, &c->err);
    if (!rc)
        rc = tz_store_audit_check(s, &entries, &c->err);
    if (!rc)
        rc = tz_store_commits_check(s, on_damaged, c, &c->err);
    if (!rc)
        rc = c->err.code;
    tz_ver head = tz_store_head(s);
    tz_store_close(s);
    if (rc)
        return rc;
    if (c->json)
        return tz_cli_json(
            c, json_pack("{s:b,s:I,s:I}", "ok", 1, "audit_entries", (json_int_t)entries, "head", (json_int_t)head));
    (void)printf(tr(c, "数据库完好，审计链 %llu 条相符\n", "the database is sound, %llu audit entries agree\n"),
                 (unsigned long long)entries);
    return 0;
}

/* ---- config ---- */

int tz_cmd_config(struct tz_cli *c)
{
    json_t *o = c->json ? json_object() : NULL;
    int rc = tz_cli_open(c, false);
    for (int k = 0; k < TZ_CONFIG_COUNT && !rc; k++) {
        const struct tz_config_item *it = tz_config_item((enum tz_config_key)k);
        const char *v = tz_config_text(&c->config, (enum tz_config_key)k);
        const char *from = tz_config_origin_name(c->config.origin[k]);
        if (c->json && c->opt[TZ_OPT_ORIGIN])
            (void)json_object_set_new(o, it->name,
                                      json_pack("{s:s,s:s,s:s}", "value", v, "origin", from, "unit", it->unit));
        else if (c->json)
            (void)json_object_set_new(o, it->name, json_string(v));
        else if (c->opt[TZ_OPT_ORIGIN])
            (void)printf("%s = %s\t; %s\n", it->name, v, from);
        else
            (void)printf("%s = %s\n", it->name, v);
    }
    if (!rc && c->json)
        return tz_cli_json(c, o);
    json_decref(o);
    return rc;
}
