/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taizhang ledger`: items of the ledger and their steps. `open` and every action of the procedure are proposals,
 * judged here at once by the rule and by the server when it gets them; `again` offers a refused one anew.
 */
#include "hash.h"
#include "ledger.h"
#include "office_int.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = sizeof((struct ledger_args *)0)->files / sizeof(char *), READ_BYTES = 64 * 1024 };

/* ---- evidence ---- */

static int file_error(struct desk *d, const char *path)
{
    return tz_err_setf(&d->err, TZ_E_IO, "%.80s: %s", path, strerror(errno));
}

static int hash_file(struct desk *d, const char *path, char hex[2 * TZ_SHA256_BYTES + 1], uint64_t *size)
{
    uint8_t piece[READ_BYTES];
    uint8_t digest[TZ_SHA256_BYTES];
    struct tz_sha256 h = {0};
    FILE *in = fopen(path, "rb");
    if (!in)
        return file_error(d, path);
    int rc = tz_sha256_init(&h);
    *size = 0;
    for (size_t got = 1; !rc && got > 0;) {
        got = fread(piece, 1, sizeof piece, in);
        *size += got;
        rc = got ? tz_sha256_update(&h, tz_bytes_of(piece, got)) : 0;
    }
    if (!rc && ferror(in))
        rc = file_error(d, path);
    if (!rc)
        rc = tz_sha256_final(&h, digest);
    if (!rc)
        tz_hex_encode(tz_bytes_of(digest, sizeof digest), hex);
    tz_sha256_deinit(&h);
    (void)fclose(in);
    return rc;
}

/** Name, size and SHA-256 of each file as canonical JSON. The files themselves stay where they are. */
static int evidence(struct desk *d, const struct ledger_args *in, const char **out)
{
    struct tz_buf b;
    int rc = 0;
    *out = NULL;
    tz_buf_init(&b, TZ_TEXT_BYTES_MAX);
    for (size_t i = 0; i < in->nfiles && !rc; i++) {
        char hex[2 * TZ_SHA256_BYTES + 1];
        uint64_t size = 0;
        const char *slash = strrchr(in->files[i], '/');
        const char *name = slash ? slash + 1 : in->files[i];
        rc = hash_file(d, in->files[i], hex, &size);
        if (!rc)
            rc = tz_buf_puts(&b, i ? ",{\"name\":" : "[{\"name\":");
        if (!rc)
            rc = tz_json_string(&b, name, strlen(name));
        if (!rc)
            rc = tz_buf_printf(&b, ",\"sha256\":\"%s\",\"size\":%llu}", hex, (unsigned long long)size);
    }
    if (!rc && in->nfiles)
        rc = tz_buf_putc(&b, ']');
    if (!rc && in->nfiles) {
        *out = tz_arena_dup(&d->a, b.p, b.len);
        rc = *out ? 0 : TZ_E_NOMEM;
    }
    tz_buf_deinit(&b);
    return rc && !d->err.code ? tz_err_set(&d->err, rc, "evidence", NULL, NULL, NULL) : rc;
}

/** Several lines are fine; what surrounds them is not. */
static int opinion(struct desk *d, const struct tz_type *t, const char *typed, const char **out)
{
    struct tz_value v = tz_value_null();
    int rc = typed ? tz_value_parse(tz_type_field(t->event_type, "opinion"), typed, &d->a, &v, &d->err) : 0;
    *out = !rc && v.kind == TZ_V_TEXT ? tz_arena_dup(&d->a, v.p, v.n) : NULL;
    return rc;
}

/* ---- a step ---- */

/** By code or label. */
static const char *find_action(const struct tz_type *t, const char *name)
{
    const struct tz_enum *en = tz_type_field(t->event_type, "action")->en;
    for (size_t i = 0; i < en->nvalues; i++)
        if (strcmp(en->values[i].code, name) == 0 || strcmp(en->values[i].label[TZ_LANG_ZH], name) == 0 ||
            strcmp(en->values[i].label[TZ_LANG_EN], name) == 0)
            return en->values[i].code;
    return NULL;
}

/** "rectifying.3", as `ledger show --json` printed it. */
static int parse_seen(struct desk *d, const char *token, struct tz_step_said *said)
{
    const char *dot = strrchr(token, '.');
    char *end = NULL;
    said->seen_seq = dot ? strtoull(dot + 1, &end, 10) : 0;
    if (!dot || dot == token || end == dot + 1 || *end)
        return tz_err_set(&d->err, TZ_E_USAGE, token, NULL, NULL, NULL);
    said->seen_state = tz_arena_dup(&d->a, token, (size_t)(dot - token));
    return said->seen_state ? 0 : tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
}

static int report(const struct tz_type *t, struct tz_id id, const char *action, uint64_t seq)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    if (out_json_mode())
        return out_json(
            json_pack("{s:s,s:s,s:s,s:I}", "type", t->name, "id", hex, "action", action, "seq", (json_int_t)seq));
    out_note(tr("已提出“%s”（第 %llu 次保存，等待送出）；服务器确认后生效",
                "proposed \"%s\" (save %llu, waiting to be sent); it counts when the server has confirmed it"),
             ledger_action(t, action), (unsigned long long)seq);
    return 0;
}

static int take_step(struct desk *d, const struct tz_type *t, const char *action, const struct ledger_args *in)
{
    struct tz_step_view v;
    struct tz_step_said said = {.action = action};
    bool names[TZ_FIELDS_MAX] = {false};
    unsigned warnings = 0;
    struct tz_save *s;
    uint64_t seq;
    int rc = ledger_item(d, in->rest[0], &t, &v);
    struct tz_record *rec = rc ? NULL : tz_arena_dup(&d->a, &v.row->rec, sizeof *rec);
    if (!rc && rec)
        rc = tz_entry_fields(d->entry, in->rest + 1, in->nrest - 1, &d->a, rec, names, &warnings, &d->err);
    if (!rc && in->seen)
        rc = parse_seen(d, in->seen, &said);
    if (!rc)
        rc = opinion(d, t, in->opinion, &said.opinion);
    if (!rc)
        rc = evidence(d, in, &said.evidence);
    if (rc || !rec)
        return rc ? rc : tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    said.in = in->nrest > 1 ? rec : NULL;
    said.names = names;
    rc = desk_begin(d, NULL, &s);
    if (rc)
        return rc;
    rc = tz_save_step(s, t, v.row->id, &said, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    desk_warn(warnings);
    return rc ? rc : report(t, v.row->id, action, seq);
}

/* ---- openings ---- */

static int open_item(struct desk *d, const struct tz_type *t, const char *action, struct tz_record *rec,
                     const char *const *args, size_t nargs)
{
    bool names[TZ_FIELDS_MAX] = {false};
    unsigned warnings = 0;
    struct tz_save *s;
    struct tz_id id;
    uint64_t seq;
    char hex[TZ_ID_HEX + 1];
    int rc = tz_entry_fields(d->entry, args, nargs, &d->a, rec, names, &warnings, &d->err);
    if (!rc)
        rc = desk_begin(d, NULL, &s);
    if (rc)
        return rc;
    rc = tz_save_create(s, rec, &id, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    desk_warn(warnings);
    tz_id_print(id, hex);
    if (!rc && !out_json_mode())
        (void)printf("%s\n", hex);
    return rc ? rc : report(t, id, action, seq);
}

/** A new item like the old one, which it names; what is given takes the place of what it was. */
static int reopen(struct desk *d, const struct tz_type *t, const struct tz_step *step, const struct ledger_args *in)
{
    static const char *const kept[] = {"list_type", "source",      "source_item", "title",     "detail",   "basis",
                                       "category",  "target_type", "target_id",   "lead_unit", "co_units", "severity"};
    struct tz_step_view v;
    struct tz_id user;
    struct tz_author who;
    int rc = ledger_item(d, in->rest[0], &t, &v);
    if (!rc)
        rc = cli_user(d->cli, &user, &d->err);
    if (!rc)
        rc = tz_check_author(d->o, tz_id_is_zero(user) ? tz_office_identity(d->o)->user : user, &who, &d->err);
    struct tz_record *rec = rc ? NULL : tz_arena_alloc(&d->a, sizeof *rec);
    uint8_t *link = rec ? tz_arena_dup(&d->a, v.row->id.b, TZ_ID_BYTES) : NULL;
    if (rc || !rec || !link)
        return rc ? rc : tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    tz_record_init(rec, t);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const struct tz_field *f = tz_type_field(t, kept[i]);
        if (f && (f->editors & who.role->editor))
            rec->v[f->index] = v.row->rec.v[f->index];
    }
    rec->v[step->link] = tz_value_blob(link, TZ_ID_BYTES);
    return open_item(d, t, step->action, rec, in->rest + 1, in->nrest - 1);
}

static int open_new(struct desk *d, const struct tz_type *t, const struct ledger_args *in)
{
    struct tz_record *rec = tz_arena_alloc(&d->a, sizeof *rec);
    if (!rec)
        return tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    tz_record_init(rec, t);
    return open_item(d, t, t->steps[0].action, rec, in->rest, in->nrest);
}

/* ---- again ---- */

static int again(struct desk *d, const char *number)
{
    char *end;
    uint64_t last = 0;
    errno = 0;
    unsigned long long seq = strtoull(number, &end, 10);
    if (errno || end == number || *end || number[0] == '-')
        return tz_err_set(&d->err, TZ_E_USAGE, number, NULL, NULL, NULL);
    int rc = tz_step_again(d->o, seq, &last, &d->err);
    if (rc)
        return rc;
    cli_poke(d->cli);
    if (out_json_mode())
        return out_json(json_pack("{s:I,s:I}", "again", (json_int_t)seq, "seq", (json_int_t)last));
    out_note(tr("第 %llu 次保存已按现状重新提出（第 %llu 次保存，等待送出）",
                "save %llu is offered again as things stand now (save %llu, waiting to be sent)"),
             seq, (unsigned long long)last);
    return 0;
}

/* ---- the command ---- */

static int dispatch(struct desk *d, const char *verb, struct ledger_args *in)
{
    const struct tz_type *t;
    int rc = ledger_type(d, &t);
    if (rc)
        return rc;
    const struct tz_step *anew = tz_type_step_new(t);
    const char *action = find_action(t, verb);
    bool list = strcmp(verb, "list") == 0;
    bool opening = action && strcmp(action, t->steps[0].action) == 0;
    if (!list && in->nrest < 1)
        return tz_err_set(&d->err, TZ_E_USAGE, verb, NULL, NULL, NULL);
    if (list)
        return ledger_list(d, in);
    if (strcmp(verb, "show") == 0)
        return ledger_show(d, in);
    if (strcmp(verb, "again") == 0)
        return again(d, in->rest[0]);
    if (!action)
        return tz_err_set(&d->err, TZ_E_USAGE, verb, NULL, NULL, NULL);
    if (opening)
        return open_new(d, t, in);
    return anew && strcmp(action, anew->action) == 0 ? reopen(d, t, anew, in) : take_step(d, t, action, in);
}

int cmd_ledger(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"opinion", required_argument, NULL, 'o'}, {"evidence", required_argument, NULL, 'e'},
        {"seen", required_argument, NULL, 's'},    {"state", required_argument, NULL, 't'},
        {"all", no_argument, NULL, 'a'},           {NULL, 0, NULL, 0}};
    struct ledger_args in = {0};
    struct desk d;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k == 'e' && in.nfiles == FILES_MAX)
            return cli_usage_error(c, tr("佐证最多 %d 件", "at most %d files of evidence"), (int)FILES_MAX);
        if (k == 'o')
            in.opinion = optarg;
        else if (k == 'e')
            in.files[in.nfiles++] = optarg;
        else if (k == 's')
            in.seen = optarg;
        else if (k == 't')
            in.state = optarg;
        else if (k == 'a')
            in.all = true;
        else
            return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
    }
    if (argc - optind < 1)
        return cli_usage_error(c, "%s",
                               tr("需要 list、show、open、again 或一个动作", "list, show, open, again or an action"));
    in.rest = (const char *const *)argv + optind + 1;
    in.nrest = (size_t)(argc - optind - 1);
    int rc = desk_open(&d, c);
    if (!rc)
        rc = dispatch(&d, argv[optind], &in);
    return desk_close(&d, rc);
}
