/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taizhangd catalogue: the record types, as a list or as the .proto of their bodies (proto/README.md §1.4). Numbers are
 * written as sint64, everything else as string or bytes; a field's number is its catalogue id.
 */
#include "cli.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/** "basic_info" → "BasicInfo". */
static void message_name(const char *name, char out[TZ_NAME_MAX + 1])
{
    size_t n = 0;
    bool up = true;
    for (; *name && n < TZ_NAME_MAX; name++) {
        if (*name == '_') {
            up = true;
            continue;
        }
        out[n++] = (char)(up ? toupper((unsigned char)*name) : *name);
        up = false;
    }
    out[n] = '\0';
}

static const char *proto_type(enum tz_ftype t)
{
    switch (tz_ftype_kind(t)) {
    case TZ_V_INT:
        return "sint64";
    case TZ_V_BLOB:
        return "bytes";
    case TZ_V_TEXT:
    case TZ_V_NULL:
        break;
    }
    return "string";
}

static void print_message(const struct tz_cli *c, const struct tz_type *t)
{
    char name[TZ_NAME_MAX + 1];
    message_name(t->name, name);
    (void)printf("\n// %u %s\nmessage %s {\n", t->id, t->label[c->lang], name);
    for (size_t i = 0; i < t->nfields; i++)
        (void)printf("  optional %s %s = %u; // %s\n", proto_type(t->fields[i].ftype), t->fields[i].name,
                     t->fields[i].id, t->fields[i].label[c->lang]);
    (void)printf("}\n");
}

static void print_proto(const struct tz_cli *c)
{
    (void)printf("// %s %u\nsyntax = \"proto3\";\npackage taizhang.record;\n",
                 tr(c, "记录目录版本", "catalogue version"), c->catalogue.version);
    for (size_t i = 0; i < c->catalogue.ntypes; i++)
        print_message(c, &c->catalogue.types[i]);
}

int tz_cmd_catalogue(struct tz_cli *c)
{
    int rc = c->opt[TZ_OPT_DATA] ? tz_cli_open(c, true) : 0;
    if (!rc)
        rc = tz_cli_catalogue(c);
    if (!rc && c->opt[TZ_OPT_PROTO]) {
        print_proto(c);
        return 0;
    }
    for (size_t i = 0; i < c->catalogue.ntypes && !rc; i++) {
        const struct tz_type *t = &c->catalogue.types[i];
        if (c->json)
            rc = tz_cli_json(c, json_pack("{s:i,s:s,s:s,s:i,s:i,s:i}", "id", (int)t->id, "type", t->name, "label",
                                          t->label[c->lang], "tier", (int)t->tier, "fields", (int)t->nfields, "steps",
                                          (int)t->nsteps));
        else
            (void)printf("%4u  %-28s %3zu  %s\n", t->id, t->name, t->nfields, t->label[c->lang]);
        if (t->nsteps && !c->json)
            (void)printf(
                tr(c, "      流程 %zu 步（transitions.csv）\n", "      a procedure of %zu steps (transitions.csv)\n"),
                t->nsteps);
    }
    return rc;
}
