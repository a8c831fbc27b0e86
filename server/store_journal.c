/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's lines: who may connect and who may do what, as a restore finds it again.
 *
 *   line    = check ' ' epoch ' ' base_n ' ' audit_n entry* LF   one group, one line: it is whole or it is not there
 *   check   = first 8 bytes of SHA-256 over what follows it, up to the LF, as hex
 *   entry   = TAB kind (' ' word)*                               the whole row as it is after the change
 *   word    = 'n' | 'i' number | 't' text | 'x' hex              in text, %XX stands for bytes up to space, '%' and DEL
 *
 * Invariants
 *  1. An entry is a state and not a change, so the last one of a row is what counts, and doing one twice is the same as
 * once.
 *  2. A line goes out before its group commits. When the group fails after that, a mark goes out before anything else
 * is committed, so that its base_n tells: what a line promises (audit_n) and a later one does not have never happened.
 *  3. base_n is the newest audit entry that was durable when the line was written: a database of that epoch that does
 * not reach so far is an older copy. audit_n cannot say so, since its group may have failed.
 *  4. A released kind keeps its words. One that has more is a new kind.
 */
#include "purge_int.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_BYTES = 8, CHECK_DIGITS = 2 * CHECK_BYTES, WORDS_MAX = 16, FOUND_LINE_BYTES = 1024 * 1024 };
enum { ENTRY_SCRATCH_BYTES = 1024 * 1024 }; /* one record may have to be read */

struct word_list {
    struct tz_value v[WORDS_MAX];
    size_t n;
};

struct kind {
    const char *name;
    size_t nwords;
    const char *each; /* keys of all rows */
    const char *get;  /* the words of the row with key ?1 */
    const char *same; /* a row when the words ?1… say what is there already */
    const char *put;  /* of the words ?1…, as many as it names; NULL: `after` does it all */
    size_t nput;
    int (*after)(struct tz_store *s, const struct word_list *w, struct tz_arena *a, struct tz_err *err);
};

static int user_record(struct tz_store *s, const struct word_list *w, struct tz_arena *a, struct tz_err *err);
static int purge_record(struct tz_store *s, const struct word_list *w, struct tz_arena *a, struct tz_err *err);
static int unit_record(struct tz_store *s, const struct word_list *w, struct tz_arena *a, struct tz_err *err);

static const struct kind KINDS[TZ_JOURNAL_KINDS] = {
    [TZ_JOURNAL_DEVICE] =
        {"device", 10, "SELECT number FROM device ORDER BY number",
         "SELECT number,incarnation,name,role,area,user,revoked,fingerprint,certificate,enrolled_ms FROM device"
         " WHERE number=?1",
         "SELECT 1 FROM device WHERE number=?1 AND incarnation=?2 AND name=?3 AND role=?4 AND area=?5 AND user=?6"
         " AND revoked=?7 AND fingerprint=?8 AND certificate=?9 AND enrolled_ms=?10",
         "INSERT INTO device(number,incarnation,name,role,area,user,revoked,fingerprint,certificate,enrolled_ms)"
         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) ON CONFLICT(number) DO UPDATE SET incarnation=excluded.incarnation,"
         "name=excluded.name,role=excluded.role,area=excluded.area,user=excluded.user,revoked=excluded.revoked,"
         "fingerprint=excluded.fingerprint,certificate=excluded.certificate,enrolled_ms=excluded.enrolled_ms",
         10, NULL},
    [TZ_JOURNAL_USER] =
        {"user", 6, "SELECT user FROM user_grant ORDER BY user",
         "SELECT g.user,g.code,g.role,g.area,g.active,u.name FROM user_grant g LEFT JOIN \"user\" u ON u._id=g.user"
         " WHERE g.user=?1",
         "SELECT 1 FROM user_grant g LEFT JOIN \"user\" u ON u._id=g.user WHERE g.user=?1 AND g.code=?2 AND g.role=?3"
         " AND g.area=?4 AND g.active=?5 AND u.name IS ?6",
         "INSERT INTO user_grant(user,code,role,area,active) VALUES(?1,?2,?3,?4,?5) ON CONFLICT(user) DO UPDATE SET"
         " code=excluded.code,role=excluded.role,area=excluded.area,active=excluded.active",
         5, user_record},
    [TZ_JOURNAL_INVITE] =
        {"invite", 7, "SELECT secret_hash FROM invite ORDER BY secret_hash",
         "SELECT secret_hash,role,area,name,device,key_hash,made_ms FROM invite WHERE secret_hash=?1",
         "SELECT 1 FROM invite WHERE secret_hash=?1 AND role=?2 AND area=?3 AND name=?4 AND device IS ?5"
         " AND key_hash IS ?6 AND made_ms=?7",
         "INSERT OR REPLACE INTO invite(secret_hash,role,area,name,device,key_hash,made_ms) "
         "VALUES(?1,?2,?3,?4,?5,?6,?7)",
         7, NULL},
    [TZ_JOURNAL_PURGED] = /* its key: 32 hex digits of the id, then the type */
    {"purged", 5, "SELECT hex(id)||type FROM purged ORDER BY type,id",
     "SELECT type,id,district,street,ver FROM purged WHERE id=unhex(substr(?1,1,32))"
     " AND type=CAST(substr(?1,33) AS INTEGER)",
     "SELECT 1 FROM purged WHERE type=?1 AND id=?2 AND district=?3 AND street=?4 AND ver=?5",
     "INSERT OR REPLACE INTO purged(type,id,district,street,ver) VALUES(?1,?2,?3,?4,?5)", 5, purge_record},
    [TZ_JOURNAL_UNIT] = {"unit", 2, "SELECT _id FROM \"user\" WHERE unit IS NOT NULL ORDER BY _id",
                         "SELECT _id,unit FROM \"user\" WHERE _id=?1",
                         "SELECT 1 FROM \"user\" WHERE _id=?1 AND unit IS ?2", NULL, 0, unit_record},
    [TZ_JOURNAL_NUMBERING] = /* its key: the series, then the type */
    {"numbering", 3, "SELECT series||' '||type FROM numbering ORDER BY type,series",
     "SELECT type,series,last FROM numbering WHERE series=substr(?1,1,instr(?1,' ')-1)"
     " AND type=CAST(substr(?1,instr(?1,' ')+1) AS INTEGER)",
     "SELECT 1 FROM numbering WHERE type=?1 AND series=?2 AND last>=?3",
     "INSERT INTO numbering(type,series,last) VALUES(?1,?2,?3) ON CONFLICT DO UPDATE SET last=max(last,excluded.last)",
     3, NULL},
    [TZ_JOURNAL_GRANT] =
        {"grant", 4, "SELECT number FROM device WHERE grant_since<>0 OR until_ms<>0 OR wiped_ms<>0 ORDER BY number",
         "SELECT number,grant_since,until_ms,wiped_ms FROM device WHERE number=?1",
         "SELECT 1 FROM device WHERE number=?1 AND grant_since=?2 AND until_ms=?3 AND wiped_ms=?4",
         "UPDATE device SET grant_since=?2,until_ms=?3,wiped_ms=?4 WHERE number=?1", 4, NULL},
    [TZ_JOURNAL_PAST] =
        {"past", 10, "SELECT n FROM grant_past ORDER BY n",
         "SELECT n,device,user,role,area,since_ver,until_ver,ended_ms,wiped_ver,wiped_ms FROM grant_past WHERE n=?1",
         "SELECT 1 FROM grant_past WHERE n=?1 AND device=?2 AND user=?3 AND role=?4 AND area=?5 AND since_ver=?6 AND"
         " until_ver=?7 AND ended_ms=?8 AND wiped_ver=?9 AND wiped_ms=?10",
         "INSERT OR REPLACE INTO grant_past(n,device,user,role,area,since_ver,until_ver,ended_ms,wiped_ver,wiped_ms)"
         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
         10, NULL},
    [TZ_JOURNAL_INSTALLATION] =
        {"installation", 6, "SELECT token FROM installation ORDER BY token",
         "SELECT token,device,incarnation,parent,fork_seq,made_ms FROM installation WHERE token=?1",
         "SELECT 1 FROM installation WHERE token=?1 AND device=?2 AND incarnation=?3 AND parent=?4 AND fork_seq=?5"
         " AND made_ms=?6",
         "INSERT INTO installation(token,device,incarnation,parent,fork_seq,made_ms,last_seq)"
         " VALUES(?1,?2,?3,?4,?5,?6,?5) ON CONFLICT DO NOTHING",
         6, NULL},
};

/* ---- words ---- */

static int put_text(struct tz_buf *b, struct tz_bytes t)
{
    int rc = tz_buf_putc(b, 't');
    for (size_t i = 0; i < t.n && !rc; i++)
        rc = t.p[i] <= ' ' || t.p[i] == '%' || t.p[i] == 0x7F ? tz_buf_printf(b, "%%%02x", t.p[i])
                                                              : tz_buf_putc(b, t.p[i]);
    return rc;
}

static int put_word(struct tz_buf *b, struct tz_value v)
{
    switch (v.kind) {
    case TZ_V_INT:
        return tz_buf_printf(b, "i%lld", (long long)v.i);
    case TZ_V_TEXT:
        return put_text(b, tz_bytes_of(v.p, v.n));
    case TZ_V_BLOB: {
        int rc = tz_buf_putc(b, 'x');
        return rc ? rc : tz_hex_put(b, tz_bytes_of(v.p, v.n));
    }
    case TZ_V_NULL:
    default:
        return tz_buf_putc(b, 'n');
    }
}

static int hex_byte(const char *two, uint8_t *out)
{
    const char digits[3] = {two[0], two[1], '\0'};
    return tz_hex_decode(digits, out, 1);
}

static int get_text(const char *w, struct tz_arena *a, struct tz_value *out)
{
    size_t n = 0;
    char *text = tz_arena_alloc(a, strlen(w) + 1);
    if (!text)
        return TZ_E_NOMEM;
    for (; *w; w++, n++) {
        uint8_t byte = (uint8_t)*w;
        if (*w == '%' && (!w[1] || !w[2] || hex_byte(w + 1, &byte)))
            return TZ_E_FORMAT;
        w += *w == '%' ? 2 : 0;
        text[n] = (char)byte;
    }
    *out = tz_value_textn(text, n);
    return 0;
}

static int get_blob(const char *w, struct tz_arena *a, struct tz_value *out)
{
    size_t n = strlen(w) / 2;
    uint8_t *p = tz_arena_alloc(a, n + 1);
    if (!p)
        return TZ_E_NOMEM;
    *out = tz_value_blob(p, n);
    return tz_hex_decode(w, p, n);
}

static int get_word(const char *w, struct tz_arena *a, struct tz_value *out)
{
    char *end = NULL;
    switch (w[0]) {
    case 'n':
        *out = tz_value_null();
        return w[1] ? TZ_E_FORMAT : 0;
    case 'i':
        *out = tz_value_int(strtoll(w + 1, &end, 10));
        return w[1] && !*end ? 0 : TZ_E_FORMAT;
    case 't':
        return get_text(w + 1, a, out);
    case 'x':
        return get_blob(w + 1, a, out);
    default:
        return TZ_E_FORMAT;
    }
}

/* ---- out ---- */

int tz_journal_note(struct tz_store *s, enum tz_journal_kind kind, struct tz_value key, struct tz_err *err)
{
    struct tz_stmt st = {0};
    const struct kind *k = &KINDS[kind];
    if (!s->journal)
        return 0;
    int rc = tz_db_prepare(s->db, &st, k->get, err);
    if (!rc) {
        tz_stmt_bind_value(&st, 1, key);
        rc = tz_stmt_step(&st, err);
        if (rc == 0)
            rc = tz_err_set(err, TZ_E_INTERNAL, "journal", k->name, NULL, NULL);
    }
    int put = rc == 1 ? tz_buf_printf(&s->entries, "\t%s", k->name) : 0;
    for (size_t i = 0; i < k->nwords && rc == 1 && !put; i++) {
        put = tz_buf_putc(&s->entries, ' ');
        if (!put)
            put = put_word(&s->entries, tz_stmt_value(&st, (int)i));
    }
    tz_stmt_finalize(&st);
    if (put)
        return tz_err_set(err, put, "journal", NULL, NULL, NULL);
    return rc < 0 ? rc : 0;
}

static int write_line(struct tz_store *s, uint64_t audit_n, struct tz_bytes entries, struct tz_err *err)
{
    struct tz_buf body;
    struct tz_buf line;
    uint8_t hash[TZ_SHA256_BYTES];
    tz_buf_init(&body, entries.n + 128);
    tz_buf_init(&line, entries.n + 256);
    int rc =
        tz_buf_printf(&body, "%u %llu %llu", s->epoch, (unsigned long long)s->audit_n, (unsigned long long)audit_n);
    if (!rc)
        rc = tz_buf_put(&body, entries.p, entries.n);
    struct tz_bytes b = tz_buf_unread(&body);
    if (!rc)
        rc = tz_sha256(b, hash);
    if (!rc)
        rc = tz_hex_put(&line, tz_bytes_of(hash, CHECK_BYTES));
    if (!rc)
        rc = tz_buf_putc(&line, ' ');
    if (!rc)
        rc = tz_buf_put(&line, b.p, b.n);
    if (!rc)
        rc = tz_buf_putc(&line, '\n');
    rc = rc ? tz_err_set(err, rc, "journal", NULL, NULL, NULL) : s->journal(s->journal_ctx, tz_buf_unread(&line), err);
    tz_buf_deinit(&body);
    tz_buf_deinit(&line);
    return rc;
}

static int found_kind(struct tz_store *s, enum tz_journal_kind kind, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, KINDS[kind].each, err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        rc = tz_journal_note(s, kind, tz_stmt_value(&st, 0), err);
        if (!rc && s->entries.len >= FOUND_LINE_BYTES)
            rc = tz_journal_flush(s, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

void tz_store_numbered(struct tz_store *s, uint32_t type, const char *series)
{
    for (size_t i = 0; i < s->nnumbered && i < TZ_NUMBERED_MAX; i++)
        if (s->numbered[i].type == type && strcmp(s->numbered[i].series, series) == 0)
            return;
    if (s->nnumbered < TZ_NUMBERED_MAX) {
        s->numbered[s->nnumbered].type = type;
        (void)snprintf(s->numbered[s->nnumbered].series, sizeof s->numbered[0].series, "%s", series);
    }
    s->nnumbered++;
}

/** Where the series stand in which the group gave numbers, as it commits: what it took back is not told. */
static int note_numbers(struct tz_store *s, struct tz_err *err)
{
    bool all = s->nnumbered > TZ_NUMBERED_MAX;
    size_t n = all ? 0 : s->nnumbered;
    int rc = all && s->journal ? found_kind(s, TZ_JOURNAL_NUMBERING, err) : 0;
    s->nnumbered = 0;
    for (size_t i = 0; i < n && !rc && s->journal; i++) {
        char key[32];
        struct tz_stmt st = {0};
        (void)snprintf(key, sizeof key, "%s %u", s->numbered[i].series, s->numbered[i].type);
        rc = tz_db_prepare(s->db, &st, KINDS[TZ_JOURNAL_NUMBERING].get, err);
        if (!rc) {
            tz_stmt_bind_text(&st, 1, key);
            rc = tz_stmt_step(&st, err);
        }
        tz_stmt_finalize(&st);
        rc = rc == 1 ? tz_journal_note(s, TZ_JOURNAL_NUMBERING, tz_value_text(key), err) : rc;
    }
    return rc;
}

int tz_journal_flush(struct tz_store *s, struct tz_err *err)
{
    int noted = note_numbers(s, err);
    if (noted)
        return noted;
    if (!s->journal || s->entries.len == 0)
        return 0;
    int rc = write_line(s, s->group_audit_n, tz_buf_unread(&s->entries), err);
    s->journal_ahead = s->journal_ahead || rc == 0;
    tz_buf_clear(&s->entries);
    return rc;
}

int tz_store_mark(struct tz_store *s, struct tz_err *err)
{
    int rc = s->journal ? write_line(s, s->audit_n, (struct tz_bytes){0}, err) : 0;
    s->journal_ahead = s->journal_ahead && rc;
    return rc;
}

int tz_journal_found(struct tz_store *s, struct tz_err *err)
{
    int rc = 0;
    s->group_audit_n = s->audit_n;
    tz_buf_clear(&s->entries);
    for (int kind = 0; kind < TZ_JOURNAL_KINDS && !rc; kind++)
        rc = found_kind(s, (enum tz_journal_kind)kind, err);
    return rc ? rc : tz_journal_flush(s, err);
}

/* ---- in ---- */

/** A number and the one character that must follow it; moves @b on to behind it. */
static int take_number(struct tz_bytes *b, char after, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < b->n && i < 19 && b->p[i] >= '0' && b->p[i] <= '9'; i++)
        v = v * 10 + (uint64_t)(b->p[i] - '0');
    bool ended = i < b->n ? b->p[i] == (uint8_t)after : after == '\t';
    if (i == 0 || !ended)
        return TZ_E_FORMAT;
    *out = v;
    *b = tz_bytes_of(b->p + i, b->n - i);
    if (after == ' ')
        *b = tz_bytes_of(b->p + 1, b->n - 1);
    return 0;
}

int tz_journal_line_read(struct tz_bytes line, struct tz_journal_line *out)
{
    uint8_t hash[TZ_SHA256_BYTES];
    char digits[2 * TZ_SHA256_BYTES + 1];
    uint64_t epoch = 0;
    if (line.n && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n <= CHECK_DIGITS + 1 || line.p[CHECK_DIGITS] != ' ')
        return TZ_E_FORMAT;
    struct tz_bytes b = tz_bytes_of(line.p + CHECK_DIGITS + 1, line.n - CHECK_DIGITS - 1);
    int rc = tz_sha256(b, hash);
    if (rc)
        return rc;
    if (memcmp(tz_hex_encode(tz_bytes_of(hash, CHECK_BYTES), digits), line.p, CHECK_DIGITS) != 0)
        return TZ_E_FORMAT;
    if (take_number(&b, ' ', &epoch) || take_number(&b, ' ', &out->base_n) || take_number(&b, '\t', &out->audit_n))
        return TZ_E_FORMAT;
    out->epoch = (uint32_t)epoch;
    out->entries = b;
    return epoch <= UINT32_MAX ? 0 : TZ_E_FORMAT;
}

static int user_record(struct tz_store *s, const struct word_list *w, struct tz_arena *a, struct tz_err *err)
{
    struct tz_id id;
    const char *text[6] = {NULL};
    if (w->v[0].kind != TZ_V_BLOB || w->v[0].n != TZ_ID_BYTES)
        return TZ_E_FORMAT;
    memcpy(id.b, w->v[0].p, sizeof id.b);
    for (size_t i = 1; i < 6; i++)
        if (w->v[i].kind == TZ_V_TEXT) {
            char *copy = tz_arena_calloc(a, 1, w->v[i].n + 1);
            if (!copy)
                return TZ_E_NOMEM;
            memcpy(copy, w->v[i].p, w->v[i].n);
            text[i] = copy;
        }
    if (!text[1] || !text[2] || !text[3])
        return TZ_E_FORMAT;
    return tz_who_put_user(s, id, text[1], text[5], text[2], text[3], w->v[4].i != 0, err);
}

static int purge_record(struct tz_store *s, const struct word_list *w, struct tz_arena *a, struct tz_err *err)
{
    struct tz_id id;
    if (w->v[0].kind != TZ_V_INT || w->v[1].kind != TZ_V_BLOB || w->v[1].n != TZ_ID_BYTES)
        return TZ_E_FORMAT;
    memcpy(id.b, w->v[1].p, sizeof id.b);
    return tz_purge_again(s, (uint32_t)w->v[0].i, id, a, err);
}

static int unit_record(struct tz_store *s, const struct word_list *w, struct tz_arena *a, struct tz_err *err)
{
    struct tz_id id[2];
    (void)a;
    for (size_t i = 0; i < 2; i++) {
        if (w->v[i].kind == TZ_V_NULL && i == 1)
            break;
        if (w->v[i].kind != TZ_V_BLOB || w->v[i].n != TZ_ID_BYTES)
            return TZ_E_FORMAT;
        memcpy(id[i].b, w->v[i].p, TZ_ID_BYTES);
    }
    return tz_who_put_unit(s, id[0], w->v[1].kind == TZ_V_NULL ? NULL : &id[1], err);
}

static void bind_words(struct tz_stmt *st, const struct word_list *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tz_stmt_bind_value(st, (int)i + 1, w->v[i]);
}

/** 1 when the row was not so already. */
static int put_row(struct tz_store *s, const struct kind *k, const struct word_list *w, struct tz_arena *a,
                   struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, k->same, err);
    if (!rc) {
        bind_words(&st, w, k->nwords);
        rc = tz_stmt_step(&st, err);
    }
    tz_stmt_finalize(&st);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = k->put ? tz_db_prepare(s->db, &st, k->put, err) : 0;
    if (!rc && k->put) {
        bind_words(&st, w, k->nput);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (!rc && k->after)
        rc = k->after(s, w, a, err);
    return rc ? rc : 1;
}

/** @text is cut into its words. */
static int replay_entry(struct tz_store *s, char *text, struct tz_arena *a, struct tz_err *err)
{
    struct word_list w = {.n = 0};
    char *rest = NULL;
    const char *name = strtok_r(text, " ", &rest);
    const struct kind *k = NULL;
    for (size_t i = 0; name && i < TZ_JOURNAL_KINDS; i++)
        if (strcmp(name, KINDS[i].name) == 0)
            k = &KINDS[i];
    for (const char *word; k && (word = strtok_r(NULL, " ", &rest)) != NULL;) {
        int rc = w.n < k->nwords ? get_word(word, a, &w.v[w.n++]) : TZ_E_FORMAT;
        if (rc)
            return rc;
    }
    return k && w.n == k->nwords ? put_row(s, k, &w, a, err) : TZ_E_FORMAT;
}

int tz_journal_replay(struct tz_store *s, const struct tz_journal_line *line, size_t *changed, struct tz_err *err)
{
    struct tz_arena a; /* of one entry: a line may hold thousands, and each may read a record */
    char *rest = NULL;
    char *text = calloc(1, line->entries.n + 1);
    int rc = text ? 0 : TZ_E_NOMEM;
    *changed = 0;
    tz_arena_init(&a, 8 * line->entries.n + ENTRY_SCRATCH_BYTES);
    if (!rc && line->entries.n)
        memcpy(text, line->entries.p, line->entries.n);
    for (char *entry = rc ? NULL : strtok_r(text, "\t", &rest); entry && rc >= 0; entry = strtok_r(NULL, "\t", &rest)) {
        tz_arena_reset(&a);
        rc = replay_entry(s, entry, &a, err);
        *changed += rc == 1;
    }
    tz_arena_deinit(&a);
    free(text);
    if (rc >= 0)
        return 0;
    return err && err->code == rc ? rc : tz_err_set(err, rc, "journal", NULL, NULL, NULL);
}
