/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people in the offices save, one kind after the other. Who cannot do what is due (nothing to delete, no case)
 * registers an organisation instead, so that every save is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "two_offices_int.h"

#include <stdio.h>
#include <string.h>

enum { IMPORTED = 5 };

static const struct tz_type *type(const struct tw *w, const char *name)
{
    return tz_catalogue_type(w->cat, name);
}

static void put(struct tz_record *rec, bool *names, const char *field, struct tz_value v)
{
    size_t i = tz_type_field(rec->type, field)->index;
    rec->v[i] = v;
    if (names)
        names[i] = true;
}

static struct tz_value text(struct tw *w, const char *stem)
{
    char buf[64];
    (void)snprintf(buf, sizeof buf, "%s%zu", stem, w->saves);
    return tz_value_text(tz_arena_strdup(w->a, buf));
}

/** Ends a save: on an error it is given up. */
static int finish(struct tz_save *s, int rc)
{
    uint64_t seq;
    struct tz_err err = {0};
    if (!rc)
        return tz_save_commit(s, &seq, &err);
    tz_save_cancel(s);
    return rc;
}

static int add_org(struct tw *w, struct tz_save *s, struct tz_id *id)
{
    struct tz_err err = {0};
    struct tz_record rec;
    tz_record_init(&rec, type(w, "organisation"));
    put(&rec, NULL, "name", text(w, "公司"));
    put(&rec, NULL, "district_code", tz_value_text("120101"));
    return tz_save_create(s, &rec, id, &err);
}

static int add_link(struct tw *w, struct tz_save *s, struct tz_id org)
{
    struct tz_err err = {0};
    struct tz_record rec;
    struct tz_id id;
    const uint8_t *ref = tz_arena_dup(w->a, org.b, TZ_ID_BYTES);
    char since[16];
    (void)snprintf(since, sizeof since, "%zu-01-01", 1900 + w->saves);
    tz_record_init(&rec, type(w, "coverage"));
    put(&rec, NULL, "org_id", tz_value_blob(ref, TZ_ID_BYTES));
    put(&rec, NULL, "mode", tz_value_text("liaison"));
    put(&rec, NULL, "since", tz_value_text(since));
    return tz_save_create(s, &rec, &id, &err);
}

/* ---- kinds ---- */

static int begin(struct tw *w, int i, bool independent, struct tz_save **s)
{
    struct tz_save_options o = {.independent = independent};
    struct tz_err err = {0};
    return tz_save_begin(w->office[i], &o, s, &err);
}

/** One organisation, with a coverage link (@child) or without; @n > 1: an import of so many. */
static int save_new(struct tw *w, int i, bool child, size_t n)
{
    struct tz_save *s;
    struct tz_id id[IMPORTED];
    int rc = begin(w, i, n > 1, &s);
    if (rc)
        return rc;
    for (size_t k = 0; k < n && !rc; k++)
        rc = add_org(w, s, &id[k]);
    if (!rc && child)
        rc = add_link(w, s, id[0]);
    rc = finish(s, rc);
    for (size_t k = 0; k < n && !rc && w->norgs < TW_ORGS_MAX; k++)
        w->org[w->norgs++] = id[k];
    return rc;
}

/** An organisation that the office shows, live or deleted as asked; older ones come round again and again. */
static bool find_org(struct tw *w, int i, bool deleted, struct tz_row *row, struct tz_seen *seen)
{
    for (size_t k = 0; k < w->norgs; k++) {
        struct tz_id id = w->org[(w->saves / 2 + k) % w->norgs];
        if (tz_office_read(w->office[i], type(w, "organisation"), id, w->a, row, seen, NULL, NULL) == 1 &&
            row->deleted == deleted)
            return true;
    }
    return false;
}

static int save_edit(struct tw *w, int i, bool counts, const struct tz_row *row, const struct tz_seen *seen)
{
    struct tz_err err = {0};
    struct tz_record rec;
    struct tz_save *s;
    bool names[TZ_FIELDS_MAX] = {false};
    int rc = begin(w, i, false, &s);
    tz_record_init(&rec, row->rec.type);
    if (counts) {
        put(&rec, names, "full_members", tz_value_int((int64_t)w->saves));
        put(&rec, names, "counts_on", tz_value_text("2023-10-01"));
    } else {
        put(&rec, names, "address", text(w, "路"));
    }
    return rc ? rc : finish(s, tz_save_set(s, row->id, seen, &rec, names, &err));
}

static int save_life(struct tw *w, int i, bool away, const struct tz_row *row, const struct tz_seen *seen)
{
    struct tz_err err = {0};
    struct tz_save *s;
    int rc = begin(w, i, false, &s);
    if (rc)
        return rc;
    rc = away ? tz_save_delete(s, row->rec.type, row->id, seen, &err)
              : tz_save_restore(s, row->rec.type, row->id, seen, &err);
    if (rc == TZ_E_HAS_CHILDREN) { /* the form says so: then something else is saved */
        tz_save_cancel(s);
        return save_new(w, i, false, 1);
    }
    return finish(s, rc);
}

static int save_link(struct tw *w, int i, const struct tz_row *row)
{
    struct tz_save *s;
    int rc = begin(w, i, false, &s);
    return rc ? rc : finish(s, add_link(w, s, row->id));
}

static int on_open_case(void *ctx, const struct tz_row *row)
{
    const struct tz_field *state = tz_type_field(row->rec.type, "state");
    const struct tz_field *kind = tz_type_field(row->rec.type, "kind");
    if (!tz_value_is_text(row->rec.v[state->index], "open") || !tz_value_is_text(row->rec.v[kind->index], "conflict"))
        return 1;
    *(struct tz_id *)ctx = row->id;
    return 0;
}

static int save_decision(struct tw *w, int i)
{
    struct tz_err err = {0};
    struct tz_id id = {{0}};
    struct tz_save *s;
    int rc = tz_replica_each(tz_office_replica(w->office[i]), type(w, "case"), on_open_case, &id, &err);
    if (rc || tz_id_is_zero(id))
        return rc ? rc : save_new(w, i, false, 1);
    rc = begin(w, i, false, &s);
    return rc ? rc : finish(s, tz_save_resolve(s, id, TZ_CHOICE_THEIRS, 0, NULL, NULL, &err));
}

static int on_unsent(void *ctx, const struct tz_outbox_entry *e)
{
    if (e->outcome == TZ_OUT_NONE)
        *(uint64_t *)ctx = e->seq; /* the newest one */
    return 1;
}

static int save_withdrawal(struct tw *w, int i)
{
    struct tz_err err = {0};
    struct tz_save *s;
    uint64_t seq = 0;
    int rc = tz_office_outbox_each(w->office[i], false, on_unsent, &seq, &err);
    if (rc || seq == 0)
        return rc ? rc : save_new(w, i, false, 1);
    rc = begin(w, i, false, &s);
    if (rc)
        return rc;
    rc = tz_save_withdraw(s, seq, &err);
    if (rc && rc != TZ_E_DB && rc != TZ_E_IO) { /* it is on its way */
        tz_save_cancel(s);
        return save_new(w, i, false, 1);
    }
    return finish(s, rc);
}

int tw_save(struct tw *w, int i)
{
    /* new, edit, counts, link, many, decision, delete, restore, withdrawal */
    static const char kinds[] = "necuenmpedervcneundc";
    struct tz_row row;
    struct tz_seen seen;
    char kind = kinds[w->saves++ % (sizeof kinds - 1)];
    bool found = find_org(w, i, kind == 'r', &row, &seen);
    if (!found || kind == 'n' || kind == 'm')
        return save_new(w, i, kind == 'n', kind == 'm' ? IMPORTED : 1);
    switch (kind) {
    case 'e':
    case 'u':
        return save_edit(w, i, kind == 'u', &row, &seen);
    case 'd':
    case 'r':
        return save_life(w, i, kind == 'd', &row, &seen);
    case 'c':
        return save_link(w, i, &row);
    case 'p':
        return save_decision(w, i);
    case 'v':
        return save_withdrawal(w, i);
    default:
        return save_new(w, i, false, 1);
    }
}
