/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server is asked first: the round that does it brings cases and own results up to date. Without it everything
 * works from what is here, and says so.
 */
#include "recount.h"
#include "request.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { NOTICEABLE_MS = 2 * 60 * 1000 };

struct options {
    bool server, offline;
};

static int parse(struct cli *c, int argc, char **argv, int words, struct options *out)
{
    static const struct option options[] = {
        {"server", no_argument, NULL, 's'}, {"offline", no_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k != 's' && k != 'o')
            return cli_usage_error(c, tr("不认识 %s", "%s is not known"), argv[optind - 1]);
        out->server = out->server || k == 's';
        out->offline = out->offline || k == 'o';
    }
    if (out->server && out->offline)
        return cli_usage_error(c, "%s",
                               tr("--server 与 --offline 不能同时用", "--server and --offline exclude each other"));
    if (argc - optind < 2 || argc - optind > words)
        return cli_usage_error(c, "%s", tr("需要记录类型和编号", "a record type and an id"));
    return CLI_DONE;
}

/** 0; TZ_E_*: the server's answer was demanded, or says that something is wrong. */
static int ask_server(struct recount *r, const struct options *opt)
{
    struct tz_round_options round = {.office = r->d.o, .software = "taizhang " TZ_VERSION, .signals = true};
    const struct tz_msg_history_ask ask = {.type = r->t->id, .id = r->id};
    if (opt->offline)
        return 0;
    int rc = cli_data(r->d.cli, &round.dir, &r->d.err);
    if (rc == 0)
        rc = tz_request_history(&round, &ask, &r->pages, &r->d.err);
    if (rc == 0) {
        r->server = RECOUNT_ASKED;
        return 0;
    }
    int exit_code = tz_err_info(rc)->exit_code;
    if (opt->server || (exit_code != CLI_UNREACHABLE && exit_code != CLI_BUSY))
        return rc;
    tz_pages_free(&r->pages);
    r->server = RECOUNT_UNREACHABLE;
    r->d.err = (struct tz_err){0};
    return 0;
}

static int read_here(struct recount *r)
{
    struct desk *d = &r->d;
    struct tz_row *row = tz_arena_alloc(&d->a, sizeof *row);
    if (!row)
        return tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_office_read_confirmed(d->o, r->t, r->id, &d->a, row, &d->err);
    r->row = rc == 1 ? row : NULL;
    rc = rc < 0 ? rc : tz_history_here(d->o, r->t, r->id, &d->a, &r->c, &d->err);
    if (!rc)
        rc = tz_history_server(&r->c, r->pages.page, r->pages.n, &d->a, &d->err);
    if (!rc && !r->row && r->c.n == 0)
        rc = tz_err_set(&d->err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    return rc;
}

int recount_open(struct recount *r, struct cli *c, int argc, char **argv, int words, const char **word)
{
    struct options opt = {0};
    *r = (struct recount){.server = RECOUNT_NOT_ASKED};
    int usage = parse(c, argc, argv, words, &opt);
    int rc = desk_open(&r->d, c);
    if (usage != CLI_DONE || rc)
        return usage != CLI_DONE ? usage : rc;
    *word = argc - optind == 3 ? argv[optind + 2] : NULL;
    rc = desk_target(&r->d, argv[optind], argv[optind + 1], &r->t, &r->id);
    if (!rc)
        rc = ask_server(r, &opt);
    if (!rc)
        rc = read_here(r);
    tz_id_print(r->id, r->hex);
    return rc;
}

void recount_note(const struct recount *r)
{
    if (r->server == RECOUNT_NOT_ASKED)
        out_note("%s", tr("服务器上还有更早的记录和其他设备的修改，没有查询（--offline）",
                          "the server has earlier changes and those of other devices; it was not asked (--offline)"));
    else if (r->server == RECOUNT_UNREACHABLE)
        out_note("%s", tr("服务器上还有更早的记录和其他设备的修改，现在连不上；以下只是本机知道的",
                          "the server has earlier changes and those of other devices, but cannot be reached now; this "
                          "is what is known on this machine"));
    else if (!r->c.complete)
        out_note("%s",
                 tr("服务器上还有更早的记录，没有全部取来", "the server has earlier changes; not all were fetched"));
    if (r->server != RECOUNT_ASKED && r->c.emptied)
        out_note(tr("本机较早的 %llu 次保存只留了目录，原文在服务器上；连上后再查就有",
                    "of %llu older saves of this machine only the entry is here; the server has their words: ask again "
                    "when it can be reached"),
                 (unsigned long long)r->c.emptied);
}

int recount_close(struct recount *r, int rc)
{
    tz_pages_free(&r->pages);
    return desk_close(&r->d, rc);
}

const char *recount_server_name(enum recount_server s)
{
    static const char *const names[] = {"asked", "unreachable", "not_asked"};
    return names[s];
}

static const char *kept(struct recount *r, const char *text)
{
    const char *out = tz_arena_strdup(&r->d.a, text);
    return out ? out : "";
}

const char *recount_who(struct recount *r, const struct tz_history_entry *e)
{
    char text[512];
    char hex[TZ_ID_HEX + 1];
    tz_id_print(e->user, hex);
    const char *name = e->user_name && *e->user_name ? e->user_name
                       : tz_id_is_zero(e->user)      ? tr("（不详）", "(unknown)")
                                                     : desk_user(&r->d, hex);
    if (e->device_name && *e->device_name)
        (void)snprintf(text, sizeof text, tr("%.120s，设备 %u（%.120s）", "%.120s, device %u (%.120s)"), name,
                       e->device, e->device_name);
    else
        (void)snprintf(text, sizeof text, tr("%.120s，设备 %u", "%.120s, device %u"), name, e->device);
    return kept(r, text);
}

const char *recount_when(struct recount *r, const struct tz_history_entry *e)
{
    char text[128];
    char when[32];
    char own[32];
    int64_t claimed = e->claimed ? tz_hlc_ms(e->claimed) : 0;
    int64_t counts = e->effective ? tz_hlc_ms(e->effective) : e->received_ms ? e->received_ms : claimed;
    int64_t off = claimed > counts ? claimed - counts : counts - claimed;
    (void)out_time(counts, when, sizeof when);
    if (claimed && off >= NOTICEABLE_MS)
        (void)snprintf(text, sizeof text, tr("%s（设备自己的时间 %s）", "%s (%s by the device's clock)"), when,
                       out_time(claimed, own, sizeof own));
    else
        (void)snprintf(text, sizeof text, "%s", when);
    return kept(r, text);
}

const char *recount_outcome(enum tz_outcome o)
{
    static const char *const names[][2] = {
        {"未送出", "not sent yet"}, {"已生效", "applied"},  {"有值落选，存入冲突", "a value lost and is in a case"},
        {"被拒", "refused"},        {"等待", "waiting"},    {"暂存", "held"},
        {"待审", "under review"},   {"已撤回", "withdrawn"}};
    return names[(unsigned)o <= TZ_OUT_WITHDRAWN ? o : 0][out_lang()];
}
