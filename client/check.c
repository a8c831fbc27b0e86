/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be known to be refused is refused at once, while the person is still at the form: rights, required fields,
 * values, references, areas, children.
 *
 * These checks mirror the server's so that an honest save is not refused later; they are a courtesy, not a defence. The
 * server judges again from its own tables. Nothing here writes.
 */
#include "area_rule.h"
#include "event_rule.h"
#include "office_int.h"
#include "redirect.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

/* ---- who and where ---- */

int tz_check_wrong(int code, const char *label, const char *name, struct tz_err *err)
{
    return tz_err_setf(err, code, "%.60s %.60s", label ? label : "", name ? name : "");
}

static void area_of_code(const char *code, struct tz_author *out)
{
    size_t n = strlen(code);
    memset(&out->area, 0, sizeof out->area);
    out->city = n < 6 || strncmp(code + 2, "0000", 4) == 0;
    if (out->city)
        return;
    memcpy(out->area.district, code, 6);
    if (n >= 9)
        memcpy(out->area.street, code, 9);
}

int tz_check_author(struct tz_office *o, struct tz_id user, struct tz_author *out, struct tz_err *err)
{
    char role[TZ_OFFICE_NAME_BYTES];
    bool active = true;
    memset(out, 0, sizeof *out);
    int rc = tz_office_user_role(o, user, role, &active, err);
    if (rc)
        return rc;
    char hex[TZ_ID_HEX + 1];
    tz_id_print(user, hex);
    bool first = tz_id_eq(user, o->st.id.user);
    if (role[0] == '\0' && first && !o->st.welcomed) {
        memcpy(role, o->st.id.role, sizeof role); /* nobody has told us of users yet: the enrolment named this one */
        active = true;
    }
    if (role[0] == '\0' || !active)
        return tz_err_set(err, TZ_E_USER_DISABLED, hex, NULL, NULL, NULL);
    out->role = tz_catalogue_role(o->cat, role);
    if (!out->role)
        return tz_err_set(err, TZ_E_NO_RIGHT_TYPE, role, NULL, NULL, NULL);
    area_of_code(o->st.id.area, out);
    out->user = user;
    return 0;
}

bool tz_check_in_area(const struct tz_author *who, const struct tz_area *area)
{
    return who->city || tz_area_covers(&who->area, area);
}

const struct tz_type *tz_check_any_type(const struct tz_catalogue *cat, const struct tz_record *rec,
                                        const struct tz_field *f)
{
    return tz_area_ref_type(cat, rec, f);
}

/** "职工人数 employees": the reader may have either language. */
static int wrong_field(int code, const struct tz_field *f, struct tz_err *err)
{
    return tz_check_wrong(code, f->label[TZ_LANG_ZH], f->name, err);
}

static int wrong_type(int code, const struct tz_type *t, struct tz_err *err)
{
    return tz_check_wrong(code, t->label[TZ_LANG_ZH], t->name, err);
}

static bool id_of(struct tz_value v, struct tz_id *out)
{
    if (v.kind != TZ_V_BLOB || v.n != sizeof out->b)
        return false;
    memcpy(out->b, v.p, sizeof out->b);
    return true;
}

int tz_check_area_of(struct tz_office *o, const struct tz_record *rec, struct tz_arena *a, struct tz_area *out,
                     struct tz_err *err)
{
    return tz_area_of(o->rep, rec, a, out, err);
}

/* ---- rights ---- */

/** An inspector may fill in any field of a record made on this device until the district takes it over (status still at
 * its default); the status itself is not theirs. */
static bool creator_exception(const struct tz_author *who, const struct tz_type *t, const struct tz_field *f)
{
    const struct tz_field *status = tz_type_field(t, "status");
    return who->role->editor == TZ_ED_F && status && status->dflt.kind != TZ_V_NULL && f != status &&
           (f->editors & ~(unsigned)TZ_ED_S) != 0;
}

bool tz_check_may_edit(const struct tz_office *o, const struct tz_author *who, const struct tz_row *row,
                       const struct tz_field *f)
{
    if (f->editors & who->role->editor)
        return true;
    const struct tz_field *status = tz_type_field(row->rec.type, "status");
    return creator_exception(who, row->rec.type, f) && tz_id_device(row->id) == o->st.id.device &&
           tz_value_eq(row->rec.v[status->index], status->dflt);
}

/* ---- references ---- */

static int check_ref(struct tz_office *o, const struct tz_field *f, const struct tz_type *t, struct tz_id id,
                     struct tz_arena *a, struct tz_err *err)
{
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    if (!row)
        return tz_office_nomem(err);
    int rc = t ? tz_redirect_follow(o, t, &id, err) : 0; /* the server follows it too */
    if (rc >= 0)
        rc = t ? tz_replica_get(o->rep, t, id, a, row, err) : 0;
    if (rc < 0)
        return rc;
    return rc == 1 && !row->deleted ? 0 : wrong_field(TZ_E_REF, f, err);
}

/** Canonical list of ids: ["32 hex","32 hex",…]. */
static int check_refs(struct tz_office *o, const struct tz_field *f, struct tz_value list, struct tz_arena *a,
                      struct tz_err *err)
{
    for (size_t at = 2; at + TZ_ID_HEX <= list.n; at += TZ_ID_HEX + 3) {
        char hex[TZ_ID_HEX + 1];
        struct tz_id id;
        memcpy(hex, list.p + at, TZ_ID_HEX);
        hex[TZ_ID_HEX] = '\0';
        if (tz_id_parse(hex, &id))
            return wrong_field(TZ_E_REF, f, err);
        int rc = check_ref(o, f, f->ref, id, a, err);
        if (rc)
            return rc;
    }
    return 0;
}

int tz_check_values(struct tz_office *o, const struct tz_record *whole, const bool *names, struct tz_arena *a,
                    struct tz_err *err)
{
    for (size_t i = 0; i < whole->type->nfields; i++) {
        const struct tz_field *f = &whole->type->fields[i];
        struct tz_value v = whole->v[i];
        struct tz_id id;
        if (!names[i] || v.kind == TZ_V_NULL)
            continue;
        int rc = tz_value_check(f, v, true, err);
        if (!rc && (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY) && id_of(v, &id))
            rc = check_ref(o, f, f->ref ? f->ref : tz_check_any_type(o->cat, whole, f), id, a, err);
        else if (!rc && f->ftype == TZ_FT_REFS)
            rc = check_refs(o, f, v, a, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- new records ---- */

static int create_rights(const struct tz_author *who, const struct tz_record *rec, struct tz_err *err)
{
    const struct tz_type *t = rec->type;
    const struct tz_field *status = tz_type_field(t, "status");
    if (t->local || !(t->creators & who->role->editor))
        return wrong_type(TZ_E_NO_RIGHT_TYPE, t, err);
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        bool may = (f->editors & who->role->editor) || creator_exception(who, t, f);
        may = may || (f == status && tz_value_eq(rec->v[i], f->dflt)); /* naming the default is not a choice */
        may = may || (t->append && (f->editors & TZ_ED_S));            /* computed here, at the moment it happens */
        may = may || t->district_field == (int)i;                      /* where it belongs is judged by area */
        may = may || tz_event_is_link(t, f);                           /* judged as a step */
        if (rec->v[i].kind != TZ_V_NULL && !may)
            return wrong_field(TZ_E_NO_RIGHT_FIELD, f, err);
    }
    return 0;
}

/** Defaults, and the district of an inspector's grant: an inspector does not choose where a record belongs. */
static int create_fill(const struct tz_author *who, struct tz_record *rec, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_type *t = rec->type;
    if (who->role->editor == TZ_ED_F && !who->city && t->area == TZ_AREA_OWN && t->district_field >= 0 &&
        rec->v[t->district_field].kind == TZ_V_NULL) {
        char *code = tz_arena_strdup(a, who->area.district);
        if (!code)
            return tz_office_nomem(err);
        rec->v[t->district_field] = tz_value_text(code);
    }
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        bool server_only = (f->editors & ~(unsigned)TZ_ED_S) == 0;
        if (rec->v[i].kind == TZ_V_NULL && f->dflt.kind != TZ_V_NULL && !server_only) {
            /* sent only where the role may name it; the server gives the rest the same default */
            if ((f->editors & who->role->editor) || strcmp(f->name, "status") == 0)
                rec->v[i] = f->dflt;
        }
    }
    return 0;
}

/** The opening of a procedure: on a copy, since what it gives is the server's to give. */
static int check_opening(struct tz_office *o, const struct tz_author *who, const struct tz_record *rec,
                         struct tz_arena *a, struct tz_err *err)
{
    struct tz_event_author author = {.user = who->user, .role = who->role, .area = who->area, .city = who->city};
    struct tz_event_out out;
    char today[11];
    struct tz_record *copy = tz_arena_dup(a, rec, sizeof *copy);
    if (!copy)
        return tz_office_nomem(err);
    tz_clock_today(tz_office_now(o), today);
    int rc = tz_event_open(o->rep, &author, copy, today, a, &out, err);
    if (rc || !out.code)
        return rc;
    return tz_err_set(err, out.code, out.nargs > 0 ? out.args[0] : NULL, out.nargs > 1 ? out.args[1] : NULL,
                      out.nargs > 2 ? out.args[2] : NULL, NULL);
}

int tz_check_create(struct tz_office *o, const struct tz_author *who, struct tz_record *rec, struct tz_arena *a,
                    struct tz_err *err)
{
    const struct tz_type *t = rec->type;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_area area;
    int rc = create_rights(who, rec, err);
    if (!rc)
        rc = create_fill(who, rec, a, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        names[i] = rec->v[i].kind != TZ_V_NULL;
        if (!names[i] && f->required == TZ_REQ_SAVE && !(f->editors & TZ_ED_S) && f->dflt.kind == TZ_V_NULL)
            return wrong_field(TZ_E_REQUIRED, f, err);
    }
    rc = tz_check_values(o, rec, names, a, err);
    if (rc)
        return rc;
    rc = tz_check_area_of(o, rec, a, &area, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || !tz_check_in_area(who, &area))
        return wrong_type(TZ_E_AREA, t, err);
    return t->nsteps ? check_opening(o, who, rec, a, err) : 0;
}

/* ---- changes ---- */

int tz_check_set(struct tz_office *o, const struct tz_author *who, const struct tz_row *row, const struct tz_record *in,
                 const bool *names, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_type *t = row->rec.type;
    if (t->append)
        return wrong_type(TZ_E_APPEND_ONLY, t, err);
    if (t->local)
        return wrong_type(TZ_E_NO_RIGHT_TYPE, t, err);
    if (!tz_check_in_area(who, &row->area))
        return wrong_type(TZ_E_AREA, t, err);
    struct tz_record *whole = tz_arena_dup(a, &row->rec, sizeof *whole);
    if (!whole)
        return tz_office_nomem(err);
    for (size_t i = 0; i < t->nfields; i++) {
        if (!names[i])
            continue;
        if (t->fields[i].merge == TZ_MERGE_EVENTS)
            return wrong_type(TZ_E_EVENTS_LATER, t, err);
        if (!tz_check_may_edit(o, who, row, &t->fields[i]))
            return wrong_field(TZ_E_NO_RIGHT_FIELD, &t->fields[i], err);
        if (in->v[i].kind == TZ_V_NULL && t->fields[i].required == TZ_REQ_SAVE && !(t->fields[i].editors & TZ_ED_S))
            return wrong_field(TZ_E_REQUIRED, &t->fields[i], err);
        whole->v[i] = in->v[i];
    }
    struct tz_area area;
    int rc = tz_check_values(o, whole, names, a, err);
    bool moves = (t->district_field >= 0 && names[t->district_field]) ||
                 (t->street_field >= 0 && names[t->street_field]) || (t->area_field >= 0 && names[t->area_field]);
    if (rc || !moves)
        return rc;
    rc = tz_check_area_of(o, whole, a, &area, err);
    if (rc < 0)
        return rc;
    return rc == 1 && tz_check_in_area(who, &area) ? 0 : wrong_type(TZ_E_AREA, t, err);
}

/* ---- deletions ---- */

struct children {
    struct tz_office *o;
    const struct tz_type *target;
    const struct tz_field *field;
    uint64_t count;
    char example[TZ_ERR_ARG_BYTES];
};

static void print_title(const struct tz_row *row, char *out, size_t bytes)
{
    int title = row->rec.type->title_field;
    char hex[TZ_ID_HEX + 1];
    struct tz_buf b;
    tz_buf_init(&b, 16 * 1024);
    tz_id_print(row->id, hex);
    const char *label = row->rec.type->label[TZ_LANG_ZH];
    int rc = tz_buf_puts(&b, label);
    if (!rc)
        rc = tz_buf_putc(&b, ' ');
    if (!rc && title >= 0 && row->rec.v[title].kind != TZ_V_NULL)
        rc = tz_value_print(&row->rec.type->fields[title], row->rec.v[title], TZ_LANG_ZH, false, &b);
    else if (!rc)
        rc = tz_buf_puts(&b, hex);
    struct tz_bytes text = tz_buf_unread(&b);
    size_t n = rc ? 0 : (text.n < bytes - 1 ? text.n : tz_utf8_cut((const char *)text.p, bytes - 1));
    if (n)
        memcpy(out, text.p, n);
    out[n] = '\0';
    tz_buf_deinit(&b);
}

static int count_child(void *ctx, const struct tz_row *row)
{
    struct children *c = ctx;
    if (c->field->ftype == TZ_FT_REF_ANY && tz_check_any_type(c->o->cat, &row->rec, c->field) != c->target)
        return 1;
    if (c->count++ == 0)
        print_title(row, c->example, sizeof c->example);
    return 1;
}

int tz_check_children(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_err *err)
{
    struct children c = {.o = o, .target = t};
    for (size_t i = 0; i < o->cat->ntypes; i++) {
        const struct tz_type *child = &o->cat->types[i];
        for (size_t k = 0; k < child->nfields; k++) {
            const struct tz_field *f = &child->fields[k];
            bool points = (f->ftype == TZ_FT_REF && f->ref == t) || f->ftype == TZ_FT_REF_ANY;
            if (!points || f->on_delete != TZ_OD_BLOCKS)
                continue;
            c.field = f;
            int rc = tz_replica_find(o->rep, f, child, tz_value_blob(id.b, sizeof id.b), count_child, &c, err);
            if (rc)
                return rc;
        }
    }
    if (c.count == 0)
        return 0;
    char count[24];
    (void)snprintf(count, sizeof count, "%llu", (unsigned long long)c.count);
    return tz_err_set(err, TZ_E_HAS_CHILDREN, count, c.example, NULL, NULL);
}
