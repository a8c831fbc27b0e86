/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taizhang verify: is the database whole (SQLite's own check), and does it hold what the server says it should (digest
 * over the whole scope at one version, then bucket by bucket, and the audit chain where this device last saw it)? What
 * differs is put right, unless only telling was asked for. With --confirm-audit, by somebody who knows why the chain
 * differs, the server's present one is remembered from now on.
 *
 * Exit code 7 when the two still differ at the end, or the audit chain does. What was found and put right completely
 * is a warning and exit code 0: the replica is what it should be, and the server has the incident.
 */
#include "out.h"
#include "request.h"
#include "told.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

struct options {
    bool offline, dry, confirm;
};

static int parse(struct cli *c, int argc, char **argv, struct options *out)
{
    static const struct option options[] = {{"offline", no_argument, NULL, 'o'},
                                            {"no-repair", no_argument, NULL, 'n'},
                                            {"confirm-audit", no_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    int opt;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 'o' && opt != 'n' && opt != 'a')
            return cli_usage_error(c, tr("不认识 %s", "%s is not known"), argv[optind - 1]);
        out->offline = out->offline || opt == 'o';
        out->dry = out->dry || opt == 'n';
        out->confirm = out->confirm || opt == 'a';
    }
    return optind == argc ? CLI_DONE : cli_usage_error(c, tr("不认识 %s", "%s is not known"), argv[optind]);
}

/* ---- what was found ---- */

static const char *type_name(const struct cli *c, uint32_t type)
{
    const struct tz_type *t = tz_catalogue_type_id(&c->catalogue, type);
    return t == NULL ? "?" : t->name;
}

static json_t *rows_json(const struct cli *c, const struct tz_repair_report *r)
{
    json_t *a = json_array();
    char hex[TZ_ID_HEX + 1];
    for (size_t i = 0; i < r->nrows; i++) {
        tz_id_print(r->rows[i].id, hex);
        if (json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "type", type_name(c, r->rows[i].type), "id", hex,
                                               "found", tz_repair_what_name(r->rows[i].what))) != 0)
            break;
    }
    return a;
}

static json_t *repair_json(const struct cli *c, const struct tz_repair_report *r)
{
    uint64_t total = tz_repair_total(r);
    json_t *j = json_pack("{s:b, s:b, s:I, s:I, s:o}", "repaired", !r->dry && total > 0, "incident", r->noted, "found",
                          (json_int_t)total, "buckets", (json_int_t)r->buckets, "rows", rows_json(c, r));
    int bad = 0;
    for (int i = 0; i < TZ_REPAIR_WHATS; i++)
        bad |= json_object_set_new(j, tz_repair_what_name((enum tz_repair_what)i), json_integer((json_int_t)r->n[i]));
    if (bad == 0)
        return j;
    json_decref(j);
    return NULL;
}

static const char *found_text(enum tz_repair_what w, bool dry)
{
    switch (w) {
    case TZ_REPAIR_CHANGED:
        return dry ? tr("内容与服务器不同", "differs from the server's")
                   : tr("内容与服务器不同，已恢复", "differed from the server's; put back");
    case TZ_REPAIR_MISSING:
        return dry ? tr("本机缺少", "is missing here") : tr("本机缺少，已补回", "was missing here; put back");
    case TZ_REPAIR_EXTRA:
        return dry ? tr("服务器没有", "is not the server's")
                   : tr("服务器没有，已移出另存", "is not the server's; set aside");
    case TZ_REPAIR_KEPT:
        return tr("服务器没有，保留未动", "is not the server's; left as it is");
    case TZ_REPAIR_UNFIT:
    case TZ_REPAIR_WHATS:
    default:
        return tr("本机存不下服务器的内容，已另存", "cannot be stored here as the server has it; set aside");
    }
}

/** Every row by name, as far as they were kept, on stderr. */
static void tell_found(const struct cli *c, const struct tz_repair_report *r)
{
    uint64_t total = tz_repair_total(r);
    char hex[TZ_ID_HEX + 1];
    if (total == 0)
        return;
    out_warn(r->dry ? tr("本机有 %" PRIu64 " 条记录与服务器不一致（没有修复）",
                         "%" PRIu64 " records here are not as the server has them (not repaired)")
                    : tr("本机有 %" PRIu64 " 条记录与服务器不一致，已逐条处理",
                         "%" PRIu64 " records here were not as the server has them and were dealt with one by one"),
             total);
    for (size_t i = 0; i < r->nrows; i++) {
        tz_id_print(r->rows[i].id, hex);
        out_note("  %s %s %s", type_name(c, r->rows[i].type), hex, found_text(r->rows[i].what, r->dry));
    }
    if (total > r->nrows)
        out_note(tr("  另有 %" PRIu64 " 条", "  and %" PRIu64 " more"), total - r->nrows);
    if (r->noted)
        out_note("%s", tr("已在服务器登记异常，请管理员查看原因。",
                          "The server has recorded an incident; ask the administrator for the cause."));
}

/* ---- the answer ---- */

static int print_json(const struct cli *c, const struct tz_compare_result *v)
{
    return out_json(json_pack("{s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:o}", "database_ok", 1, "compared", 1, "same",
                              v->same, "audit_ok", v->audit_ok, "rows_here", (json_int_t)v->rows_here, "rows_server",
                              (json_int_t)v->rows_server, "version", (json_int_t)v->ver, "repair",
                              repair_json(c, &v->repair)));
}

static int print_result(const struct cli *c, const struct tz_compare_result *v)
{
    if (out_json_mode())
        return v == NULL ? out_json(json_pack("{s:b, s:b}", "database_ok", 1, "compared", 0)) : print_json(c, v);
    (void)printf("%s\n", tr("数据库完好", "the database is sound"));
    if (v == NULL)
        return 0;
    (void)printf(tr("与服务器核对（版本 %" PRIu64 "）：本机 %" PRIu64 " 条，服务器 %" PRIu64 " 条，%s\n",
                    "compared with the server (version %" PRIu64 "): %" PRIu64 " records here, %" PRIu64
                    " there, %s\n"),
                 (uint64_t)v->ver, v->rows_here, v->rows_server,
                 v->same ? tr("内容一致", "identical") : tr("内容不一致", "DIFFERENT"));
    (void)printf("%s\n", v->audit_ok ? tr("审计链一致", "the audit chain agrees")
                                     : tr("审计链不一致", "the audit chain DISAGREES"));
    return 0;
}

/** Nothing found is left as it was found. */
static bool sound(const struct tz_compare_result *v)
{
    const struct tz_repair_report *r = &v->repair;
    return v->same && (r->dry ? tz_repair_total(r) : r->n[TZ_REPAIR_KEPT] + r->n[TZ_REPAIR_UNFIT]) == 0;
}

static int compare(struct cli *c, struct tz_office *o, const struct options *options, struct tz_err *err)
{
    struct tz_round_report r = {0};
    struct tz_round_options opt = {
        .office = o, .software = "taizhang " TZ_VERSION, .compare = true, .dry = options->dry, .signals = true};
    int rc = cli_data(c, &opt.dir, err);
    if (rc == 0)
        rc = tz_request_round(&opt, &r, err);
    tell_found(c, &r.compare.repair);
    if (rc != 0) {
        if (!c->json)
            out_note("%s", tr("数据库完好；没有能与服务器核对：",
                              "The database is sound; it could not be compared with the server:"));
        return out_error(err);
    }
    if (print_result(c, &r.compare) != 0)
        return CLI_FAILED;
    if (sound(&r.compare) && r.compare.audit_ok)
        return CLI_DONE;
    (void)tz_err_set(err, TZ_E_VERIFY, sound(&r.compare) ? "audit" : "digest", NULL, NULL, NULL);
    return out_error(err);
}

int cmd_verify(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct tz_office *o;
    struct options options = {0};
    int rc = parse(c, argc, argv, &options);
    if (rc != CLI_DONE)
        return rc;
    rc = cli_open_office(c, &o, &err);
    if (rc == 0)
        rc = tz_db_check(tz_office_db(o), false, &err);
    if (rc == 0 && options.confirm)
        rc = tz_office_audit_confirm(o, &err);
    if (rc != 0)
        return out_error(&err);
    if (!options.offline)
        return compare(c, o, &options, &err);
    return print_result(c, NULL) == 0 ? CLI_DONE : CLI_FAILED;
}
