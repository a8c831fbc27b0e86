/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect ─> CAUGHT_UP ─> (compare or inquire) ─> stop. The office is read after it on this thread, before that it
 * belongs to the connection's. The lease keeps two programs from having two sessions of one device.
 */
#include "round.h"
#include "folder.h"
#include "loop.h"

#include <string.h>
#include <uv.h>

struct round {
    const struct tz_round_options *opt;
    struct tz_round_report *report;
    struct tz_conn *conn; /* NULL once stopped */
    struct tz_compare *compare;
    struct tz_inquiry *inquiry;
    uv_timer_t tick;
    bool done;
    struct tz_err why;
    struct tz_sync_counters counters;
};

/* ---- reports ---- */

void tz_round_fill(struct tz_round_report *r, const struct tz_office_status *after, const struct tz_sync_counters *n)
{
    r->sent = n->changesets_sent;
    r->answered = n->results;
    r->applied = n->applied;
    r->reviewed = n->reviewed;
    r->handed_back = n->handed_back;
    r->renumbered = n->renumbered;
    r->made_over = n->made_over;
    r->rows = n->rows;
    r->refused = after->refused_changesets;
    r->waiting = after->waiting_changesets;
    r->held = after->held_changesets;
    r->partly = after->partly_changesets;
    r->partly_ops = after->partly_ops;
    r->partly_seq = after->partly_seq;
    r->cases = after->open_cases;
    r->unsent = after->unsent_changesets;
    r->offset_ms = after->offset_ms;
    r->audit_changed = after->audit_changed;
}

static const struct {
    const char *key;
    size_t at;
} numbers[] = {
    {"sent", offsetof(struct tz_round_report, sent)},
    {"answered", offsetof(struct tz_round_report, answered)},
    {"applied", offsetof(struct tz_round_report, applied)},
    {"reviewed", offsetof(struct tz_round_report, reviewed)},
    {"handed_back", offsetof(struct tz_round_report, handed_back)},
    {"renumbered", offsetof(struct tz_round_report, renumbered)},
    {"made_over", offsetof(struct tz_round_report, made_over)},
    {"rows", offsetof(struct tz_round_report, rows)},
    {"refused", offsetof(struct tz_round_report, refused)},
    {"waiting", offsetof(struct tz_round_report, waiting)},
    {"held", offsetof(struct tz_round_report, held)},
    {"cases", offsetof(struct tz_round_report, cases)},
    {"unsent", offsetof(struct tz_round_report, unsent)},
    {"partly_refused", offsetof(struct tz_round_report, partly)},
    {"refused_rows", offsetof(struct tz_round_report, partly_ops)},
    {"partly_seq", offsetof(struct tz_round_report, partly_seq)},
};

static json_t *rows_json(const struct tz_repair_report *r)
{
    json_t *a = json_array();
    char hex[TZ_ID_HEX + 1];
    for (size_t i = 0; i < r->nrows; i++) {
        tz_id_print(r->rows[i].id, hex);
        if (json_array_append_new(a, json_pack("{s:i, s:s, s:i}", "type", (int)r->rows[i].type, "id", hex, "found",
                                               (int)r->rows[i].what)) != 0)
            break;
    }
    return a;
}

static json_t *repair_json(const struct tz_repair_report *r)
{
    json_t *j = json_pack("{s:i, s:b, s:b, s:I, s:I}", "code", r->code, "dry", r->dry, "noted", r->noted, "buckets",
                          (json_int_t)r->buckets, "version", (json_int_t)r->ver);
    int bad = json_object_set_new(j, "rows", rows_json(r));
    for (int i = 0; i < TZ_REPAIR_WHATS; i++)
        bad |= json_object_set_new(j, tz_repair_what_name((enum tz_repair_what)i), json_integer((json_int_t)r->n[i]));
    if (bad == 0)
        return j;
    json_decref(j);
    return NULL;
}

static void parse_repair(const json_t *j, struct tz_repair_report *r)
{
    const json_t *rows = json_object_get(j, "rows");
    r->code = (int)json_integer_value(json_object_get(j, "code"));
    r->dry = json_is_true(json_object_get(j, "dry"));
    r->noted = json_is_true(json_object_get(j, "noted"));
    r->buckets = (uint64_t)json_integer_value(json_object_get(j, "buckets"));
    r->ver = (tz_ver)json_integer_value(json_object_get(j, "version"));
    for (int i = 0; i < TZ_REPAIR_WHATS; i++)
        r->n[i] = (uint64_t)json_integer_value(json_object_get(j, tz_repair_what_name((enum tz_repair_what)i)));
    for (size_t i = 0; i < json_array_size(rows) && i < TZ_REPAIR_ROWS_NAMED; i++) {
        const json_t *one = json_array_get(rows, i);
        const char *hex = json_string_value(json_object_get(one, "id"));
        struct tz_repair_row *row = &r->rows[r->nrows];
        row->type = (uint32_t)json_integer_value(json_object_get(one, "type"));
        row->what = (enum tz_repair_what)json_integer_value(json_object_get(one, "found"));
        if (hex != NULL && tz_id_parse(hex, &row->id) == 0)
            r->nrows++;
    }
}

json_t *tz_round_json(const struct tz_round_report *r)
{
    json_t *j = json_object();
    int bad = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t v;
        memcpy(&v, (const char *)r + numbers[i].at, sizeof v);
        bad |= json_object_set_new(j, numbers[i].key, json_integer((json_int_t)v));
    }
    bad |= json_object_set_new(j, "offset_ms", json_integer(r->offset_ms));
    bad |= json_object_set_new(j, "audit_changed", json_boolean(r->audit_changed));
    if (r->compared)
        bad |= json_object_set_new(
            j, "verify",
            json_pack("{s:i, s:b, s:b, s:I, s:I, s:I, s:i, s:o}", "code", r->compare.code, "same", r->compare.same,
                      "audit_ok", r->compare.audit_ok, "rows_here", (json_int_t)r->compare.rows_here, "rows_server",
                      (json_int_t)r->compare.rows_server, "version", (json_int_t)r->compare.ver, "attempts",
                      (int)r->compare.attempts, "repair", repair_json(&r->compare.repair)));
    if (bad == 0)
        return j;
    json_decref(j);
    return NULL;
}

void tz_round_parse(const json_t *j, struct tz_round_report *r)
{
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t v = (uint64_t)json_integer_value(json_object_get(j, numbers[i].key));
        memcpy((char *)r + numbers[i].at, &v, sizeof v);
    }
    r->offset_ms = json_integer_value(json_object_get(j, "offset_ms"));
    r->audit_changed = json_is_true(json_object_get(j, "audit_changed"));
    const json_t *v = json_object_get(j, "verify");
    if (v == NULL)
        return;
    r->compared = true;
    r->compare.code = (int)json_integer_value(json_object_get(v, "code"));
    r->compare.same = json_is_true(json_object_get(v, "same"));
    r->compare.audit_ok = json_is_true(json_object_get(v, "audit_ok"));
    r->compare.rows_here = (uint64_t)json_integer_value(json_object_get(v, "rows_here"));
    r->compare.rows_server = (uint64_t)json_integer_value(json_object_get(v, "rows_server"));
    r->compare.ver = (tz_ver)json_integer_value(json_object_get(v, "version"));
    r->compare.attempts = (unsigned)json_integer_value(json_object_get(v, "attempts"));
    parse_repair(json_object_get(v, "repair"), &r->compare.repair);
}

/* ---- the round ---- */

static void end(struct round *r, int code)
{
    if (r->done)
        return;
    r->done = true;
    if (code != 0 && r->why.code == 0)
        (void)tz_err_set(&r->why, code, r->opt->compare ? "verify" : "history", NULL, NULL, NULL);
    if (r->conn != NULL)
        tz_conn_stop(r->conn);
}

static void on_compared(void *ctx, const struct tz_compare_result *result)
{
    struct round *r = ctx;
    r->compare = NULL;
    r->report->compared = result->code == 0;
    r->report->compare = *result;
    end(r, result->code);
}

static void on_inquired(void *ctx, int code)
{
    struct round *r = ctx;
    r->inquiry = NULL;
    end(r, code);
}

/** Everything saved before is judged, everything written before is here: what else was asked for? */
static void on_caught_up(struct round *r)
{
    int rc = 0;
    if (r->done || r->compare != NULL || r->inquiry != NULL)
        return;
    if (r->opt->compare)
        rc = tz_compare_start(r->conn, r->opt->dry, on_compared, r, &r->compare);
    else if (r->opt->history != NULL)
        rc = tz_inquiry_start(r->conn, r->opt->history, r->opt->pages, on_inquired, r, &r->inquiry);
    else
        end(r, 0);
    if (rc != 0)
        end(r, rc);
}

static void on_event(void *ctx, enum tz_sync_event e)
{
    struct round *r = ctx;
    r->counters = *tz_conn_counters(r->conn);
    if (r->opt->progress != NULL)
        r->opt->progress(r->opt->ctx, &r->counters);
    if (r->compare != NULL)
        tz_compare_on_event(r->compare, e);
    if (e == TZ_SYNC_CAUGHT_UP)
        on_caught_up(r);
}

static void on_end(void *ctx, const struct tz_err *err, bool final)
{
    struct round *r = ctx;
    (void) final; /* one round, one session */
    r->counters = *tz_conn_counters(r->conn);
    if (!r->done)
        r->why = *err;
    if (r->compare != NULL)
        tz_compare_on_end(r->compare, err->code);
    if (r->inquiry != NULL)
        tz_inquiry_on_end(r->inquiry, err->code);
    end(r, err->code == 0 ? TZ_E_GONE : err->code);
}

static void on_stopped(void *ctx)
{
    struct round *r = ctx;
    r->conn = NULL;
    uv_close((uv_handle_t *)&r->tick, NULL);
}

static void on_tick_cb(uv_timer_t *h)
{
    struct round *r = h->data;
    if (r->compare != NULL)
        tz_compare_on_tick(r->compare);
    if (r->inquiry != NULL)
        tz_inquiry_on_tick(r->inquiry);
}

static void on_signal(void *ctx, int signum)
{
    struct round *r = ctx;
    (void)signum;
    if (!r->done)
        (void)tz_err_set(&r->why, TZ_E_INTERRUPTED, NULL, NULL, NULL, NULL);
    end(r, TZ_E_INTERRUPTED);
}

static int run_loop(struct round *r, struct tz_loop *loop, struct tz_err *err)
{
    const struct tz_conn_options opt = {
        .loop = tz_loop_uv(loop), .office = r->opt->office, .dir = r->opt->dir, .software = r->opt->software};
    const struct tz_conn_cb cb = {on_event, on_end, on_stopped, r};
    int rc = tz_conn_start(&opt, &cb, &r->conn, err);
    if (rc == 0) {
        (void)uv_timer_init(opt.loop, &r->tick);
        r->tick.data = r;
        (void)uv_timer_start(&r->tick, on_tick_cb, 1000, 1000);
    }
    tz_loop_run(loop);
    if (rc == 0 && r->why.code != 0) {
        *err = r->why;
        rc = err->code;
    }
    return rc;
}

int tz_round_wiped(const char *dir, struct tz_err *err)
{
    struct tz_err failed = {0};
    int rc = tz_folder_erase(dir, err->nargs ? err->args[0] : "", &failed);
    if (rc != 0) /* the next start goes on; what matters is gone from the database */
        *err = failed;
    return err->code;
}

int tz_round_run(const struct tz_round_options *opt, struct tz_round_report *report, struct tz_err *err)
{
    struct round r = {.opt = opt, .report = report};
    struct tz_office_status after;
    struct tz_loop *loop = NULL;
    int lease;
    memset(report, 0, sizeof *report);
    int rc = tz_folder_lease(opt->dir, &lease, err);
    if (rc != 0)
        return rc;
    rc = tz_loop_new(opt->signals ? on_signal : NULL, &r, &loop, err);
    if (rc == 0) {
        struct tz_err second = {0};
        rc = run_loop(&r, loop, err);
        int read = tz_office_status(opt->office, &after, rc == 0 ? err : &second);
        if (read == 0)
            tz_round_fill(report, &after, &r.counters);
        else if (rc == 0)
            rc = read;
    }
    tz_loop_free(loop);
    if (rc == TZ_E_WIPED)
        rc = tz_round_wiped(opt->dir, err);
    tz_folder_lease_release(lease);
    return rc;
}
