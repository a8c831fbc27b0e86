/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taizhang show TYPE ID`: one record with its labels, what is known of its state, and its open cases. With --json also
 * the token that `edit --seen` takes: what was on the screen when it was printed.
 */
#include "desk.h"

#include <stdio.h>
#include <string.h>

struct shown {
    const struct tz_type *t;
    struct tz_row *row;
    struct tz_seen seen;
    bool pending;
    json_t *cases; /* ids and subjects of open ones */
};

static int take_case(void *ctx, const struct tz_row *row)
{
    struct shown *s = ctx;
    char hex[TZ_ID_HEX + 1];
    const struct tz_field *state = tz_type_field(row->rec.type, "state");
    const struct tz_field *subject = tz_type_field(row->rec.type, "subject");
    if (!state || !subject || !tz_value_is_text(row->rec.v[state->index], "open"))
        return 1;
    tz_id_print(row->id, hex);
    json_array_append_new(s->cases,
                          json_pack("{s:s,s:o}", "id", hex, "subject", desk_json(subject, row->rec.v[subject->index])));
    return 1;
}

static int find_cases(struct desk *d, struct shown *s)
{
    const struct tz_type *t = tz_catalogue_type(d->cat, "case");
    const struct tz_field *target = t ? tz_type_field(t, "target_id") : NULL;
    if (!target)
        return 0;
    return tz_replica_find(tz_office_replica(d->o), target, t, tz_value_blob(s->row->id.b, TZ_ID_BYTES), take_case, s,
                           &d->err);
}

static json_t *fields_json(const struct shown *s)
{
    json_t *fields = json_object();
    for (size_t i = 0; i < s->t->nfields; i++)
        if (s->row->rec.v[i].kind != TZ_V_NULL)
            json_object_set_new(fields, s->t->fields[i].name, desk_json(&s->t->fields[i], s->row->rec.v[i]));
    return fields;
}

static int print_json(const struct shown *s, const char *hex)
{
    char seen[96];
    char ver[24];
    (void)snprintf(seen, sizeof seen, "%llu.%llu.%llu", (unsigned long long)s->seen.ver,
                   (unsigned long long)s->seen.seq, (unsigned long long)s->seen.checkpoint);
    (void)snprintf(ver, sizeof ver, "%llu", (unsigned long long)s->row->ver);
    return out_json(json_pack("{s:s,s:s,s:b,s:b,s:s,s:s,s:s,s:s,s:o,s:O}", "type", s->t->name, "id", hex, "pending",
                              (int)s->pending, "deleted", (int)s->row->deleted, "district", s->row->area.district,
                              "street", s->row->area.street, "ver", ver, "seen", seen, "fields", fields_json(s),
                              "cases", s->cases));
}

/** When and where a record was made stands in its id. */
static void print_made(const struct tz_id id)
{
    char when[32];
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id.b[i];
    if (tz_id_device(id) == 0)
        return; /* made by the server: its ids say nothing about time */
    (void)printf(tr("登记：%s，设备 %u\n", "made: %s, device %u\n"), out_time(ms, when, sizeof when), tz_id_device(id));
}

static void print_system(struct desk *d, const struct shown *s)
{
    const char *district = tz_divisions_name(tz_entry_divisions(d->entry), s->row->area.district);
    const char *street = tz_divisions_name(tz_entry_divisions(d->entry), s->row->area.street);
    print_made(s->row->id);
    (void)printf(tr("辖区：%s %s\n", "area: %s %s\n"), district ? district : s->row->area.district,
                 street ? street : s->row->area.street);
    (void)printf(tr("状况：%s，版本 %llu\n", "state: %s, version %llu\n"),
                 s->pending ? tr("有未送出或未确认的修改", "own edits not confirmed yet") : tr("已确认", "confirmed"),
                 (unsigned long long)s->row->ver);
    if (s->row->deleted)
        (void)printf("%s\n", tr("已删除", "deleted"));
    for (size_t i = 0; i < json_array_size(s->cases); i++) {
        const json_t *c = json_array_get(s->cases, i);
        (void)printf(tr("待处理冲突：%s %s\n", "open conflict: %s %s\n"), json_string_value(json_object_get(c, "id")),
                     json_string_value(json_object_get(c, "subject")));
    }
}

static void print_text(struct desk *d, const struct shown *s, const char *hex)
{
    (void)printf("%s %s\n", s->t->label[out_lang()], hex);
    desk_print_fields(d, s->row);
    print_system(d, s);
}

int cmd_show(struct cli *c, int argc, char **argv)
{
    struct desk d;
    struct shown s = {0};
    struct tz_id id;
    char hex[TZ_ID_HEX + 1];
    if (argc != 3)
        return cli_usage_error(c, "%s", tr("需要记录类型和编号", "a record type and an id"));
    s.cases = json_array();
    int rc = desk_open(&d, c);
    if (!rc)
        rc = desk_target(&d, argv[1], argv[2], &s.t, &id);
    if (!rc)
        rc = desk_current(&d, s.t, &id);
    if (!rc)
        rc = desk_read(&d, s.t, id, &s.row, &s.seen, &s.pending);
    if (!rc)
        rc = find_cases(&d, &s);
    if (!rc) {
        tz_id_print(id, hex);
        if (out_json_mode())
            rc = print_json(&s, hex);
        else
            print_text(&d, &s, hex);
    }
    json_decref(s.cases);
    return desk_close(&d, rc);
}
