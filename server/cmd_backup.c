/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup and restore. A backup reads beside a running server; a restore needs the data folder for itself. Ending the
 * recovery window is an administrator's change like the others (cmd_admin.c).
 */
#include "backup.h"
#include "cli.h"
#include "restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEEP_DEFAULT = 7, KEEP_MAX = 100000, PROGRESS_AFTER_MS = 1000, EPOCH_MAX = 32767 };

/* ---- backup ---- */

struct progress {
    const struct tz_cli *c;
    struct tz_mono began;
    bool shown;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;
    if (p->c->json || !isatty(STDERR_FILENO) || tz_clock_mono(&tz_clock_system).ms - p->began.ms < PROGRESS_AFTER_MS)
        return 0;
    p->shown = true;
    (void)fprintf(stderr, "\r%3" PRIu64 " %%", total ? done * 100 / total : 100);
    return 0;
}

/** A number given as --@name; @dflt without it. */
static int number_option(struct tz_cli *c, enum tz_opt which, const char *name, long max, long dflt, unsigned *out)
{
    const char *text = c->opt[which];
    char range[32];
    char *end = NULL;
    *out = (unsigned)dflt;
    if (!text)
        return 0;
    errno = 0;
    long v = strtol(text, &end, 10);
    (void)snprintf(range, sizeof range, "0-%ld", max);
    if (text[0] < '0' || text[0] > '9' || *end || errno || v > max)
        return tz_err_set(&c->err, TZ_E_VALUE, name, text, range, NULL);
    *out = (unsigned)v;
    return 0;
}

static int say_made(struct tz_cli *c, const struct tz_backup_made *m)
{
    if (c->json) {
        json_t *o = tz_backup_json(&m->info);
        json_t *more = json_pack("{s:s,s:i,s:i}", "file", m->file, "kept", (int)m->kept, "deleted", (int)m->deleted);
        int rc = o && more ? json_object_update(o, more) : -1;
        json_decref(more);
        if (rc) {
            json_decref(o);
            o = NULL;
        }
        return tz_cli_json(c, o);
    }
    (void)printf("%s\n", m->file);
    tz_cli_say(c,
               tr(c, "备份完成并已核对：到版本 %" PRIu64 "，%" PRIu64 " 字节；保留 %u 份，删除 %u 份",
                  "backed up and verified: up to version %" PRIu64 ", %" PRIu64 " bytes; %u kept, %u deleted"),
               m->info.facts.head, m->info.bytes, m->kept, m->deleted);
    if (!c->opt[TZ_OPT_WITH_KEYS])
        tz_cli_say(c, "%s",
                   tr(c, "密钥（ca.key、server.key 等）不在备份里：请另外保管一次，或加 --with-keys",
                      "Keys (ca.key, server.key …) are not in it: keep them elsewhere once, or use --with-keys"));
    return 0;
}

/* ---- telling the server what is kept ---- */

struct kept {
    json_t *states; /* [epoch, least head] of each epoch */
    unsigned n;
};

static void note_kept(void *ctx, const struct tz_backup_facts *f)
{
    struct kept *k = ctx;
    k->n++;
    for (size_t i = 0; i < json_array_size(k->states); i++) {
        json_t *state = json_array_get(k->states, i);
        if (json_integer_value(json_array_get(state, 0)) != (json_int_t)f->epoch)
            continue;
        if (json_integer_value(json_array_get(state, 1)) > (json_int_t)f->head)
            (void)json_array_set_new(state, 1, json_integer((json_int_t)f->head));
        return;
    }
    (void)json_array_append_new(k->states, json_pack("[I,I]", (json_int_t)f->epoch, (json_int_t)f->head));
}

/** @folder by the name that it has from everywhere: of one that is not there any more (a disk that was taken away) that
 * of the folder around it, and its own. */
static const char *whole_name(const char *folder, char out[PATH_MAX])
{
    char parent[PATH_MAX];
    char around[PATH_MAX];
    size_t n = strnlen(folder, sizeof parent - 1);
    if (realpath(folder, out))
        return out;
    memcpy(parent, folder, n);
    while (n > 1 && parent[n - 1] == '/')
        n--;
    parent[n] = '\0';
    char *slash = strrchr(parent, '/');
    const char *name = slash ? slash + 1 : parent;
    if (slash)
        *slash = '\0';
    if (!realpath(slash ? (parent[0] ? parent : "/") : ".", around) ||
        snprintf(out, PATH_MAX, "%s/%s", strcmp(around, "/") == 0 ? "" : around, name) >= PATH_MAX)
        return folder;
    return out;
}

/** The server lets devices write shorter what every backup has. If it cannot be told, it lets them less. */
static int tell_kept(struct tz_cli *c, const char *folder, bool forget, json_int_t *upto)
{
    char whole[PATH_MAX];
    struct kept k = {.states = json_array()};
    json_t *r = NULL;
    int rc = k.states ? 0 : tz_err_set(&c->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (!rc && !forget)
        rc = tz_backup_each(folder, note_kept, &k, &c->err);
    json_t *q = rc ? NULL
                   : json_pack("{s:s,s:s,s:O,s:i}", "command", "backups kept", "folder", whole_name(folder, whole),
                               "states", k.states, "kept", (int)k.n);
    json_decref(k.states);
    if (!rc && !q)
        rc = tz_err_set(&c->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (!rc)
        rc = tz_cli_change(c, q, &r);
    *upto = json_integer_value(json_object_get(r, "compact_upto"));
    json_decref(r);
    return rc;
}

static int forget_folder(struct tz_cli *c, const char *folder)
{
    json_int_t upto = 0;
    int rc = folder[0] ? tell_kept(c, folder, true, &upto)
                       : tz_err_set(&c->err, TZ_E_USAGE, "--forget DIR", NULL, NULL, NULL);
    if (rc)
        return rc;
    if (c->json)
        return tz_cli_json(c, json_pack("{s:s,s:I}", "forgotten", folder, "compact_upto", upto));
    tz_cli_say(c,
               tr(c, "不再等待“%s”里的备份；那里的文件没有动",
                  "backups in \"%s\" are not waited for any more; the files there were not touched"),
               folder);
    return 0;
}

/** Closes @s. */
static int make_backup(struct tz_cli *c, struct tz_store *s, const struct tz_store_options *o, const char *to)
{
    struct progress p = {.c = c, .began = tz_clock_mono(&tz_clock_system)};
    struct tz_backup_spec spec = {.store = s,
                                  .options = o,
                                  .to = to,
                                  .software = "taizhangd " TZ_VERSION,
                                  .progress = show_progress,
                                  .progress_ctx = &p};
    struct tz_backup_made made;
    int rc = number_option(c, TZ_OPT_KEEP, "--keep", KEEP_MAX, KEEP_DEFAULT, &spec.keep);
    if (!rc)
        rc = tz_backup_make(&spec, &made, &c->err);
    if (p.shown)
        (void)fputc('\n', stderr);
    if (!rc && c->opt[TZ_OPT_WITH_KEYS])
        rc = tz_backup_keys(&c->dir, to, &c->err);
    tz_store_close(s); /* else a command that takes the lock could not write */
    if (rc)
        return rc;
    json_int_t upto = 0;
    if (tell_kept(c, to, false, &upto)) { /* the backup stands all the same */
        char text[512];
        tz_cli_say(c,
                   tr(c, "没能告诉服务器保留了哪些备份：%s", "the server could not be told which backups are kept: %s"),
                   tz_err_text(&c->err, c->lang, text, sizeof text));
        c->err = (struct tz_err){0};
    }
    return say_made(c, &made);
}

static int verify_backup(struct tz_cli *c, const char *file)
{
    struct tz_backup_info info;
    int rc = tz_cli_catalogue(c);
    const struct tz_store_options o = {.catalogue = &c->catalogue, .clock = tz_clock_system, .readonly = true};
    if (!rc)
        rc = tz_backup_verify(file, &o, &info, &c->err);
    if (rc)
        return rc;
    if (c->json) {
        json_t *j = tz_backup_json(&info);
        if (j && (json_object_set_new(j, "ok", json_true()) || json_object_set_new(j, "file", json_string(file)))) {
            json_decref(j);
            j = NULL;
        }
        return tz_cli_json(c, j);
    }
    (void)printf(tr(c, "备份完好：到版本 %" PRIu64 "，审计链 %" PRIu64 " 条相符\n",
                    "the backup is sound: up to version %" PRIu64 ", %" PRIu64 " audit entries agree\n"),
                 info.facts.head, info.facts.audit_n);
    return 0;
}

int tz_cmd_backup(struct tz_cli *c)
{
    struct tz_store *s = NULL;
    char folder[PATH_MAX];
    if (c->opt[TZ_OPT_VERIFY])
        return verify_backup(c, c->opt[TZ_OPT_VERIFY]);
    if (c->opt[TZ_OPT_FORGET])
        return forget_folder(c, c->opt[TZ_OPT_FORGET]);
    int rc = tz_cli_store(c, &s);
    if (rc)
        return rc;
    const struct tz_store_options o = {.catalogue = &c->catalogue, .clock = tz_clock_system, .readonly = true};
    const char *to =
        c->opt[TZ_OPT_TO] && c->opt[TZ_OPT_TO][0] ? c->opt[TZ_OPT_TO] : tz_datadir_file(&c->dir, "backups", folder);
    return make_backup(c, s, &o, to);
}

/* ---- restore ---- */

static int say_restored(struct tz_cli *c, const struct tz_restore_done *d)
{
    char when[32];
    if (c->json)
        return tz_cli_json(c, json_pack("{s:I,s:i,s:i,s:I,s:i,s:s}", "restored_to", (json_int_t)d->backup.facts.head,
                                        "epoch", (int)d->epoch, "old_epoch", (int)d->backup.facts.epoch,
                                        "recovery_until_ms", (json_int_t)d->until_ms, "replayed", (int)d->replayed,
                                        "former", d->aside));
    tz_cli_say(c,
               tr(c, "已恢复到版本 %" PRIu64 "（第 %u 代）；从日志找回 %zu 项登记、停用和授权",
                  "restored to version %" PRIu64
                  " (epoch %u); %zu enrolments, revocations and grants came back from the "
                  "journal"),
               d->backup.facts.head, d->epoch, d->replayed);
    if (d->aside[0])
        tz_cli_say(c, tr(c, "原来的数据库保留为 %s", "the former database is kept as %s"), d->aside);
    if (d->until_ms)
        tz_cli_say(c,
                   tr(c, "恢复期到 %s 为止（taizhangd restore --close 提前结束）",
                      "the recovery window is open until %s (taizhangd restore --close ends it)"),
                   tz_cli_time(d->until_ms, when));
    if (!tz_datadir_has(&c->dir, "ca.key") || !tz_datadir_has(&c->dir, "server.key"))
        tz_cli_say(c, "%s",
                   tr(c, "这里没有密钥：启动之前请把保管的 ca.key、ca.crt、server.key、server.crt 放回来",
                      "There are no keys here: put back your ca.key, ca.crt, server.key, server.crt before serving"));
    return 0;
}

static int restore_file(struct tz_cli *c)
{
    struct tz_restore_done done;
    unsigned epoch = 0;
    int rc = number_option(c, TZ_OPT_EPOCH, "--epoch", EPOCH_MAX, 0, &epoch);
    if (!rc)
        rc = tz_cli_open(c, true);
    if (!rc)
        rc = tz_cli_catalogue(c);
    if (!rc)
        rc = tz_datadir_lock(&c->dir, 0, &c->err);
    if (rc == TZ_E_DB_BUSY)
        return tz_err_prefix(&c->err, "%s", tr(c, "先停止服务器", "stop the server first"));
    const struct tz_store_options o = {.catalogue = &c->catalogue, .clock = tz_clock_system};
    const struct tz_restore_spec spec = {.dir = &c->dir,
                                         .file = c->arg,
                                         .options = &o,
                                         .epoch = epoch,
                                         .recovery_days = tz_config_number(&c->config, TZ_CONFIG_RECOVERY_DAYS)};
    if (!rc)
        rc = tz_restore_run(&spec, &done, &c->err);
    return rc ? rc : say_restored(c, &done);
}

int tz_cmd_restore(struct tz_cli *c)
{
    bool close = c->opt[TZ_OPT_CLOSE] != NULL;
    if (close == (c->arg != NULL))
        return tz_err_set(&c->err, TZ_E_USAGE, "FILE | --close", NULL, NULL, NULL);
    return close ? tz_cmd_restore_close(c) : restore_file(c);
}
