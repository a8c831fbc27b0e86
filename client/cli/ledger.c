/* SPDX-License-Identifier: Apache-2.0 */
/* Items, labels and own proposals, for the commands of `taizhang ledger`. */
#include "ledger.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 1024 };

int ledger_type(struct desk *d, const struct tz_type **t)
{
    *t = NULL;
    for (size_t i = 0; i < d->cat->ntypes && !*t; i++)
        if (d->cat->types[i].nsteps)
            *t = &d->cat->types[i];
    return *t ? 0 : tz_err_set(&d->err, TZ_E_UNKNOWN_TYPE, "ledger_item", NULL, NULL, NULL);
}

int ledger_item(struct desk *d, const char *name, const struct tz_type **t, struct tz_step_view *v)
{
    struct tz_id id;
    int rc = ledger_type(d, t);
    if (!rc)
        rc = tz_entry_find(d->entry, *t, name, &id, &d->err);
    if (rc)
        return rc;
    rc = tz_step_view(d->o, *t, id, &d->a, v, &d->err);
    return rc == 0 ? tz_err_set(&d->err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL) : rc < 0 ? rc : 0;
}

const char *ledger_action(const struct tz_type *t, const char *action)
{
    const struct tz_enum_value *v = tz_enum_code(tz_type_field(t->event_type, "action")->en, tz_value_text(action));
    return v ? v->label[out_lang()] : action;
}

const char *ledger_state(const struct tz_type *t, int state)
{
    return state < 0 ? "-" : t->fields[t->state_field].en->values[state].label[out_lang()];
}

bool ledger_reason(struct desk *d, const struct tz_step_own *own, struct tz_err *out)
{
    const char *a[TZ_RESULT_ARGS_MAX] = {NULL};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < own->nargs && i < TZ_RESULT_ARGS_MAX; i++)
        a[i] = own->args[i];
    if (!own->code)
        return false;
    (void)tz_err_set(out, own->code, a[0], a[1], a[2], a[3]);
    tz_step_words(d->cat, d->o, out_lang(), out);
    return true;
}

static const char *standing(const struct tz_step_own *own)
{
    return own->outcome == TZ_OUT_REFUSED   ? tr("被拒", "refused")
           : own->outcome == TZ_OUT_WAITING ? tr("等待", "waiting")
           : own->outcome == TZ_OUT_HELD    ? tr("暂存", "held")
           : !own->fits                     ? tr("已不能办理", "no longer possible")
                                            : tr("待确认", "proposed");
}

static const char *standing_key(const struct tz_step_own *own)
{
    return own->outcome == TZ_OUT_REFUSED   ? "refused"
           : own->outcome == TZ_OUT_WAITING ? "waiting"
           : own->outcome == TZ_OUT_HELD    ? "held"
           : !own->fits                     ? "unfit"
                                            : "proposed";
}

const char *ledger_pending(struct desk *d, const struct tz_type *t, const struct tz_step_view *v)
{
    char line[LINE_BYTES] = "";
    size_t n = 0;
    if (v->confirmed < 0)
        n += (size_t)snprintf(line, sizeof line, tr("待确认：立账", "proposed: open"));
    for (size_t i = 0; i < v->nown && n + 256 < sizeof line; i++) {
        const struct tz_step_own *own = &v->own[i];
        n += (size_t)snprintf(line + n, sizeof line - n, tr("%s%s：%s", "%s%s: %s"), n ? tr("；", "; ") : "",
                              standing(own), ledger_action(t, own->action));
        if (own->fits)
            n += (size_t)snprintf(line + n, sizeof line - n, "→%s", ledger_state(t, own->to));
        if (own->outcome == TZ_OUT_REFUSED)
            n += (size_t)snprintf(line + n, sizeof line - n, tr("（第 %llu 次保存）", " (save %llu)"),
                                  (unsigned long long)own->seq);
    }
    const char *out = tz_arena_strdup(&d->a, line);
    return out ? out : "";
}

json_t *ledger_pending_json(struct desk *d, const struct tz_type *t, const struct tz_step_view *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->nown; i++) {
        const struct tz_step_own *own = &v->own[i];
        char text[512];
        struct tz_err err;
        json_t *j = json_pack("{s:I,s:s,s:s}", "seq", (json_int_t)own->seq, "action", own->action, "standing",
                              standing_key(own));
        if (own->fits)
            json_object_set_new(j, "to", json_string(t->fields[t->state_field].en->values[own->to].code));
        if (ledger_reason(d, own, &err)) {
            json_object_set_new(j, "code", json_string(tz_err_info(err.code)->symbol));
            json_object_set_new(j, "text", json_string(tz_err_text(&err, out_lang(), text, sizeof text)));
            json_object_set_new(j, "next", json_string(tz_err_next(&err, out_lang(), text, sizeof text)));
        }
        json_array_append_new(list, j);
    }
    return list;
}
