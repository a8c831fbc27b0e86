/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack of older versions that cannot be read is made anew from what else says who wrote them.
 *
 *   which versions     all behind its first one up to the next pack (or row), but for what a restore left out
 *   who, when, words   the audit entry of each: device, incarnation, seq, time of receipt, old version; its body: the
 *                      user and the claimed time
 *   effective time     the answer, which is kept for ever
 *   no audit entry     the server's own; it counts with the greatest effective time so far
 *   not known any more how far the device's clock was off, and the times of the server's own: nobody's edit is judged
 *                      by those
 *
 * Invariants
 *  1. The log must be whole, as far as its numbers tell, and each body the one that was written: else somebody's
 * version would pass for the server's own. Then nothing is made up; the error says which versions are meant.
 *  2. Reading makes a pack in memory only, so that readers can too. It is written at the end of a group, or when the
 * store is opened, with an incident.
 */
#include "apply_int.h"
#include "commit_int.h"
#include "history_int.h"
#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_ARENA_BYTES = 64 * 1024 * 1024, MENDED_AT_ONCE_MAX = 64 };

struct mend {
    struct tz_store *s;
    struct tz_commit_run *run;
    bool found[TZ_COMMIT_PACK_MAX];
    struct tz_arena a; /* of one entry */
    struct tz_err *err;
};

/* ---- which versions ---- */

/** The version after @ver: a restore goes on in its own epoch with the counter of the backup. */
static tz_ver next_version(const struct tz_store *s, tz_ver ver)
{
    const tz_ver counter = (UINT64_C(1) << TZ_VER_COUNTER_BITS) - 1;
    for (size_t i = s->nlost; i-- > 0;)
        if (ver == s->lost[i].above)
            return (s->lost[i].upto + 1) + (ver & counter) + 1;
    return ver + 1;
}

static int lay_out(struct mend *m, tz_ver first)
{
    struct tz_stmt *st = tz_store_sql(m->s, TZ_SQL_PACK_BEHIND, m->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)first);
    int rc = tz_stmt_step(st, m->err);
    tz_ver end = rc == 1 ? (tz_ver)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    m->run->n = 0;
    for (tz_ver v = first; rc >= 0 && v < end; v = next_version(m->s, v)) {
        if (m->run->n == TZ_COMMIT_PACK_MAX)
            return TZ_E_FORMAT;
        m->run->v[m->run->n++] = (struct tz_commit_entry){.c = {.ver = v}};
    }
    return rc < 0 ? rc : m->run->n ? 0 : TZ_E_FORMAT;
}

static size_t place_of(const struct mend *m, tz_ver ver)
{
    size_t lo = 0;
    size_t hi = m->run->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (m->run->v[mid].c.ver < ver)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < m->run->n && m->run->v[lo].c.ver == ver ? lo : m->run->n;
}

/* ---- what the log says of them ---- */

/** The time that it counted with: as it was answered; of answers that do not say, at most what it claimed. */
static int effective_of(struct mend *m, const struct tz_audit_meta *meta, tz_hlc claimed, tz_hlc *out)
{
    struct tz_answer answer;
    struct tz_wall received = {meta->received_ms};
    int rc = tz_answer_get(m->s, meta->device, meta->incarnation, meta->seq, &m->a, &answer, m->err);
    *out = rc == 1 && answer.r.ver == meta->ver ? answer.r.effective : 0;
    if (!*out)
        *out = tz_hlc_effective(claimed, 0, received, 0, 0);
    return rc < 0 ? rc : 0;
}

static int take_entry(struct mend *m, int64_t n, const struct tz_audit_meta *meta)
{
    size_t i = place_of(m, meta->ver);
    struct tz_bytes raw;
    if (i == m->run->n || m->found[i])
        return 0;
    tz_arena_reset(&m->a);
    struct tz_changeset *cs = tz_arena_calloc(&m->a, 1, sizeof *cs);
    if (!cs)
        return TZ_E_NOMEM;
    int rc = tz_audit_body(m->s, (uint64_t)n, &m->a, &raw, m->err);
    if (rc != 1)
        return rc < 0 ? rc : TZ_E_FORMAT;
    rc = tz_msg_read_changeset(raw, &m->a, cs, m->err);
    struct tz_commit_entry *e = &m->run->v[i];
    if (!rc)
        rc = effective_of(m, meta, cs->hlc, &e->c.effective);
    e->c.device = meta->device;
    e->c.incarnation = meta->incarnation;
    e->c.seq = meta->seq;
    e->c.user = cs->user;
    e->c.old_ver = meta->old_ver;
    e->claimed = cs->hlc;
    e->received_ms = meta->received_ms;
    m->found[i] = true;
    return rc;
}

/** One walk through the whole log; a number that is missing may be anybody's. */
static int take_entries(struct mend *m)
{
    struct tz_stmt st = {0};
    struct tz_audit_meta meta;
    int64_t expected = 1;
    int rc = tz_db_prepare(m->s->db, &st, "SELECT n,meta FROM audit ORDER BY n", m->err);
    while (!rc && (rc = tz_stmt_step(&st, m->err)) == 1) {
        int64_t n = tz_stmt_int(&st, 0);
        rc = n == expected++ ? 0 : TZ_E_FORMAT;
        if (!rc && tz_audit_meta_parse(tz_stmt_text(&st, 1), &meta) && meta.ver)
            rc = take_entry(m, n, &meta);
    }
    tz_stmt_finalize(&st);
    return rc;
}

/* ---- the rest ---- */

/** What is kept of the version before: by the pack before, if that can be read. */
static int entry_before(struct mend *m, tz_ver first, struct tz_commit_entry *out)
{
    struct tz_stmt *st = tz_store_sql(m->s, TZ_SQL_PACK_UPTO, m->err);
    struct tz_commit_run *before = malloc(sizeof *before);
    *out = (struct tz_commit_entry){.rules = TZ_RULES_VERSION, .catalogue = m->s->cat->version};
    if (!st || !before) {
        free(before);
        return st ? TZ_E_NOMEM : TZ_E_DB;
    }
    tz_stmt_bind_int(st, 1, (int64_t)first - 1);
    int rc = tz_stmt_step(st, m->err);
    if (rc == 1 && tz_commit_unpack((tz_ver)tz_stmt_int(st, 0), tz_stmt_blob(st, 2), before) == 0)
        *out = before->v[before->n - 1];
    tz_stmt_reset(st);
    free(before);
    return rc < 0 ? rc : 0;
}

static int complete(struct mend *m)
{
    struct tz_commit_entry last;
    int rc = entry_before(m, m->run->v[0].c.ver, &last);
    for (size_t i = 0; i < m->run->n && !rc; i++) {
        struct tz_commit_entry *e = &m->run->v[i];
        if (!m->found[i]) {
            e->c.effective = e->claimed = last.eff_max;
            e->received_ms = last.received_ms;
        }
        e->eff_max = e->c.effective > last.eff_max ? e->c.effective : last.eff_max;
        e->rules = last.rules;
        e->catalogue = last.catalogue;
        rc = tz_commit_author_known(m->s, e, m->err);
        rc = rc < 0 ? rc : rc == 1 ? 0 : TZ_E_FORMAT;
        last = *e;
    }
    return rc;
}

static int make(struct mend *m, tz_ver first, struct tz_buf *out)
{
    int rc = lay_out(m, first);
    if (!rc)
        rc = take_entries(m);
    if (!rc)
        rc = complete(m);
    return rc ? rc : tz_commit_pack(m->run, out);
}

int tz_commit_rebuild(struct tz_store *s, tz_ver first, tz_ver last, struct tz_buf *out, struct tz_err *err)
{
    struct tz_err why = {0};
    struct mend *m = calloc(1, sizeof *m);
    struct tz_commit_run *run = calloc(1, sizeof *run);
    char from[24];
    char to[24];
    int rc = TZ_E_NOMEM;
    if (m && run) {
        *m = (struct mend){.s = s, .run = run, .err = &why};
        tz_arena_init(&m->a, ENTRY_ARENA_BYTES);
        rc = make(m, first, out);
        tz_arena_deinit(&m->a);
    }
    free(m);
    free(run);
    (void)snprintf(from, sizeof from, "%" PRIu64, first);
    (void)snprintf(to, sizeof to, "%" PRIu64, last);
    if (rc == TZ_E_NOMEM || rc == TZ_E_DB)
        rc = tz_err_set(err, rc, "commits", NULL, NULL, NULL);
    else if (rc) {
        tz_log(TZ_LOG_ERROR, "store", "commits_lost", "first=%s last=%s code=%s", from, to, tz_err_info(rc)->symbol);
        rc = tz_err_set(err, TZ_E_COMMITS_LOST, from, to, NULL, NULL);
    }
    return rc;
}

/* ---- all of them ---- */

/** A damaged pack. */
struct damaged {
    tz_ver first, last;
};

/** The damaged packs behind @after, at most @max. */
static int find_damaged(struct tz_store *s, tz_ver after, struct damaged *out, size_t max, size_t *n,
                        struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_commit_run *run = malloc(sizeof *run);
    *n = 0;
    int rc =
        run ? tz_db_prepare(s->db, &st, "SELECT first,last,body FROM commit_pack WHERE first>? ORDER BY first", err)
            : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (!rc)
        tz_stmt_bind_int(&st, 1, (int64_t)after);
    while (!rc && *n < max && (rc = tz_stmt_step(&st, err)) == 1) {
        struct damaged d = {(tz_ver)tz_stmt_int(&st, 0), (tz_ver)tz_stmt_int(&st, 1)};
        int bad = tz_commit_unpack(d.first, tz_stmt_blob(&st, 2), run);
        if (bad || run->v[run->n - 1].c.ver != d.last)
            out[(*n)++] = d;
        rc = bad == TZ_E_NOMEM ? tz_err_set(err, bad, NULL, NULL, NULL, NULL) : 0;
    }
    tz_stmt_finalize(&st);
    free(run);
    return rc;
}

int tz_store_commits_check(struct tz_store *s, tz_pack_cb cb, void *ctx, struct tz_err *err)
{
    struct damaged d = {0};
    struct tz_buf b;
    size_t n = 0;
    int rc;
    while (!(rc = find_damaged(s, d.first, &d, 1, &n, err)) && n == 1) {
        struct tz_err why = {0};
        tz_buf_init(&b, TZ_ROW_BYTES_MAX);
        int lost = tz_commit_rebuild(s, d.first, d.last, &b, &why);
        tz_buf_deinit(&b);
        if (lost && lost != TZ_E_COMMITS_LOST) {
            *err = why;
            return lost;
        }
        cb(ctx, d.first, d.last, !lost);
    }
    return rc;
}

static int note(struct tz_store *s, const struct damaged *d, struct tz_err *err)
{
    char what[96];
    char detail[512];
    (void)snprintf(what, sizeof what, "%" PRIu64 "-%" PRIu64, d->first, d->last);
    (void)snprintf(detail, sizeof detail,
                   "服务器上第 %" PRIu64 " 至 %" PRIu64 " 版的提交记录（谁、何时）已损坏，已由审计日志重建\n"
                   "The server's record of who made versions %" PRIu64 " to %" PRIu64
                   " was damaged and has been rebuilt from the audit log",
                   d->first, d->last, d->first, d->last);
    return tz_incident_own(s, "commits_damaged", what, detail, err);
}

/** @run is unpacked from what was made: nothing is written that cannot be read. */
static int mend_one(struct tz_store *s, const struct damaged *d, struct tz_commit_run *run, struct tz_err *err)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_commit_rebuild(s, d->first, d->last, &b, err);
    if (!rc && tz_commit_unpack(d->first, tz_buf_unread(&b), run))
        rc = tz_err_set(err, TZ_E_INTERNAL, "commits", NULL, NULL, NULL);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_PACK_PUT, err);
    if (st) {
        tz_stmt_bind_int(st, 1, (int64_t)d->first);
        tz_stmt_bind_int(st, 2, (int64_t)run->v[run->n - 1].c.ver);
        tz_stmt_bind_blob(st, 3, b.p, b.len);
        rc = tz_stmt_run(st, err);
    } else if (!rc) {
        rc = TZ_E_DB;
    }
    tz_buf_deinit(&b);
    if (!rc)
        tz_log(TZ_LOG_WARN, "store", "commits_rebuilt", "first=%" PRIu64 " last=%" PRIu64, d->first, d->last);
    return rc ? rc : note(s, d, err);
}

int tz_commit_mend(struct tz_store *s, struct tz_err *err)
{
    struct damaged d[MENDED_AT_ONCE_MAX];
    struct tz_commit_run *run = malloc(sizeof *run);
    size_t n = MENDED_AT_ONCE_MAX;
    int rc = run ? 0 : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    for (tz_ver after = 0; !rc && n == MENDED_AT_ONCE_MAX;) {
        rc = find_damaged(s, after, d, MENDED_AT_ONCE_MAX, &n, err);
        for (size_t i = 0; i < n && !rc; i++) {
            struct tz_err why = {0};
            rc = mend_one(s, &d[i], run, &why);
            if (rc && rc != TZ_E_COMMITS_LOST)
                *err = why;
            rc = rc == TZ_E_COMMITS_LOST ? 0 : rc; /* it stays as it is; whoever asks for it is told */
            after = d[i].first;
        }
    }
    free(run);
    s->commits_damaged = false;
    return rc;
}

int tz_commit_mend_at_start(struct tz_store *s, struct tz_err *err)
{
    struct damaged d;
    size_t n = 0;
    int rc = find_damaged(s, 0, &d, 1, &n, err);
    if (rc || n == 0)
        return rc;
    rc = tz_store_group_begin(s, err);
    if (rc)
        return rc;
    s->commits_damaged = true;
    return tz_store_group_commit(s, err);
}
