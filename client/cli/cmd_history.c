/* SPDX-License-Identifier: Apache-2.0 */
/* taizhang history TYPE ID: every change of a record, newest first, from the server's audit log and from what is here.
 */
#include "ledger.h"
#include "recount.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *kind_text(enum tz_op_kind k)
{
    static const char *const names[][2] = {{"", ""},
                                           {"登记", "made"},
                                           {"修改", "changed"},
                                           {"添加", "added to"},
                                           {"移除", "removed from"},
                                           {"登记", "made"},
                                           {"作废", "voided"},
                                           {"办理", "procedure step"},
                                           {"删除", "deleted"},
                                           {"恢复", "restored"},
                                           {"合并", "merged"},
                                           {"拆分", "unmerged"},
                                           {"处理冲突", "conflict settled"},
                                           {"撤回", "taken back"}};
    return names[(size_t)k < sizeof names / sizeof *names ? k : 0][out_lang()];
}

static void print_values(struct recount *r, const struct tz_change *ch)
{
    const struct tz_op *op = &ch->h.op;
    bool elements = op->kind == TZ_OP_ADD || op->kind == TZ_OP_REMOVE;
    for (size_t i = 0; i < r->c.body->nfields; i++) {
        const struct tz_field *f = &r->c.body->fields[i];
        if (!ch->names[i])
            continue;
        (void)printf("    %s", desk_label(f));
        for (size_t k = 0; elements && k < op->nelements; k++)
            (void)printf(" %c%.*s", op->kind == TZ_OP_ADD ? '+' : '-', (int)op->elements[k].n, op->elements[k].p);
        if (!elements) {
            const char *v = desk_value(&r->d, f, ch->rec, ch->rec->v[i]);
            (void)printf(" = %s", *v ? v : tr("（空）", "(empty)"));
        }
        (void)printf("\n");
    }
}

static void print_case(const char *label, struct tz_id id)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    if (!tz_id_is_zero(id))
        (void)printf("    %s %.8s\n", label, hex);
}

static void print_refusal(const struct recount *r, const struct tz_op_result *res)
{
    struct tz_err err = {0};
    char text[512];
    if (res->code == 0)
        return;
    (void)tz_err_set(&err, tz_err_known(res->code) ? res->code : TZ_E_PROTOCOL, res->nargs > 0 ? res->args[0] : NULL,
                     res->nargs > 1 ? res->args[1] : NULL, res->nargs > 2 ? res->args[2] : NULL,
                     res->nargs > 3 ? res->args[3] : NULL);
    tz_step_words(r->d.cat, r->d.o, out_lang(), &err);
    (void)printf("    %s\n", tz_err_text(&err, out_lang(), text, sizeof text));
}

static void print_change(struct recount *r, const struct tz_change *ch)
{
    const struct tz_op *op = &ch->h.op;
    (void)printf("%s  %s  ", recount_when(r, &ch->e), recount_who(r, &ch->e));
    if (ch->e.erased) {
        (void)printf("%s\n", tr("内容已清除", "content erased"));
        return;
    }
    (void)printf("%s · %s%s\n", kind_text(op->kind), recount_outcome(ch->h.result.outcome),
                 ch->e.imported ? tr(" · 导入", " · import") : "");
    print_values(r, ch);
    if (op->field == TZ_FIELD_DELETED)
        (void)printf("    %s\n", op->deleted ? tr("删除", "deleted") : tr("保留", "kept"));
    if (op->action && *op->action)
        (void)printf(tr("    步骤：%s\n", "    step: %s\n"),
                     r->t->nsteps ? ledger_action(r->t, op->action) : op->action);
    if (!tz_id_is_zero(op->other_id))
        print_case(ch->h.as_other ? tr("按这条并入的记录提交", "sent for the record that is part of this one")
                                  : tr("另一条记录", "the other record"),
                   op->other_id);
    print_refusal(r, &ch->h.result);
    if (ch->e.reason && *ch->e.reason)
        (void)printf(tr("    理由：%s\n", "    reason: %s\n"), ch->e.reason);
    print_case(tr("处理的冲突", "settles case"), ch->h.case_id);
    for (size_t i = 0; i < ch->h.result.ncases; i++)
        print_case(tr("冲突", "case"), ch->h.result.cases[i]);
}

static int print_json(struct recount *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->c.n; i++)
        if (json_array_append_new(list, tz_history_change_json(&r->c, &r->c.v[i])))
            break;
    return out_json(json_pack("{s:s,s:s,s:s,s:s,s:b,s:I,s:o}", "type", r->t->name, "id", r->hex, "title",
                              r->row ? desk_title(&r->d, r->row) : "", "server", recount_server_name(r->server),
                              "complete", (int)r->c.complete, "emptied_saves",
                              (json_int_t)(r->server == RECOUNT_ASKED ? 0 : r->c.emptied), "changes", list));
}

int cmd_history(struct cli *c, int argc, char **argv)
{
    struct recount r;
    const char *none = NULL;
    int rc = recount_open(&r, c, argc, argv, 2, &none);
    if (rc == 0) {
        recount_note(&r);
        if (c->json)
            rc = print_json(&r);
        for (size_t i = 0; !c->json && i < r.c.n; i++)
            print_change(&r, &r.c.v[i]);
    }
    return recount_close(&r, rc);
}
