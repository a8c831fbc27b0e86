/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written shorter: own saves on the devices, words of cases that were closed long ago on the server.
 *
 * The server is told of backups that are kept: of the two that a seed may go back to; in a seed that never does, of one
 * as of the purge before the last. The oracle keeps the words of every case, so a judgement that would need what the
 * server has emptied comes out different there. Whether it was time is looked at here.
 */
#include "sim_check_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- telling ---- */

static size_t kept(const struct sim *w, struct tz_backup_state *out)
{
    size_t n = 0;
    for (size_t i = 0; i < w->nbackups; i++)
        out[n++].head = w->backups[i].head;
    if (!w->restores && w->kept_head)
        out[n++].head = w->kept_head;
    for (size_t i = 0; i < n; i++)
        out[i].epoch = (uint32_t)(out[i].head >> TZ_VER_COUNTER_BITS);
    return n;
}

static int tell(struct sim *w, void *ctx, struct tz_err *err)
{
    struct tz_backup_state held[SIM_BACKUPS + 1];
    size_t n = kept(w, held);
    (void)ctx;
    return n ? tz_store_backups_told(w->server.store, "/backups", held, n, (unsigned)n, err) : 0;
}

void sim_compact_tell(struct sim *w)
{
    (void)sim_server_admin(w, tell, NULL, 0);
}

void sim_compact_before_purge(struct sim *w)
{
    if (w->restores || tz_memdisk_is_off(w->server.disk))
        return;
    tz_ver head = tz_store_head(w->server.store);
    sim_compact_tell(w);
    w->kept_head = head;
}

/* ---- saves ---- */

void sim_compact_count(struct sim_client *c)
{
    struct tz_err err = {0};
    int64_t n = 0;
    if (c->office && !tz_db_query_int(tz_office_db(c->office),
                                      "SELECT count(*) FROM outbox WHERE result IS NULL AND length(raw) = 0", &n, &err))
        c->w->n.compacted += (uint64_t)n;
}

/* ---- cases ---- */

void sim_compact_step(struct sim *w, tz_ver ver, tz_ver limit)
{
    struct tz_backup_state held[SIM_BACKUPS + 1];
    size_t n = kept(w, held);
    if (!n)
        sim_fail(w, "cases were emptied, and there is no backup");
    for (size_t i = 0; i < n; i++)
        if (held[i].head < limit)
            sim_fail(w, "cases up to %" PRIu64 " were emptied, and a backup ends at %" PRIu64, limit & 0xFFFFFF,
                     held[i].head & 0xFFFFFF);
    if (sim_purge_waits(w, limit))
        sim_fail(w, "cases up to %" PRIu64 " were emptied, and a device in its lease is not there yet",
                 limit & 0xFFFFFF);
    w->compact_limit = limit;
    if (!w->blind)
        oracle_head(w->oracle, ver, sim_eff_max(w, ver));
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool sim_compact_same(const json_t *candidate, const char *values)
{
    const json_t *fields = json_object_get(candidate, "fields");
    const char *names[TZ_FIELDS_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(fields) && n < TZ_FIELDS_MAX; i++)
        names[n++] = json_string_value(json_array_get(fields, i));
    if (json_object_get(json_object_get(candidate, "values"), "_deleted"))
        names[n++] = "_deleted";
    qsort(names, n, sizeof *names, name_cmp);
    for (size_t i = 0; i < n; i++) {
        char next[TZ_NAME_MAX + 4];
        size_t len = strlen(names[i]);
        if (strncmp(values, names[i], len) != 0 || values[len] != '=')
            return false;
        (void)snprintf(next, sizeof next, ";%s=", i + 1 < n ? names[i + 1] : "");
        const char *end = i + 1 < n ? strstr(values, next) : values + strlen(values) - 1;
        if (!end || *end != ';')
            return false;
        values = end + 1;
    }
    return *values == '\0';
}

void sim_compact_case(struct sim *w, const struct tz_row *row, const struct oracle_case *o, const char *what)
{
    struct past *p = sim_past_of(w->history, row->rec.type, row->id, false);
    tz_ver was = p && p->n ? p->v[p->n - 1].ver : 0;
    if (p && p->emptied)
        return; /* it only moved since */
    w->n.cases_emptied++;
    if (o->open || o->went || (strcmp(o->kind, "conflict") != 0 && strcmp(o->kind, "deleted") != 0))
        sim_fail(w, "%s (%s, %s) was emptied", what, o->kind, o->open ? "open" : o->went ? "gone" : "closed");
    else if (!was || was > w->compact_limit)
        sim_fail(w, "%s was emptied, which had changed in %" PRIu64 ", above %" PRIu64, what, was & 0xFFFFFF,
                 w->compact_limit & 0xFFFFFF);
    if (p)
        p->emptied = true;
}
