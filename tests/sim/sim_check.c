/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold. After every commit group the oracle is fed with what the server says it judged (sim_feed.c); then
 * outcomes, changed rows and cases are compared. From the rows a history is kept, so
 * that a client's checkpoint can be compared with the server's state of that version.
 */
#include "commit_int.h"
#include "sim_check_int.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- comparing rows ---- */

static void hex(struct tz_id id, char out[TZ_ID_HEX + 1])
{
    tz_id_print(id, out);
}

/** Records of steps: the oracle keeps the steps themselves. */
static bool is_step(const struct sim *w, const struct tz_type *t)
{
    for (size_t i = 0; i < w->cat->ntypes; i++)
        if (w->cat->types[i].nsteps && w->cat->types[i].event_type == t)
            return true;
    return false;
}

static bool of_oracle(const struct sim *w, const struct tz_type *t)
{
    return !is_step(w, t) && strcmp(t->name, "case") != 0 && strcmp(t->name, "incident") != 0 &&
           strcmp(t->name, "redirect") != 0;
}

static void compare_row(struct sim *w, const struct tz_row *row)
{
    char id[TZ_ID_HEX + 1];
    const struct oracle_row *o = oracle_find(w->oracle, row->rec.type, row->id);
    hex(row->id, id);
    if (!o) {
        sim_fail(w, "%s %s is on the server, not at the oracle", row->rec.type->name, id);
        return;
    }
    for (size_t i = 0; i < row->rec.type->nfields; i++)
        if (!tz_value_eq(row->rec.v[i], o->v[i])) {
            struct tz_buf b;
            tz_buf_init(&b, 65536);
            oracle_spell(&b, "server", row->rec.v[i]);
            oracle_spell(&b, "oracle", o->v[i]);
            sim_fail(w, "%s %s at version %" PRIu64 ", field %s: %.*s", row->rec.type->name, id, row->ver & 0xFFFFFF,
                     row->rec.type->fields[i].name, (int)b.len, (const char *)b.p);
            tz_buf_deinit(&b);
        }
    if (row->deleted != o->deleted)
        sim_fail(w, "%s %s deleted: server %d oracle %d", row->rec.type->name, id, row->deleted, o->deleted);
    if (!tz_area_eq(&row->area, &o->area))
        sim_fail(w, "%s %s area: server %s/%s oracle %s/%s", row->rec.type->name, id, row->area.district,
                 row->area.street, o->area.district, o->area.street);
    if (row->ver != o->ver)
        sim_fail(w, "%s %s version: server %" PRIu64 " oracle %" PRIu64, row->rec.type->name, id, row->ver & 0xFFFFFF,
                 o->ver & 0xFFFFFF);
}

/* ---- comparing steps ---- */

static struct tz_value step_value(const struct tz_row *row, const char *field)
{
    return row->rec.v[tz_type_field(row->rec.type, field)->index];
}

static void compare_step(struct sim *w, const struct tz_row *row)
{
    struct tz_id item;
    char id[TZ_ID_HEX + 1];
    uint64_t seq = (uint64_t)step_value(row, "seq").i;
    memcpy(item.b, row->rec.v[row->rec.type->area_field].p, TZ_ID_BYTES);
    hex(item, id);
    const struct oracle_event *e = oracle_event_find(w->oracle, item, seq);
    const struct oracle_row *of = e ? oracle_find(w->oracle, e->type, item) : NULL;
    if (!of) {
        sim_fail(w, "step %" PRIu64 " of %s is on the server, not at the oracle", seq, id);
        return;
    }
    struct tz_value none = tz_value_null();
    const struct {
        const char *field;
        struct tz_value is;
    } want[] = {{"action", tz_value_text(e->action)},
                {"from_state", e->from[0] ? tz_value_text(e->from) : none},
                {"to_state", tz_value_text(e->to)},
                {"actor", tz_value_blob(e->actor.b, TZ_ID_BYTES)},
                {"received_at", tz_value_int(e->received_ms)},
                {"expected_seq", tz_value_int((int64_t)e->expected_seq)},
                {"opinion", e->opinion},
                {"evidence", e->evidence}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        if (!tz_value_eq(step_value(row, want[i].field), want[i].is))
            sim_fail(w, "step %" PRIu64 " (%s) of %s: %s is not the oracle's", seq, e->action, id, want[i].field);
    if (!tz_area_eq(&row->area, &of->area) || row->deleted)
        sim_fail(w, "step %" PRIu64 " of %s does not lie where its record does", seq, id);
    w->n.steps += row->born > w->server.ver_seen; /* one that moved since is shown once */
}

/* ---- comparing cases ---- */

static struct tz_value case_value(const struct tz_record *rec, const char *field)
{
    return rec->v[tz_type_field(rec->type, field)->index];
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/** {"name":value,…} in the oracle's spelling. */
static void spell_values(const json_t *values, struct tz_buf *out)
{
    const char *names[TZ_FIELDS_MAX];
    size_t n = 0;
    for (void *it = json_object_iter((json_t *)(uintptr_t)values); it && n < TZ_FIELDS_MAX;
         it = json_object_iter_next((json_t *)(uintptr_t)values, it))
        names[n++] = json_object_iter_key(it);
    qsort(names, n, sizeof *names, name_cmp);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(values, names[i]);
        struct tz_value x = json_is_integer(v)  ? tz_value_int(json_integer_value(v))
                            : json_is_string(v) ? tz_value_textn(json_string_value(v), json_string_length(v))
                                                : tz_value_null();
        oracle_spell(out, names[i], x);
    }
}

static bool same_candidate(const json_t *c, const struct oracle_candidate *o)
{
    char by[64];
    char user[TZ_ID_HEX + 1];
    struct tz_buf b;
    const char *sby = json_string_value(json_object_get(c, "by"));
    const char *suser = json_string_value(json_object_get(c, "user"));
    const char *sof = json_string_value(json_object_get(c, "of"));
    char of[TZ_ID_HEX + 1] = "";
    (void)snprintf(by, sizeof by, "%u.%u.%" PRIu64, o->device, o->incarnation, o->seq);
    hex(o->user, user);
    if (!tz_id_is_zero(o->of))
        hex(o->of, of);
    bool same = sby && suser && strcmp(by, sby) == 0 && strcmp(user, suser) == 0 && strcmp(of, sof ? sof : "") == 0;
    if (json_object_get(c, "fields"))
        return same && sim_compact_same(c, o->values);
    tz_buf_init(&b, 1 << 20);
    spell_values(json_object_get(c, "values"), &b);
    same = same && b.len == strlen(o->values) && (b.len == 0 || memcmp(b.p, o->values, b.len) == 0);
    tz_buf_deinit(&b);
    return same;
}

static void compare_candidates(struct sim *w, const struct tz_row *row, const struct oracle_case *o, const char *what)
{
    json_t *all = json_array();
    static const char *const FIELDS[] = {"candidates", "candidates_secret"};
    int lists = strcmp(o->kind, "purged") == 0 ? 1 : 2; /* of one word the oracle keeps what everybody may read */
    for (int i = 0; i < lists; i++) {
        struct tz_value v = case_value(&row->rec, FIELDS[i]);
        json_t *j = v.kind == TZ_V_TEXT ? json_loadb((const char *)v.p, v.n, 0, NULL) : NULL;
        if (j)
            json_array_extend(all, j);
        json_decref(j);
    }
    bool ok = json_array_size(all) == o->ncand;
    bool emptied = false;
    for (size_t k = 0; k < json_array_size(all); k++)
        emptied = emptied || json_object_get(json_array_get(all, k), "fields");
    if (emptied)
        sim_compact_case(w, row, o, what);
    for (size_t i = 0; i < o->ncand && ok; i++) {
        bool found = false;
        for (size_t k = 0; k < json_array_size(all); k++)
            found = found || same_candidate(json_array_get(all, k), &o->cand[i]);
        ok = found;
    }
    if (!ok) {
        char *text = json_dumps(all, JSON_COMPACT);
        struct tz_buf b;
        tz_buf_init(&b, 65536);
        for (size_t i = 0; i < o->ncand; i++)
            if (tz_buf_printf(&b, " [%u.%" PRIu64 " %s]", o->cand[i].device, o->cand[i].seq, o->cand[i].values))
                break;
        sim_fail(w, "%s candidates: oracle%.*s server %s", what, (int)b.len, (const char *)b.p, text ? text : "");
        tz_buf_deinit(&b);
        free(text);
    }
    json_decref(all);
}

static bool case_key(const struct sim *w, const struct tz_record *rec, const struct tz_type **t, struct tz_id *id,
                     char subject[TZ_NAME_MAX + 1], uint32_t *generation)
{
    char name[TZ_NAME_MAX + 1] = "";
    struct tz_value type = case_value(rec, "target_type");
    struct tz_value target = case_value(rec, "target_id");
    struct tz_value s = case_value(rec, "subject");
    if (type.kind != TZ_V_TEXT || type.n > TZ_NAME_MAX || target.kind != TZ_V_BLOB || s.kind != TZ_V_TEXT ||
        s.n > TZ_NAME_MAX)
        return false;
    memcpy(name, type.p, type.n);
    *t = tz_catalogue_type(w->cat, name);
    memcpy(id->b, target.p, TZ_ID_BYTES);
    memcpy(subject, s.p, s.n);
    subject[s.n] = '\0';
    *generation = (uint32_t)case_value(rec, "generation").i;
    return *t != NULL;
}

static void compare_case(struct sim *w, const struct tz_row *row)
{
    const struct tz_type *t;
    struct tz_id target;
    char subject[TZ_NAME_MAX + 1];
    char what[160];
    char id[TZ_ID_HEX + 1];
    uint32_t generation;
    if (!case_key(w, &row->rec, &t, &target, subject, &generation)) {
        sim_fail(w, "a case does not say what it is about");
        return;
    }
    hex(target, id);
    (void)snprintf(what, sizeof what, "case %s %s %s generation %u", t->name, id, subject, generation);
    const struct oracle_case *o = oracle_case_find(w->oracle, t, target, subject, generation);
    const struct oracle_row *r = oracle_find(w->oracle, t, target);
    struct oracle_row ghost = {.type = t};
    if (o)
        ghost.area = o->area;
    if (o && !r && strcmp(subject, "_created") == 0)
        r = &ghost;
    if (!o || !r) {
        sim_fail(w, "%s is on the server, not at the oracle", what);
        return;
    }
    if (tz_value_is_text(case_value(&row->rec, "state"), "open") != o->open)
        sim_fail(w, "%s: oracle says %s", what, o->open ? "open" : "closed");
    if (!tz_value_is_text(case_value(&row->rec, "kind"), o->kind))
        sim_fail(w, "%s: oracle says %s", what, o->kind);
    const struct oracle_row *other = tz_id_is_zero(o->other) ? r : oracle_find(w->oracle, t, o->other);
    struct tz_area area = ora_common_area(&r->area, &other->area);
    if (strcmp(o->kind, "late_scope") == 0 && area.district[0] == '\0')
        memcpy(area.district, "120000", 7);
    if (strcmp(o->kind, "purged") != 0 && (uint64_t)case_value(&row->rec, "hidden_count").i != o->hidden)
        sim_fail(w, "%s: the oracle counts %" PRIu64 " more words", what, o->hidden);
    if (!tz_area_eq(&row->area, &area))
        sim_fail(w, "%s is in %s/%s, its record in %s/%s", what, row->area.district, row->area.street, area.district,
                 area.street);
    compare_candidates(w, row, o, what);
}

/** The oracle asks what a case id means; the server derives them. */
static bool case_of(void *ctx, struct tz_id id, const struct tz_type **type, struct tz_id *target, const char **subject,
                    uint32_t *generation)
{
    struct sim *w = ctx;
    static char name[TZ_NAME_MAX + 1];
    struct tz_arena a;
    struct tz_err err = {0};
    tz_arena_init(&a, 4 << 20);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = tz_replica_get(w->server.look, tz_catalogue_type(w->server.cat, "case"), id, &a, row, &err);
    bool ok = rc == 1 && case_key(w, &row->rec, type, target, name, generation);
    *subject = name;
    tz_arena_deinit(&a);
    return ok;
}

/* ---- after a commit ---- */

static void compare_outcome(struct sim *w, const struct oracle_outcome *o)
{
    struct tz_err err = {0};
    struct tz_answer was;
    const char *who = sim_client_of(w, o->device)->dev->name;
    if (oracle_outcome_of(w->oracle, o->device, o->incarnation, o->seq) != o)
        return; /* a later one of the same changeset follows */
    if (tz_answer_get(w->server.store, o->device, o->incarnation, o->seq, &w->scratch, &was, &err) != 1) {
        sim_fail(w, "P1: no result of %s seq %" PRIu64, who, o->seq);
    } else {
        struct tz_result r = was.r;
        for (size_t i = 0; i < o->nops && i < r.nops; i++)
            if (r.ops[i].outcome != o->ops[i])
                sim_fail(w, "%s seq %" PRIu64 " op %zu: server %d (code %d %s) oracle %d (code %d)", who, o->seq, i,
                         (int)r.ops[i].outcome, r.ops[i].code, r.ops[i].nargs ? r.ops[i].args[0] : "", (int)o->ops[i],
                         o->codes[i]);
        if (r.outcome != o->outcome || r.nops != o->nops || r.ver != o->ver || r.blocked_by != o->blocked_by)
            sim_fail(w,
                     "%s seq %" PRIu64 ": server %d version %" PRIu64 " behind %" PRIu64 ", oracle %d %" PRIu64
                     " %" PRIu64,
                     who, o->seq, (int)r.outcome, r.ver & 0xFFFFFF, r.blocked_by, (int)o->outcome, o->ver & 0xFFFFFF,
                     o->blocked_by);
    }
    for (size_t i = 0; i < o->nops; i++) {
        w->n.reviewed += o->ops[i] == TZ_OUT_UNDER_REVIEW;
        w->n.applied += o->ops[i] == TZ_OUT_APPLIED;
        w->n.superseded += o->ops[i] == TZ_OUT_SUPERSEDED;
        w->n.refused += o->ops[i] == TZ_OUT_REFUSED;
        w->n.waiting += o->ops[i] == TZ_OUT_WAITING;
    }
}

static void take_row(struct sim *w, const struct tz_row *row)
{
    bool is_case = strcmp(row->rec.type->name, "case") == 0;
    const struct past *was = sim_past_of(w->history, row->rec.type, row->id, false);
    was = was && was->n ? was : NULL;
    if (w->blind)
        w->n.rows_blind++;
    else if (is_case)
        compare_case(w, row);
    else if (is_step(w, row->rec.type))
        compare_step(w, row);
    else if (of_oracle(w, row->rec.type))
        compare_row(w, row);
    if (is_case)
        w->n.cases_opened += !was;
    if (is_case)
        w->n.late_words += tz_value_is_text(case_value(&row->rec, "kind"), "purged");
    if (is_case)
        w->n.late_scope += !was && tz_value_is_text(case_value(&row->rec, "kind"), "late_scope");
    w->n.area_moves += was && !tz_area_eq(&was->v[was->n - 1].area, &row->area);
    w->n.revived += was && was->v[was->n - 1].deleted && !row->deleted;
    sim_remember(w, row);
    sim_refs_note(w, row);
    sim_note_readers(w, row);
}

static void look_at_row(struct sim *w, const struct tz_type *t, struct tz_id id)
{
    struct tz_err err = {0};
    struct tz_arena a;
    tz_arena_init(&a, 8 << 20);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = tz_replica_get(w->server.look, sim_type_in(w->server.cat, t), id, &a, row, &err);
    if (rc == 1)
        sim_row_raise(w, row, &a);
    if (rc != 1)
        sim_fail(w, "the feed names a record that is not there: %d %s", rc, err.trail);
    if (rc == 1 && !w->history->seeded && of_oracle(w, t))
        oracle_seed(w->oracle, t, id, row->rec.v, row->ver, &row->area);
    if (rc == 1)
        take_row(w, row);
    tz_arena_deinit(&a);
}

/** The part of the feed of one tier and district: by its key, since the whole may be long. */
static void look_at_part(struct sim *w, int tier, const char *district)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(tz_store_db(w->server.store), &st,
                           "SELECT DISTINCT type, id FROM change WHERE tier = ?1 AND district = ?2 AND ver > ?3"
                           " AND leaving = 0 ORDER BY ver, type, id",
                           &err);
    tz_stmt_bind_int(&st, 1, tier);
    tz_stmt_bind_text(&st, 2, district);
    tz_stmt_bind_int(&st, 3, (int64_t)w->server.ver_seen);
    while (!rc && !w->failed && (rc = tz_stmt_step(&st, &err)) == 1) {
        struct tz_id id;
        tz_stmt_id(&st, 1, &id);
        look_at_row(w, tz_catalogue_type_id(w->cat, (uint32_t)tz_stmt_int(&st, 0)), id);
        rc = 0;
    }
    tz_stmt_reset(&st);
    tz_stmt_finalize(&st);
    if (rc && !w->failed)
        sim_fail(w, "reading the feed: %d %s", rc, err.trail);
}

static void look_at_changes(struct sim *w)
{
    const struct tz_type *division = tz_catalogue_type(w->cat, "division");
    const struct tz_field *code = tz_type_field(division, "code");
    for (int tier = 0; tier <= 1; tier++) {
        look_at_part(w, tier, "");
        for (size_t i = 0; i < w->cat->nrows; i++) {
            const struct tz_shipped_row *row = &w->cat->rows[i];
            char district[8] = "";
            if (row->type != division || row->values[code->index].n != 6) /* a street is part of its district */
                continue;
            memcpy(district, row->values[code->index].p, 6);
            look_at_part(w, tier, district);
        }
    }
    sim_refs_check(w);
}

/** What the oracle changed, the server changed too. */
static void look_at_oracle(struct sim *w)
{
    size_t n;
    char id[TZ_ID_HEX + 1];
    const struct oracle_row *const *v = oracle_changed(w->oracle, w->server.ver_seen, &n);
    for (size_t i = 0; i < n && !w->failed; i++) {
        const struct past *p = sim_past_of(w->history, v[i]->type, v[i]->id, false);
        hex(v[i]->id, id);
        if (!p || p->v[p->n - 1].ver != v[i]->ver)
            sim_fail(w, "%s %s changed at the oracle (version %" PRIu64 "), not on the server", v[i]->type->name, id,
                     v[i]->ver & 0xFFFFFF);
    }
    const struct oracle_event *e = oracle_events(w->oracle, &n);
    uint64_t steps = 0;
    while (n > 0 && e[n - 1].ver > w->server.ver_seen)
        n--, steps++;
    if (w->n.steps - w->history->steps_seen != steps)
        sim_fail(w, "%" PRIu64 " new steps on the server, %" PRIu64 " at the oracle",
                 w->n.steps - w->history->steps_seen, steps);
    w->history->steps_seen = w->n.steps;
}

static void first_look(struct sim *w)
{
    oracle_case_lookup(w->oracle, case_of, w);
    oracle_author_lookup(w->oracle, sim_author_now, w);
    sim_purge_look(w, false);
    look_at_changes(w);
    w->history->seeded = true;
    w->server.ver_seen = tz_store_head(w->server.store);
    w->server.audit_seen = (uint64_t)sim_number(w, "SELECT max(n) FROM audit WHERE ?1=?1 AND ?2=?2", 0, 0, 0);
    struct tz_commit_entry e = {0};
    struct tz_err err = {0};
    while (tz_commit_above(w->server.store, e.c.ver, &e, &err) == 1) /* what an edit saw may be any of them */
        oracle_head(w->oracle, e.c.ver, e.eff_max);
}

void sim_check_commits(struct sim *w)
{
    if (!w->history->seeded) {
        tz_arena_init(&w->scratch, (size_t)1 << 30);
        first_look(w);
        return;
    }
    uint64_t audit = (uint64_t)sim_number(w, "SELECT max(n) FROM audit WHERE ?1=?1 AND ?2=?2", 0, 0, 0);
    if (audit < w->server.audit_seen || tz_store_head(w->server.store) < w->server.ver_seen)
        sim_fail(w, "P1: the server forgot commits: audit %" PRIu64 " after %" PRIu64, audit, w->server.audit_seen);
    if (w->failed || audit == w->server.audit_seen)
        audit = 0;
    sim_feed_oracle(w);
    size_t n;
    const struct oracle_outcome *o = oracle_outcomes(w->oracle, &n);
    for (; w->history->outcomes_seen < n && !w->failed && !w->blind; w->history->outcomes_seen++)
        compare_outcome(w, &o[w->history->outcomes_seen]);
    if (!w->failed && !w->blind && tz_store_head(w->server.store) != oracle_head_ver(w->oracle))
        sim_fail(w, "head: server %" PRIu64 " oracle %" PRIu64, tz_store_head(w->server.store) & 0xFFFFFF,
                 oracle_head_ver(w->oracle) & 0xFFFFFF);
    if (!w->failed && tz_store_head(w->server.store) > w->server.ver_seen) {
        look_at_changes(w);
        if (!w->blind)
            look_at_oracle(w);
        w->server.ver_seen = tz_store_head(w->server.store);
    }
}
