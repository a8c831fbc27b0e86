/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taizhang ledger list` and `show`: items with their state, and the steps that led there. What was proposed here and
 * the server has not confirmed is told as such, never as if it stood.
 */
#include "grow.h"
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- list ---- */

struct listing {
    struct desk *d;
    const struct tz_type *t;
    const struct ledger_args *in;
    int state;         /* only this one; -1 any */
    struct tz_id *own; /* items with own steps, ascending */
    size_t nown;
    struct out_table table;
    int rc;
};

static bool has_own(const struct listing *l, struct tz_id id)
{
    for (size_t i = 0; i < l->nown; i++)
        if (tz_id_eq(l->own[i], id))
            return true;
    return false;
}

static struct tz_value value_of(const struct tz_row *row, const char *field)
{
    const struct tz_field *f = tz_type_field(row->rec.type, field);
    return f ? row->rec.v[f->index] : tz_value_null();
}

static const char *text_of(struct desk *d, const struct tz_row *row, const char *field)
{
    const struct tz_field *f = tz_type_field(row->rec.type, field);
    return f ? desk_value(d, f, &row->rec, row->rec.v[f->index]) : "";
}

/** Without its id behind the name. */
static const char *unit_name(struct desk *d, const struct tz_row *row, const char *field)
{
    const char *text = text_of(d, row, field);
    const char *id = strrchr(text, ' ');
    char *out = id && strlen(id + 1) == TZ_ID_HEX ? tz_arena_dup(&d->a, text, (size_t)(id - text)) : NULL;
    return out ? out : text;
}

static int line_json(struct listing *l, const struct tz_step_view *v)
{
    const struct tz_type *t = l->t;
    char hex[TZ_ID_HEX + 1];
    json_t *fields = json_object();
    tz_id_print(v->row->id, hex);
    for (size_t i = 0; i < t->nfields; i++)
        if (v->row->rec.v[i].kind != TZ_V_NULL && i != t->state_field)
            json_object_set_new(fields, t->fields[i].name, desk_json(&t->fields[i], v->row->rec.v[i]));
    const char *state = v->confirmed < 0 ? NULL : t->fields[t->state_field].en->values[v->confirmed].code;
    json_t *j = json_pack("{s:s,s:o,s:o}", "id", hex, "fields", fields, "pending", ledger_pending_json(l->d, t, v));
    json_object_set_new(j, "state", state ? json_string(state) : json_null());
    return out_json(j);
}

static int line(struct listing *l, const struct tz_step_view *v)
{
    if (out_json_mode())
        return line_json(l, v);
    const char *number = text_of(l->d, v->row, "item_no");
    out_table_cell(&l->table, *number ? number : tr("（待给号）", "(not given yet)"));
    out_table_cell(&l->table,
                   v->confirmed < 0 ? tr("（未确认）", "(not confirmed)") : ledger_state(l->t, v->confirmed));
    out_table_cell(&l->table, ledger_pending(l->d, l->t, v));
    out_table_cell(&l->table, text_of(l->d, v->row, "title"));
    out_table_cell(&l->table, unit_name(l->d, v->row, "lead_unit"));
    out_table_cell(&l->table, text_of(l->d, v->row, "due_on"));
    return 0;
}

static bool wanted(const struct listing *l, int state, bool own)
{
    if (l->state >= 0)
        return state == l->state;
    return own || l->in->all || state < 0 || !(l->t->final_states >> state & 1);
}

struct kept {
    struct tz_id id;
    char number[64];
};
struct kept_list {
    struct listing *l;
    struct kept *v;
    size_t n, cap;
};

static int keep(void *ctx, const struct tz_row *row)
{
    struct kept_list *k = ctx;
    struct tz_value number = value_of(row, "item_no");
    if (!wanted(k->l, tz_type_state(k->l->t, row->rec.v[k->l->t->state_field]), has_own(k->l, row->id)))
        return 1;
    struct kept *v = tz_grow(k->v, k->n, &k->cap, 64, sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    k->v = v;
    k->v[k->n] = (struct kept){.id = row->id, .number = ""};
    if (number.kind == TZ_V_TEXT && number.n < sizeof k->v->number)
        memcpy(k->v[k->n].number, number.p, number.n);
    k->n++;
    return 1;
}

/** By number; those without one last, as they were made. */
static int by_number(const void *a, const void *b)
{
    const struct kept *x = a;
    const struct kept *y = b;
    if ((x->number[0] == '\0') != (y->number[0] == '\0'))
        return x->number[0] == '\0' ? 1 : -1;
    int c = strcmp(x->number, y->number);
    return c ? c : memcmp(x->id.b, y->id.b, TZ_ID_BYTES);
}

static int list_one(struct listing *l, struct tz_id id)
{
    struct tz_step_view v = {0};
    int rc;
    if (has_own(l, id)) {
        rc = tz_step_view(l->d->o, l->t, id, &l->d->a, &v, &l->d->err);
    } else {
        v.row = tz_arena_alloc(&l->d->a, sizeof *v.row);
        rc = v.row ? tz_replica_get(tz_office_replica(l->d->o), l->t, id, &l->d->a, v.row, &l->d->err) : TZ_E_NOMEM;
        v.confirmed = rc == 1 ? tz_type_state(l->t, v.row->rec.v[l->t->state_field]) : -1;
    }
    return rc == 1 ? line(l, &v) : rc;
}

int ledger_list(struct desk *d, const struct ledger_args *in)
{
    const char *head[] = {tr("编号", "number"),    tr("状态", "state"),         tr("本机办理", "proposed here"),
                          tr("事项名称", "title"), tr("牵头单位", "lead unit"), tr("完成时限", "due on")};
    struct listing l = {.d = d, .in = in, .state = -1};
    struct kept_list k = {.l = &l};
    int rc = ledger_type(d, &l.t);
    const struct tz_field *state = rc ? NULL : &l.t->fields[l.t->state_field];
    if (!rc && in->state) {
        struct tz_value code;
        rc = tz_value_parse(state, in->state, &d->a, &code, &d->err);
        l.state = rc ? -1 : tz_type_state(l.t, code);
    }
    if (!rc)
        rc = tz_step_open_ids(d->o, l.t, &d->a, &l.own, &l.nown, &d->err);
    if (!rc)
        rc = tz_replica_each(tz_office_replica(d->o), l.t, keep, &k, &d->err);
    out_table_init(&l.table, head, 6);
    if (!rc && k.n)
        qsort(k.v, k.n, sizeof *k.v, by_number);
    for (size_t i = 0; i < k.n && !rc; i++)
        rc = list_one(&l, k.v[i].id);
    free(k.v);
    int printed = out_table_print(&l.table);
    return rc ? rc : printed;
}

/* ---- show ---- */

struct step {
    int64_t seq;
    struct tz_id id;
};
struct steps {
    struct step *v;
    size_t n, cap;
    struct desk *d;
};

static int take_step(void *ctx, const struct tz_row *row)
{
    struct steps *s = ctx;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 32;
        struct step *v = tz_arena_calloc(&s->d->a, cap, sizeof *v);
        if (!v)
            return TZ_E_NOMEM;
        if (s->n)
            memcpy(v, s->v, s->n * sizeof *v);
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = (struct step){value_of(row, "seq").i, row->id};
    return 1;
}

static int by_seq(const void *a, const void *b)
{
    const struct step *x = a;
    const struct step *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int read_steps(struct desk *d, const struct tz_type *t, struct tz_id item, struct steps *out)
{
    const struct tz_type *e = t->event_type;
    *out = (struct steps){.d = d};
    int rc = tz_replica_find(tz_office_replica(d->o), &e->fields[e->area_field], e, tz_value_blob(item.b, TZ_ID_BYTES),
                             take_step, out, &d->err);
    if (!rc && out->n)
        qsort(out->v, out->n, sizeof *out->v, by_seq);
    return rc;
}

/** "现场.jpg、合同.pdf" of the list of files. */
static const char *file_names(struct desk *d, struct tz_value evidence)
{
    char text[1024] = "";
    size_t n = 0;
    json_t *list = evidence.kind == TZ_V_TEXT ? json_loadb((const char *)evidence.p, evidence.n, 0, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(list, i), "name"));
        int k = snprintf(text + n, sizeof text - n, "%s%s", n ? tr("、", ", ") : "", name ? name : "?");
        if (k < 0 || (size_t)k >= sizeof text - n) {
            text[n] = '\0';
            break;
        }
        n += (size_t)k;
    }
    json_decref(list);
    const char *out = tz_arena_strdup(&d->a, text);
    return out ? out : "";
}

static json_t *step_json(struct desk *d, const struct tz_row *row)
{
    const struct tz_type *e = row->rec.type;
    json_t *j = json_object();
    (void)d;
    for (size_t i = 0; i < e->nfields; i++)
        if (row->rec.v[i].kind != TZ_V_NULL && (int)i != e->area_field)
            json_object_set_new(j, e->fields[i].name, desk_json(&e->fields[i], row->rec.v[i]));
    return j;
}

static void step_cells(struct desk *d, const struct tz_type *t, const struct tz_row *row, struct out_table *table)
{
    char number[24];
    char when[32];
    char way[256];
    (void)snprintf(number, sizeof number, "%lld", (long long)value_of(row, "seq").i);
    (void)snprintf(way, sizeof way, "%s→%s", ledger_state(t, tz_type_state(t, value_of(row, "from_state"))),
                   ledger_state(t, tz_type_state(t, value_of(row, "to_state"))));
    out_table_cell(table, number);
    out_table_cell(table, out_time(value_of(row, "at_device").i, when, sizeof when));
    struct tz_value action = value_of(row, "action");
    const char *code = action.kind == TZ_V_TEXT ? tz_arena_dup(&d->a, action.p, action.n) : "";
    out_table_cell(table, ledger_action(t, code ? code : ""));
    out_table_cell(table, way);
    out_table_cell(table, unit_name(d, row, "actor"));
    out_table_cell(table, unit_name(d, row, "unit"));
    out_table_cell(table, text_of(d, row, "opinion"));
    out_table_cell(table, file_names(d, value_of(row, "evidence")));
}

static int print_steps(struct desk *d, const struct tz_type *t, const struct steps *s)
{
    const char *head[] = {tr("序号", "no"),   tr("时间", "time"), tr("动作", "action"),  tr("状态", "state"),
                          tr("办理人", "by"), tr("单位", "unit"), tr("意见", "opinion"), tr("佐证", "evidence")};
    struct out_table table;
    int rc = 0;
    out_table_init(&table, head, 8);
    for (size_t i = 0; i < s->n && !rc; i++) {
        struct tz_row *row;
        rc = desk_read(d, t->event_type, s->v[i].id, &row, NULL, NULL);
        if (!rc)
            step_cells(d, t, row, &table);
    }
    int printed = out_table_print(&table);
    return rc ? rc : printed;
}

static void print_own(struct desk *d, const struct tz_type *t, const struct tz_step_view *v)
{
    char text[512];
    struct tz_err err;
    const char *line = ledger_pending(d, t, v);
    if (*line)
        (void)printf(tr("本机办理：%s\n", "proposed here: %s\n"), line);
    for (size_t i = 0; i < v->nown; i++) {
        if (!ledger_reason(d, &v->own[i], &err))
            continue;
        (void)printf("  %s：%s [%s]\n", ledger_action(t, v->own[i].action),
                     tz_err_text(&err, out_lang(), text, sizeof text), tz_err_info(err.code)->symbol);
        (void)printf(tr("  下一步：taizhang ledger again %llu，或 taizhang withdraw %llu\n",
                        "  next: taizhang ledger again %llu, or taizhang withdraw %llu\n"),
                     (unsigned long long)v->own[i].seq, (unsigned long long)v->own[i].seq);
    }
}

/** What this user may do now. Each action once. */
static int possible(struct desk *d, const struct tz_type *t, const struct tz_step_view *v, json_t *out)
{
    struct tz_id user;
    int state = tz_type_state(t, v->row->rec.v[t->state_field]);
    int rc = cli_user(d->cli, &user, &d->err);
    for (size_t i = 0; i < t->nsteps && !rc && state >= 0 && !v->behind; i++) {
        const struct tz_step *s = &t->steps[i];
        if (!(s->from >> state & 1))
            continue;
        int may = tz_step_may(d->o, v, user, s->action, &d->err);
        if (may < 0)
            return may;
        if (may)
            json_array_append_new(out, json_string(s->action));
    }
    return rc;
}

static void print_possible(const struct tz_type *t, const json_t *actions)
{
    if (json_array_size(actions) == 0)
        return;
    (void)printf("%s", tr("您现在可以办理：", "you may now:"));
    for (size_t i = 0; i < json_array_size(actions); i++) {
        const char *code = json_string_value(json_array_get(actions, i));
        (void)printf(" %s（%s）", ledger_action(t, code), code);
    }
    (void)printf("\n");
}

static int show_json(struct desk *d, const struct tz_type *t, const struct tz_step_view *v, const struct steps *s,
                     json_t *actions)
{
    struct listing l = {.d = d, .t = t};
    char seen[TZ_NAME_MAX + 32];
    json_t *list = json_array();
    int rc = 0;
    for (size_t i = 0; i < s->n && !rc; i++) {
        struct tz_row *row;
        rc = desk_read(d, t->event_type, s->v[i].id, &row, NULL, NULL);
        if (!rc)
            json_array_append_new(list, step_json(d, row));
    }
    char hex[TZ_ID_HEX + 1];
    tz_id_print(v->row->id, hex);
    int state = tz_type_state(t, v->row->rec.v[t->state_field]);
    (void)snprintf(seen, sizeof seen, "%s.%llu", state < 0 ? "-" : t->fields[t->state_field].en->values[state].code,
                   (unsigned long long)tz_trail_seq(&v->trail));
    json_t *fields = json_object();
    for (size_t i = 0; i < t->nfields; i++)
        if (v->row->rec.v[i].kind != TZ_V_NULL && i != t->state_field)
            json_object_set_new(fields, t->fields[i].name, desk_json(&t->fields[i], v->row->rec.v[i]));
    json_t *j = json_pack("{s:s,s:o,s:o,s:o,s:s,s:O}", "id", hex, "fields", fields, "steps", list, "pending",
                          ledger_pending_json(l.d, t, v), "seen", seen, "possible", actions);
    json_object_set_new(j, "state",
                        v->confirmed < 0 ? json_null()
                                         : json_string(t->fields[t->state_field].en->values[v->confirmed].code));
    return rc ? rc : out_json(j);
}

/** The item as the server has it; own steps are told apart. */
static int show_text(struct desk *d, const struct tz_type *t, const struct tz_step_view *v, const struct steps *s,
                     const json_t *actions)
{
    struct tz_row *row = v->row;
    int rc = v->confirmed < 0 ? 0 : desk_read(d, t, v->row->id, &row, NULL, NULL);
    char hex[TZ_ID_HEX + 1];
    if (rc)
        return rc;
    tz_id_print(row->id, hex);
    (void)printf("%s %s\n", t->label[out_lang()], hex);
    desk_print_fields(d, row);
    (void)printf("\n");
    rc = print_steps(d, t, s);
    print_own(d, t, v);
    print_possible(t, actions);
    return rc;
}

int ledger_show(struct desk *d, const struct ledger_args *in)
{
    const struct tz_type *t;
    struct tz_step_view v;
    struct steps s = {0};
    json_t *actions = json_array();
    int rc = ledger_item(d, in->rest[0], &t, &v);
    if (!rc)
        rc = read_steps(d, t, v.row->id, &s);
    if (!rc)
        rc = possible(d, t, &v, actions);
    if (!rc)
        rc = out_json_mode() ? show_json(d, t, &v, &s, actions) : show_text(d, t, &v, &s, actions);
    json_decref(actions);
    return rc;
}
