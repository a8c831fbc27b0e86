/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taizhang dump`: one canonical JSON line per live record, sorted by (type, id): the confirmed state, or with --view
 * what the person sees. Two replicas of one scope at one version print the same bytes.
 */
#include "desk.h"

#include <getopt.h>
#include <stdio.h>

struct dump {
    struct tz_buf line;
    bool secret;
};

static int print_row(void *ctx, const struct tz_row *row)
{
    struct dump *d = ctx;
    tz_buf_clear(&d->line);
    int rc = tz_row_dump(row, d->secret, &d->line);
    if (!rc)
        rc = tz_buf_putc(&d->line, '\n');
    if (!rc && fwrite(d->line.p, 1, d->line.len, stdout) != d->line.len)
        rc = TZ_E_IO;
    return rc ? rc : 1;
}

static int dump(struct desk *d, bool view, bool partial)
{
    const struct tz_role *role = tz_catalogue_role(d->cat, tz_office_identity(d->o)->role);
    struct dump out = {.secret = role && role->reads_secret};
    tz_buf_init(&out.line, 4 * TZ_ROW_BYTES_MAX);
    int rc = tz_office_each_row(d->o, view, partial, print_row, &out, &d->err);
    tz_buf_deinit(&out.line);
    return rc;
}

int cmd_dump(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"view", no_argument, NULL, 'v'}, {"partial", no_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    bool view = false;
    bool partial = false;
    struct desk d;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k == 'v')
            view = true;
        else if (k == 'p')
            partial = true;
        else
            return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
    }
    if (argc != optind)
        return cli_usage_error(c, "%s", tr("多余的参数", "too many arguments"));
    int rc = desk_open(&d, c);
    if (!rc)
        rc = dump(&d, view, partial);
    return desk_close(&d, rc);
}
