/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of commits as columns of small numbers (rice.h). Nearly all of a commit can be guessed from the one before it
 * and from the one before it of the same author; kept is by how much the guess was wrong.
 *
 *   byte 2, varint how many, byte 1 when effective times are guessed by the author's last one, 0 by the last one of
 * all, varint: milliseconds of the first effective time, greatest effective time before the run, day of the first
 * receipt; authors in the order in which they first appear: varint author, varint seq; then the columns, and the first
 * four bytes of the SHA-256 of all that:
 *
 *   version      how many are left out before it
 *   author       how many other authors were there since his last one; how many there were at all: a new one
 *   seq          less his last one + 1
 *   effective    milliseconds, less the guess · the counter
 *   eff_max      less max(the one before, effective)
 *   offset       less his last one (0)
 *   claimed      less effective - offset, as whole numbers
 *   received     day, less the one before
 *   old version  0 none; else 1 + how far from the old version before + 1
 *   rules · catalogue   less the one before
 *
 * Differences may be negative and are kept as tz_zigzag of them, modulo 2^64. So whatever is put in comes out, guessed
 * well or not. Of damaged bytes nearly any would make sense, as somebody else's commits: so there is a sum. Byte 1, of
 * before there was one, is the same without it. The day of a receipt is the count of days since 1970 at its end (UTC):
 * rounded up, so that nothing becomes older than it is.
 */
#include "codec.h"
#include "commit_int.h"
#include "hash.h"
#include "rice.h"

#include <stdlib.h>
#include <string.h>

enum { FORMAT_UNSUMMED = 1, FORMAT = 2, SUM_BYTES = 4 };
static const int64_t DAY_MS = 24 * 3600 * 1000;

enum column {
    C_VER,
    C_AUTHOR,
    C_SEQ,
    C_EFFECTIVE,
    C_COUNTER,
    C_EFF_MAX,
    C_OFFSET,
    C_CLAIMED,
    C_RECEIVED,
    C_OLD,
    C_RULES,
    C_CATALOGUE,
    C_COUNT
};

/** An author, and his last commit so far. */
struct author {
    uint32_t author;
    uint64_t seq;
    uint64_t ms;
    int64_t offset_ms;
};

/** What is guessed from. Both ways go through the same states. */
struct guess {
    bool by_author;
    struct author v[TZ_COMMIT_PACK_MAX]; /* the last one first */
    size_t n;
    tz_ver ver;
    uint64_t ms, day;
    tz_hlc eff_max;
    tz_ver old;
    uint32_t rules, catalogue;
};

struct work {
    struct guess g;
    uint64_t column[C_COUNT][TZ_COMMIT_PACK_MAX];
};

static uint64_t diff(uint64_t a, uint64_t b)
{
    return tz_zigzag((int64_t)(a - b));
}

static uint64_t undiff(uint64_t d, uint64_t b)
{
    return b + (uint64_t)tz_unzigzag(d);
}

static uint64_t day_of(int64_t ms)
{
    int64_t day = ms / DAY_MS;
    return (uint64_t)(ms > day * DAY_MS ? day + 1 : day);
}

static size_t author_at(const struct guess *g, uint32_t author)
{
    size_t i = 0;
    while (i < g->n && g->v[i].author != author)
        i++;
    return i;
}

/** The @i-th comes to the front; a new one as @fresh. */
static struct author *author_first(struct guess *g, size_t i, struct author fresh)
{
    struct author a = i < g->n ? g->v[i] : fresh;
    g->n += i == g->n;
    memmove(&g->v[1], &g->v[0], i * sizeof *g->v);
    g->v[0] = a;
    return &g->v[0];
}

static uint64_t effective_guess(const struct guess *g, const struct author *a, bool fresh)
{
    return g->by_author && !fresh ? a->ms : g->ms;
}

/** Here is what the next is guessed from. */
static void move_on(struct guess *g, struct author *a, const struct tz_commit_entry *e)
{
    a->seq = e->c.seq;
    a->ms = g->ms = e->c.effective >> 16;
    a->offset_ms = e->offset_ms;
    g->ver = e->c.ver;
    g->eff_max = e->eff_max;
    g->day = day_of(e->received_ms);
    g->old = e->c.old_ver ? e->c.old_ver : g->old;
    g->rules = e->rules;
    g->catalogue = e->catalogue;
}

static uint64_t claimed_guess(const struct tz_commit_entry *e)
{
    return e->c.effective - ((uint64_t)e->offset_ms << 16);
}

static tz_hlc eff_max_guess(const struct guess *g, const struct tz_commit_entry *e)
{
    return e->c.effective > g->eff_max ? e->c.effective : g->eff_max;
}

/* ---- there ---- */

static int pack_one(struct work *w, const struct tz_commit_entry *e, size_t at, struct tz_buf *authors)
{
    struct guess *g = &w->g;
    size_t i = author_at(g, e->author);
    bool fresh = i == g->n;
    struct author *a = author_first(g, i, (struct author){.author = e->author, .seq = e->c.seq - 1});
    const uint64_t v[C_COUNT] = {
        [C_VER] = at ? e->c.ver - g->ver - 1 : 0,
        [C_AUTHOR] = i,
        [C_SEQ] = diff(e->c.seq, a->seq + 1),
        [C_EFFECTIVE] = diff(e->c.effective >> 16, effective_guess(g, a, fresh)),
        [C_COUNTER] = e->c.effective & 0xFFFF,
        [C_EFF_MAX] = diff(e->eff_max, eff_max_guess(g, e)),
        [C_OFFSET] = diff((uint64_t)e->offset_ms, (uint64_t)a->offset_ms),
        [C_CLAIMED] = diff(e->claimed, claimed_guess(e)),
        [C_RECEIVED] = diff(day_of(e->received_ms), g->day),
        [C_OLD] = e->c.old_ver ? 1 + diff(e->c.old_ver, g->old + 1) : 0,
        [C_RULES] = diff(e->rules, g->rules),
        [C_CATALOGUE] = diff(e->catalogue, g->catalogue),
    };
    for (size_t c = 0; c < C_COUNT; c++)
        w->column[c][at] = v[c];
    int rc = fresh ? tz_wire_put_varint(authors, e->author) : 0;
    if (!rc && fresh)
        rc = tz_wire_put_varint(authors, e->c.seq);
    move_on(g, a, e);
    return rc;
}

enum head { H_FORMAT, H_COUNT, H_BY_AUTHOR, H_MS, H_EFF_MAX, H_DAY, H_RULES, H_CATALOGUE, H_NUMBERS };

static void guess_begin(struct guess *g, const uint64_t head[H_NUMBERS])
{
    memset(g, 0, sizeof *g);
    g->by_author = head[H_BY_AUTHOR] == 1;
    g->ms = head[H_MS];
    g->eff_max = head[H_EFF_MAX];
    g->day = head[H_DAY];
    g->rules = (uint32_t)head[H_RULES];
    g->catalogue = (uint32_t)head[H_CATALOGUE];
}

static int pack_as(struct work *w, const struct tz_commit_run *run, bool by_author, struct tz_buf *out)
{
    const struct tz_commit_entry *first = &run->v[0];
    struct tz_buf authors;
    const uint64_t head[H_NUMBERS] = {
        [H_FORMAT] = FORMAT,          [H_COUNT] = run->n,
        [H_BY_AUTHOR] = by_author,    [H_MS] = first->c.effective >> 16,
        [H_EFF_MAX] = first->eff_max, [H_DAY] = day_of(first->received_ms),
        [H_RULES] = first->rules,     [H_CATALOGUE] = first->catalogue,
    };
    int rc = 0;
    guess_begin(&w->g, head);
    for (size_t i = 0; i < H_NUMBERS && !rc; i++)
        rc = tz_wire_put_varint(out, head[i]);
    tz_buf_init(&authors, TZ_ROW_BYTES_MAX);
    for (size_t i = 0; i < run->n && !rc; i++)
        rc = pack_one(w, &run->v[i], i, &authors);
    if (!rc)
        rc = tz_wire_put_varint(out, w->g.n);
    if (!rc)
        rc = tz_buf_put(out, authors.len ? authors.p : (const uint8_t *)"", authors.len);
    tz_buf_deinit(&authors);
    for (size_t c = 0; c < C_COUNT && !rc; c++)
        rc = tz_rice_put(out, w->column[c], run->n);
    return rc;
}

static int put_summed(struct tz_bytes body, struct tz_buf *out)
{
    uint8_t sum[TZ_SHA256_BYTES];
    int rc = tz_sha256(body, sum);
    if (!rc)
        rc = tz_buf_put(out, body.p, body.n);
    return rc ? rc : tz_buf_put(out, sum, SUM_BYTES);
}

int tz_commit_pack(const struct tz_commit_run *run, struct tz_buf *out)
{
    struct work *w = malloc(sizeof *w);
    struct tz_buf by_all;
    struct tz_buf by_author;
    tz_buf_init(&by_all, TZ_ROW_BYTES_MAX);
    tz_buf_init(&by_author, TZ_ROW_BYTES_MAX);
    int rc = w ? pack_as(w, run, false, &by_all) : TZ_E_NOMEM;
    if (!rc)
        rc = pack_as(w, run, true, &by_author);
    const struct tz_buf *least = by_author.len < by_all.len ? &by_author : &by_all;
    if (!rc)
        rc = put_summed(tz_bytes_of(least->p, least->len), out);
    tz_buf_deinit(&by_all);
    tz_buf_deinit(&by_author);
    free(w);
    return rc;
}

/* ---- and back ---- */

/** The next new author; 0 or TZ_E_FORMAT. */
static int take_author(struct tz_bytes *authors, uint64_t *left, struct author *out)
{
    uint64_t n = 0;
    uint64_t seq = 0;
    if (!*left || tz_wire_take_varint(authors, &n) || tz_wire_take_varint(authors, &seq) || n > UINT32_MAX)
        return TZ_E_FORMAT;
    (*left)--;
    *out = (struct author){.author = (uint32_t)n, .seq = seq - 1};
    return 0;
}

static int unpack_one(struct work *w, size_t at, struct tz_bytes *authors, uint64_t *left, struct tz_commit_entry *e)
{
    struct guess *g = &w->g;
    uint64_t v[C_COUNT];
    struct author fresh = {0};
    for (size_t c = 0; c < C_COUNT; c++)
        v[c] = w->column[c][at];
    bool is_new = v[C_AUTHOR] == g->n;
    if ((at == 0 && v[C_VER]) || v[C_VER] >= (uint64_t)INT64_MAX - g->ver || v[C_AUTHOR] > g->n ||
        v[C_COUNTER] > 0xFFFF || (is_new && take_author(authors, left, &fresh)))
        return TZ_E_FORMAT;
    struct author *a = author_first(g, (size_t)v[C_AUTHOR], fresh);
    e->author = a->author;
    e->c.ver = g->ver + 1 + v[C_VER];
    e->c.seq = undiff(v[C_SEQ], a->seq + 1);
    e->c.effective = undiff(v[C_EFFECTIVE], effective_guess(g, a, is_new)) << 16 | v[C_COUNTER];
    e->eff_max = undiff(v[C_EFF_MAX], eff_max_guess(g, e));
    e->offset_ms = (int64_t)undiff(v[C_OFFSET], (uint64_t)a->offset_ms);
    e->claimed = undiff(v[C_CLAIMED], claimed_guess(e));
    e->received_ms = (int64_t)(undiff(v[C_RECEIVED], g->day) * (uint64_t)DAY_MS);
    e->c.old_ver = v[C_OLD] ? undiff(v[C_OLD] - 1, g->old + 1) : 0;
    e->rules = (uint32_t)undiff(v[C_RULES], g->rules);
    e->catalogue = (uint32_t)undiff(v[C_CATALOGUE], g->catalogue);
    move_on(g, a, e);
    return 0;
}

static int unpack_all(struct work *w, tz_ver first, struct tz_bytes in, struct tz_commit_run *out)
{
    uint64_t head[H_NUMBERS] = {0};
    uint64_t nauthors = 0;
    int rc = 0;
    for (size_t i = 0; i < H_NUMBERS && !rc; i++)
        rc = tz_wire_take_varint(&in, &head[i]);
    if (!rc)
        rc = tz_wire_take_varint(&in, &nauthors);
    if (rc || head[H_FORMAT] < FORMAT_UNSUMMED || head[H_FORMAT] > FORMAT || head[H_COUNT] == 0 ||
        head[H_COUNT] > TZ_COMMIT_PACK_MAX || head[H_BY_AUTHOR] > 1 || nauthors > head[H_COUNT])
        return TZ_E_FORMAT;
    guess_begin(&w->g, head);
    w->g.ver = first - 1;
    out->n = (size_t)head[H_COUNT];
    struct tz_bytes authors = in;
    uint64_t skipped = 0;
    for (uint64_t i = 0; i < 2 * nauthors && !rc; i++)
        rc = tz_wire_take_varint(&in, &skipped);
    for (size_t c = 0; c < C_COUNT && !rc; c++)
        rc = tz_rice_take(&in, w->column[c], out->n);
    for (size_t i = 0; i < out->n && !rc; i++)
        rc = unpack_one(w, i, &authors, &nauthors, &out->v[i]);
    return rc || in.n || nauthors ? TZ_E_FORMAT : 0;
}

/** Takes the sum off @packed, which must be right. */
static int take_sum(struct tz_bytes *packed)
{
    uint8_t sum[TZ_SHA256_BYTES];
    if (packed->n > 0 && packed->p[0] == FORMAT_UNSUMMED)
        return 0;
    if (packed->n <= SUM_BYTES)
        return TZ_E_FORMAT;
    packed->n -= SUM_BYTES;
    int rc = tz_sha256(*packed, sum);
    return rc ? rc : memcmp(sum, packed->p + packed->n, SUM_BYTES) != 0 ? TZ_E_FORMAT : 0;
}

int tz_commit_unpack(tz_ver first, struct tz_bytes packed, struct tz_commit_run *out)
{
    struct work *w = malloc(sizeof *w);
    memset(out, 0, sizeof *out);
    int rc = !w ? TZ_E_NOMEM : first < 1 || first > INT64_MAX ? TZ_E_FORMAT : take_sum(&packed);
    if (!rc)
        rc = unpack_all(w, first, packed, out);
    free(w);
    return rc;
}
