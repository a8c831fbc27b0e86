/* SPDX-License-Identifier: Apache-2.0 */
/* `taizhang import TYPE FILE`: a CSV sheet into records. The work is in client/import.c; this reads options and tells
 * what happened. */
#include "desk.h"
#include "hash.h"
#include "import.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { LIST_MAX = 64, NOTES_MAX = 200, EDITS_MAX = 5, EDIT_BYTES = 1200 };

struct import_args {
    struct tz_import_options opt;
    bool template;
    const char *maps[LIST_MAX], *filters[LIST_MAX];
    struct out_progress bar;
    unsigned notes; /* told so far */
    unsigned edits;
    char edit[EDITS_MAX][EDIT_BYTES]; /* the first few, told with the account */
};

static void on_column(void *ctx, const char *heading, const struct tz_field *f)
{
    (void)ctx;
    if (f)
        return;
    out_note(tr("没有用到的列：%s", "column not used: %s"), heading);
}

static void on_note(void *ctx, const struct tz_import_note *n)
{
    struct import_args *in = ctx;
    const char *word = n->verdict == TZ_IMPORT_WARN     ? tr("提醒", "warning")
                       : n->verdict == TZ_IMPORT_REVIEW ? tr("待核对", "to compare")
                                                        : tr("拒绝", "rejected");
    if (in->notes++ >= NOTES_MAX)
        return;
    out_progress_end(&in->bar);
    out_note(tr("第 %zu 行 %s%s%s：%s", "line %zu %s%s%s: %s"), n->line, word, n->column[0] ? " " : "", n->column,
             n->reason);
}

static void on_edited(void *ctx, const char *title, const char *what)
{
    struct import_args *in = ctx;
    if (in->edits < EDITS_MAX)
        (void)snprintf(in->edit[in->edits++], EDIT_BYTES, "%.150s%s%s", title, title[0] ? tr("：", ": ") : "", what);
}

static void on_progress(void *ctx, uint64_t done, uint64_t all)
{
    struct import_args *in = ctx;
    out_progress_step(&in->bar, done, all);
}

static int summary_json(const struct import_args *in, const struct tz_import_result *r)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(in->opt.import_id, hex);
    return out_json(json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:s,s:s,s:s}", "import_id", in->opt.dry_run ? "" : hex,
        "rows", (json_int_t)r->rows, "accepted", (json_int_t)r->accepted, "skipped", (json_int_t)r->skipped, "warned",
        (json_int_t)r->warned, "rejected", (json_int_t)r->rejected, "changesets", (json_int_t)r->changesets, "review",
        (json_int_t)r->review, "filtered", (json_int_t)r->other, "held", (json_int_t)r->held, "created",
        (json_int_t)r->created, "edited", (json_int_t)r->edited, "dry_run", (int)in->opt.dry_run, "sha256", r->sha256,
        "encoding", r->encoding == TZ_IMPORT_UTF8 ? "utf-8" : "gb18030", "kept", r->kept));
}

/** What was changed, the first few by name; the account on stdout stays one line. */
static void tell_edits(const struct import_args *in, const struct tz_import_result *r)
{
    if (r->edited == 0)
        return;
    out_note(in->opt.dry_run ? tr("将修改 %llu 条现有记录：", "%llu records would be changed:")
                             : tr("修改了 %llu 条现有记录：", "%llu records were changed:"),
             (unsigned long long)r->edited);
    for (unsigned i = 0; i < in->edits; i++)
        out_note("  %s", in->edit[i]);
    if (r->edited > in->edits)
        out_note(tr("  ……另有 %llu 条", "  … and %llu more"), (unsigned long long)(r->edited - in->edits));
}

static int summary(const struct import_args *in, const struct tz_import_result *r)
{
    if (in->notes > NOTES_MAX)
        out_note(tr("……另有 %u 条未列出", "… and %u more"), in->notes - NOTES_MAX);
    tell_edits(in, r);
    if (r->differ && !in->opt.update)
        out_note(tr("%llu 行与现有记录不同，没有写入；核对后确要以表格为准的，加 --update 再导入",
                    "%llu rows are not as their records are and were not written; to let the sheet win, import with "
                    "--update"),
                 (unsigned long long)r->differ);
    if (out_json_mode())
        return summary_json(in, r);
    (void)printf(
        in->opt.dry_run
            ? tr("预览：共 %llu 行，可接受 %llu（新增 %llu，修改 %llu，其中提醒 %llu），跳过 %llu，待核对 %llu，拒绝 "
                 "%llu\n",
                 "preview: %llu rows, %llu acceptable (%llu new, %llu edits, %llu with a warning), %llu skipped, %llu "
                 "to compare, %llu rejected\n")
            : tr("共 %llu 行，接受 %llu（新增 %llu，修改 %llu，其中提醒 %llu），跳过 %llu，待核对 %llu，拒绝 %llu\n",
                 "%llu rows, %llu accepted (%llu new, %llu edits, %llu with a warning), %llu skipped, %llu to compare, "
                 "%llu rejected\n"),
        (unsigned long long)r->rows, (unsigned long long)r->accepted, (unsigned long long)r->created,
        (unsigned long long)r->edited, (unsigned long long)r->warned, (unsigned long long)r->skipped,
        (unsigned long long)r->review, (unsigned long long)r->rejected);
    if (r->other)
        (void)printf(tr("按条件略过 %llu 行\n", "%llu rows passed over by the filter\n"), (unsigned long long)r->other);
    if (r->held)
        (void)printf(
            tr("有行不合格，%llu 个合格行也没有导入\n", "because of those, %llu good rows were not imported either\n"),
            (unsigned long long)r->held);
    if (r->kept[0])
        out_note(tr("原文件和未导入的行保存在 %s", "the file and the rows left behind are kept in %s"), r->kept);
    return 0;
}

static struct tz_id make_id(const struct tz_office *o)
{
    struct tz_id_maker maker = {.device = tz_office_identity(o)->device, .random = tz_random_u32};
    return tz_id_make(&maker, tz_clock_wall(&tz_clock_system));
}

static int run(struct desk *d, struct import_args *in, const char *type, const char *file)
{
    char folder[PATH_MAX];
    struct tz_import_result r;
    int rc = desk_type(d, type, &in->opt.type);
    if (!rc)
        rc = cli_path(d->cli, "imports", folder, sizeof folder, &d->err);
    if (!rc)
        rc = cli_user(d->cli, &in->opt.user, &d->err);
    if (rc)
        return rc;
    in->opt.import_id = make_id(d->o);
    in->opt.path = file;
    in->opt.folder = folder;
    in->opt.lang = out_lang();
    out_progress_start(&in->bar, tr("导入", "importing"));
    rc = tz_import_run(d->o, &in->opt, &r, &d->err);
    out_progress_end(&in->bar);
    if (r.changesets)
        cli_poke(d->cli);
    if (rc && r.changesets)
        out_note(tr("中断前已保存 %llu 行；再次导入同一文件即可继续",
                    "%llu rows were saved before; import the same file again to go on"),
                 (unsigned long long)r.accepted);
    if (!rc)
        rc = summary(in, &r);
    if (rc)
        return rc;
    if (r.rejected == 0 && r.review == 0)
        return CLI_DONE;
    return in->opt.all_or_nothing ? CLI_BAD_INPUT : CLI_PARTLY;
}

/** An empty sheet with the headings people know: what anybody may fill in, in the order of the catalogue. */
static int print_template(struct desk *d, const char *type)
{
    const struct tz_type *t;
    int rc = desk_type(d, type, &t);
    if (rc)
        return rc;
    bool first = true;
    (void)fputs("\xEF\xBB\xBF", stdout); /* spreadsheets take it for another encoding without */
    for (size_t i = 0; i < t->nfields; i++) {
        if (!(t->fields[i].editors & (TZ_ED_F | TZ_ED_C | TZ_ED_D)))
            continue;
        (void)printf("%s%s", first ? "" : ",", desk_label(&t->fields[i]));
        first = false;
    }
    (void)fputs("\r\n", stdout);
    return 0;
}

static bool read_encoding(struct import_args *in, const char *word)
{
    if (strcmp(word, "utf-8") == 0 || strcmp(word, "utf8") == 0)
        in->opt.encoding = TZ_IMPORT_UTF8;
    else if (strcmp(word, "gb18030") == 0 || strcmp(word, "gbk") == 0 || strcmp(word, "gb2312") == 0)
        in->opt.encoding = TZ_IMPORT_GB18030;
    else
        return false;
    return true;
}

static bool take_option(struct import_args *in, int k)
{
    switch (k) {
    case 'd':
        in->opt.dry_run = true;
        return true;
    case 't':
        in->template = true;
        return true;
    case 'a':
        in->opt.all_or_nothing = true;
        return true;
    case 'u':
        in->opt.update = true;
        return true;
    case 'e':
        return read_encoding(in, optarg);
    case 'm':
        if (in->opt.nmaps < LIST_MAX)
            in->maps[in->opt.nmaps++] = optarg;
        return true;
    case 'f':
        if (in->opt.nfilters < LIST_MAX)
            in->filters[in->opt.nfilters++] = optarg;
        return true;
    default:
        return false;
    }
}

int cmd_import(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"dry-run", no_argument, NULL, 'd'},   {"all-or-nothing", no_argument, NULL, 'a'},
        {"update", no_argument, NULL, 'u'},    {"encoding", required_argument, NULL, 'e'},
        {"map", required_argument, NULL, 'm'}, {"filter", required_argument, NULL, 'f'},
        {"template", no_argument, NULL, 't'},  {NULL, 0, NULL, 0}};
    struct import_args in = {0};
    struct desk d;
    in.opt.maps = in.maps;
    in.opt.filters = in.filters;
    in.opt.column = on_column;
    in.opt.note = on_note;
    in.opt.edited = on_edited;
    in.opt.progress = on_progress;
    in.opt.ctx = &in;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (!take_option(&in, k))
            return cli_usage_error(c, "%s", tr("不认识的选项或编码", "unknown option or encoding"));
    if (argc - optind != (in.template ? 1 : 2))
        return cli_usage_error(c, "%s", tr("需要记录类型和文件", "a record type and a file"));
    int rc = desk_open(&d, c);
    if (!rc)
        rc = in.template ? print_template(&d, argv[optind]) : run(&d, &in, argv[optind], argv[optind + 1]);
    return desk_close(&d, rc);
}
