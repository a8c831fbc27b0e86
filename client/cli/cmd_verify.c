/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taizhang verify: is the database whole (SQLite's own check), and does it hold what the server says it should (digest
 * over the whole scope at one version, and the audit chain where this device last saw it)? With --confirm-audit, by
 * somebody who knows why the chain differs, the server's present one is remembered from now on.
 */
#include "out.h"
#include "request.h"
#include "told.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

static int parse(struct cli *c, int argc, char **argv, bool *offline, bool *confirm)
{
    static const struct option options[] = {
        {"offline", no_argument, NULL, 'o'}, {"confirm-audit", no_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    int opt;
    *offline = *confirm = false;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'o')
            *offline = true;
        else if (opt == 'a')
            *confirm = true;
        else
            return cli_usage_error(c, tr("不认识 %s", "%s is not known"), argv[optind - 1]);
    }
    return optind == argc ? CLI_DONE : cli_usage_error(c, tr("不认识 %s", "%s is not known"), argv[optind]);
}

static int print_result(const struct tz_round_report *r, bool offline)
{
    const struct tz_round_report none = {0};
    const struct tz_compare_result *v = r == NULL ? &none.compare : &r->compare;
    if (out_json_mode())
        return out_json(offline
                            ? json_pack("{s:b, s:b}", "database_ok", 1, "compared", 0)
                            : json_pack("{s:b, s:b, s:b, s:b, s:I, s:I, s:I}", "database_ok", 1, "compared", 1, "same",
                                        v->same, "audit_ok", v->audit_ok, "rows_here", (json_int_t)v->rows_here,
                                        "rows_server", (json_int_t)v->rows_server, "version", (json_int_t)v->ver));
    (void)printf("%s\n", tr("数据库完好", "the database is sound"));
    if (offline)
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

static int compare(struct cli *c, struct tz_office *o, struct tz_err *err)
{
    struct tz_round_report r = {0};
    struct tz_round_options opt = {.office = o, .software = "taizhang " TZ_VERSION, .compare = true, .signals = true};
    int rc = cli_data(c, &opt.dir, err);
    if (rc == 0)
        rc = tz_request_round(&opt, &r, err);
    if (rc != 0) {
        if (!c->json)
            out_note("%s", tr("数据库完好；没有能与服务器核对：",
                              "The database is sound; it could not be compared with the server:"));
        return out_error(err);
    }
    if (print_result(&r, false) != 0)
        return CLI_FAILED;
    if (r.compare.same && r.compare.audit_ok)
        return CLI_DONE;
    (void)tz_err_set(err, TZ_E_VERIFY, r.compare.same ? "audit" : "digest", NULL, NULL, NULL);
    return out_error(err);
}

int cmd_verify(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct tz_office *o;
    bool offline, confirm;
    int rc = parse(c, argc, argv, &offline, &confirm);
    if (rc != CLI_DONE)
        return rc;
    rc = cli_open_office(c, &o, &err);
    if (rc == 0)
        rc = tz_db_check(tz_office_db(o), false, &err);
    if (rc == 0 && confirm)
        rc = tz_office_audit_confirm(o, &err);
    if (rc != 0)
        return out_error(&err);
    if (!offline)
        return compare(c, o, &err);
    return print_result(NULL, true) == 0 ? CLI_DONE : CLI_FAILED;
}
