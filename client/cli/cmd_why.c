/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taizhang why TYPE ID [FIELD]: the values a field had, oldest first, the one that stands marked with *; by whom, when,
 * what decided, and which case holds what lost.
 */
#include "recount.h"
#include "why.h"

#include <stdio.h>
#include <string.h>

static const char LIFE[] = "_deleted";

/* ---- words ---- */

static const char *rule_text(const struct tz_why_value *v)
{
    static const char *const texts[][2] = {
        [TZ_WHY_UNKNOWN] = {"规则在本机查不到", "what decided is not known here"},
        [TZ_WHY_FIRST] = {"登记时的值", "made with the record"},
        [TZ_WHY_SAW] = {"改的人见到了之前的值", "its author had seen the value before"},
        [TZ_WHY_SAME] = {"与当时的值相同", "the same as what stood"},
        [TZ_WHY_STOOD] = {"同时有别的修改，当时以此为准", "concurrent with another edit, and stood"},
        [TZ_WHY_LOST] = {"同时有别的修改，没有采用", "concurrent with another edit, and lost"},
        [TZ_WHY_RESOLVED] = {"处理冲突时选定", "decided in a case"},
        [TZ_WHY_MERGED] = {"合并或拆分记录时得到", "from a merge of two records"},
        [TZ_WHY_REVIVED] = {"没有见到删除的修改恢复了记录", "an edit that had not seen the deletion brought it back"},
        [TZ_WHY_ELEMENTS] = {"集合的各项分别合并", "each element of the set is merged by itself"},
        [TZ_WHY_SERVER] = {"由服务器给定", "given by the server"},
        [TZ_WHY_NOT_YET] = {"还没有结果", "not judged yet"},
        [TZ_WHY_REFUSED] = {"没有成为记录的值", "never was the record's value"},
        [TZ_WHY_REVIEW] = {"权限已变，待审", "the right was lost: under review"},
    };
    return texts[v->rule][out_lang()];
}

static const char *value_text(struct recount *r, const struct tz_why *y, const struct tz_why_value *v)
{
    if (!y->field)
        return v->value.i ? tr("已删除", "deleted") : tr("在用", "live");
    if (v->rule == TZ_WHY_ELEMENTS && v->change && !v->stands) {
        const struct tz_op *op = &v->change->h.op;
        struct tz_buf b;
        tz_buf_init(&b, TZ_ROW_BYTES_MAX);
        int rc = 0;
        for (size_t i = 0; i < op->nelements && !rc; i++)
            rc = tz_buf_printf(&b, "%s%c%.*s", i ? " " : "", op->kind == TZ_OP_ADD ? '+' : '-', (int)op->elements[i].n,
                               (const char *)op->elements[i].p);
        const char *out = rc || !b.len ? NULL : tz_arena_dup(&r->d.a, b.p, b.len);
        tz_buf_deinit(&b);
        return out ? out : "";
    }
    if (v->away)
        return tr("（值在服务器的历史里，连上后再查）",
                  "(the value is in the server's history: ask again when it can be reached)");
    const struct tz_record *rec = v->change && v->change->rec ? v->change->rec : r->row ? &r->row->rec : NULL;
    const char *text = desk_value(&r->d, y->field, rec, v->value);
    return *text ? text : tr("（空）", "(empty)");
}

/** The author as an entry: of a change, or as far as a case tells. */
static struct tz_history_entry author_entry(const struct tz_why_value *v)
{
    if (v->change)
        return v->change->e;
    return (struct tz_history_entry){.device = v->author.device,
                                     .user = v->author.user,
                                     .effective = v->author.effective_ms ? tz_hlc_of(v->author.effective_ms, 0) : 0};
}

/* ---- text ---- */

static void print_value(struct recount *r, const struct tz_why *y, const struct tz_why_value *v)
{
    struct tz_history_entry e = author_entry(v);
    char hex[TZ_ID_HEX + 1];
    (void)printf("  %c %s\n", v->stands ? '*' : ' ', value_text(r, y, v));
    if (e.device && v->case_rule && strcmp(v->case_rule, "lost") == 0 && tz_id_is_zero(e.user))
        (void)printf("      %s\n", desk_nobody(&r->d, v->case_rule, e.device));
    else if (e.device)
        (void)printf("      %s  %s\n", recount_who(r, &e), recount_when(r, &e));
    (void)printf("      %s", rule_text(v));
    if (v->change && (v->rule == TZ_WHY_NOT_YET || v->rule == TZ_WHY_REFUSED))
        (void)printf(tr("：%s", ": %s"), recount_outcome(v->change->h.result.outcome));
    if (e.imported)
        (void)printf("%s", tr("；导入", "; import"));
    if (!tz_id_is_zero(v->case_id)) {
        tz_id_print(v->case_id, hex);
        (void)printf(tr("；冲突 %.8s", "; case %.8s"), hex);
    }
    if (v->case_rule)
        (void)printf(tr("（%s）", " (%s)"), desk_case_rule(v->case_rule));
    (void)printf("\n");
    if (e.reason && *e.reason)
        (void)printf(tr("      理由：%s\n", "      reason: %s\n"), e.reason);
}

static const char *label_of(const struct tz_why *y)
{
    return y->field ? desk_label(y->field) : tr("是否删除", "deleted or not");
}

/* ---- JSON ---- */

static json_t *hex_json(struct tz_id id)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    return tz_id_is_zero(id) ? json_null() : json_string(hex);
}

static json_t *value_json(struct recount *r, const struct tz_why *y, const struct tz_why_value *v)
{
    struct tz_history_entry e = author_entry(v);
    char ver[24];
    (void)snprintf(ver, sizeof ver, "%llu", (unsigned long long)v->author.ver);
    json_t *value = y->field ? desk_json(y->field, v->value) : json_boolean(v->value.i != 0);
    json_t *user = hex_json(e.user);
    const char *hex = json_string_value(user);
    json_t *j = json_pack(
        "{s:o,s:b,s:b,s:s,s:s?,s:o,s:I,s:s,s:I,s:I,s:o,s:s,s:s,s:I,s:I,s:s,s:s,s:b}", "value", value, "away",
        (int)v->away, "stands", (int)v->stands, "rule", tz_why_rule_name(v->rule), "case_rule", v->case_rule, "case",
        hex_json(v->case_id), "device", (json_int_t)v->author.device, "device_name", e.device_name ? e.device_name : "",
        "incarnation", (json_int_t)v->author.incarnation, "seq", (json_int_t)v->author.seq, "user", user, "user_name",
        e.user_name && *e.user_name ? e.user_name
        : hex                       ? desk_user(&r->d, hex)
                                    : "",
        "ver", ver, "claimed_ms", (json_int_t)(e.claimed ? tz_hlc_ms(e.claimed) : 0), "effective_ms",
        (json_int_t)v->author.effective_ms, "outcome", v->change ? tz_outcome_name(v->change->h.result.outcome) : "",
        "reason", e.reason ? e.reason : "", "imported", (int)e.imported);
    return j;
}

static json_t *field_json(struct recount *r, const struct tz_why *y)
{
    json_t *values = json_array();
    for (size_t i = 0; i < y->n; i++)
        if (json_array_append_new(values, value_json(r, y, &y->v[i])))
            break;
    return json_pack("{s:s,s:s,s:o}", "field", y->field ? y->field->name : LIFE, "label", label_of(y), "values",
                     values);
}

/* ---- the command ---- */

static int one_field(struct recount *r, const struct tz_why_cases *cases, const struct tz_field *f, bool only,
                     json_t *out)
{
    struct tz_why y;
    int rc = tz_why_field(&r->c, cases, f, r->row, &r->d.a, &y);
    if (rc)
        return tz_err_set(&r->d.err, rc, NULL, NULL, NULL, NULL);
    if (!only && (y.n == 0 || (!f && y.n == 1))) /* a record that was never deleted needs no word about it */
        return 0;
    if (out)
        return json_array_append_new(out, field_json(r, &y)) ? tz_err_set(&r->d.err, TZ_E_NOMEM, NULL, NULL, NULL, NULL)
                                                             : 0;
    (void)printf("%s\n", label_of(&y));
    for (size_t i = 0; i < y.n; i++)
        print_value(r, &y, &y.v[i]);
    return 0;
}

static int fields(struct recount *r, const char *word, json_t *out)
{
    struct tz_why_cases *cases = NULL;
    bool life = word && strcmp(word, LIFE) == 0;
    const struct tz_field *only = word && !life ? tz_type_field_heading(r->t, word) : NULL;
    if (word && !life && !only)
        return tz_err_set(&r->d.err, TZ_E_UNKNOWN_FIELD, r->t->name, word, NULL, NULL);
    int rc = tz_why_cases_load(r->d.o, &r->c, &r->d.a, &cases, &r->d.err);
    if (!rc && word)
        return one_field(r, cases, only, true, out);
    for (size_t i = 0; i < r->t->nfields && !rc; i++)
        rc = one_field(r, cases, &r->t->fields[i], false, out);
    return rc ? rc : one_field(r, cases, NULL, false, out);
}

static int print_all(struct recount *r, const char *word)
{
    json_t *list = r->d.cli->json ? json_array() : NULL;
    int rc = fields(r, word, list);
    if (!rc && list)
        return out_json(json_pack("{s:s,s:s,s:s,s:s,s:b,s:o}", "type", r->t->name, "id", r->hex, "title",
                                  r->row ? desk_title(&r->d, r->row) : "", "server", recount_server_name(r->server),
                                  "complete", (int)r->c.complete, "fields", list));
    json_decref(list);
    return rc;
}

int cmd_why(struct cli *c, int argc, char **argv)
{
    struct recount r;
    const char *word = NULL;
    int rc = recount_open(&r, c, argc, argv, 3, &word);
    if (rc == 0) {
        recount_note(&r);
        rc = print_all(&r, word);
    }
    return recount_close(&r, rc);
}
