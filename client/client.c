/* SPDX-License-Identifier: Apache-2.0 */
/*
 * include/taizhang/client.h over the functions that the command line program uses too. Nothing is decided here: errors
 * and numbers are translated into structs that hold no pointers.
 */
#include "taizhang/client.h"
#include "catalogue_dir.h"
#include "catalogue_find.h"
#include "entry.h"
#include "folder.h"
#include "history.h"
#include "join.h"
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tz_client {
    struct tz_catalogue catalogue;
    struct tz_office *office;
    char dir[PATH_MAX];
};

const char *tz_client_version(void)
{
    return TZ_VERSION;
}

static int tell(const struct tz_err *from, struct tz_client_error *to)
{
    if (to == NULL)
        return from->code;
    const struct tz_err_info *info = tz_err_info(from->code);
    memset(to, 0, sizeof *to);
    to->code = from->code;
    if (from->code == 0)
        return 0;
    to->exit_code = info->exit_code;
    (void)snprintf(to->symbol, sizeof to->symbol, "%s", info->symbol);
    (void)tz_err_text(from, TZ_LANG_ZH, to->text, sizeof to->text);
    (void)tz_err_next(from, TZ_LANG_ZH, to->next, sizeof to->next);
    return from->code;
}

static int load_catalogue(const char *dir, struct tz_catalogue *out, struct tz_err *err)
{
    char found[PATH_MAX];
    int rc = tz_catalogue_find(dir, found);
    if (rc != 0)
        return tz_err_set(err, rc, found, NULL, NULL, NULL);
    return tz_catalogue_load_dir(found, out, err);
}

int tz_client_join(const char *dir, const char *code, const char *catalogue_dir, struct tz_client_error *err)
{
    struct tz_catalogue catalogue;
    struct tz_identity id;
    struct tz_err e = {0};
    bool again;
    int rc = load_catalogue(catalogue_dir, &catalogue, &e);
    if (rc == 0) {
        const struct tz_join_options opt = {dir, code, &catalogue, "taizhang " TZ_VERSION};
        rc = tz_join(&opt, &id, &again, &e);
        tz_catalogue_deinit(&catalogue);
    }
    if (rc == 0)
        e = (struct tz_err){0};
    return tell(&e, err);
}

int tz_client_open(const char *dir, const char *catalogue_dir, struct tz_client **out, struct tz_client_error *err)
{
    struct tz_err e = {0};
    struct tz_client *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL) {
        (void)tz_err_set(&e, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
        return tell(&e, err);
    }
    int rc = load_catalogue(catalogue_dir, &c->catalogue, &e);
    int n = snprintf(c->dir, sizeof c->dir, "%s", dir);
    if (rc == 0 && (n < 0 || (size_t)n >= sizeof c->dir))
        rc = tz_err_setf(&e, TZ_E_LIMIT, "%.60s…: path", dir);
    if (rc == 0)
        rc = tz_folder_office(dir, &c->catalogue, &c->office, &e);
    if (rc == 0) {
        *out = c;
        e = (struct tz_err){0};
    } else {
        tz_client_close(c);
    }
    return tell(&e, err);
}

void tz_client_close(struct tz_client *c)
{
    if (c == NULL)
        return;
    tz_office_close(c->office);
    tz_catalogue_deinit(&c->catalogue);
    free(c);
}

struct progress {
    tz_client_progress_cb *cb;
    void *ctx;
};

static void on_progress(void *ctx, const struct tz_sync_counters *n)
{
    const struct progress *p = ctx;
    if (p->cb != NULL)
        p->cb(p->ctx, n->changesets_sent, n->rows);
}

/** As much of @from as the caller's struct has room for; its size stays. */
static void give(void *to, const void *from, size_t size)
{
    size_t room;
    memcpy(&room, to, sizeof room);
    if (room > sizeof room)
        memcpy((char *)to + sizeof room, (const char *)from + sizeof room, (room < size ? room : size) - sizeof room);
}

int tz_client_sync(struct tz_client *c, tz_client_progress_cb *progress, void *ctx, struct tz_client_report *report,
                   struct tz_client_error *err)
{
    struct tz_err e = {0};
    struct tz_round_report r;
    struct progress p = {progress, ctx};
    const struct tz_round_options opt = {
        .dir = c->dir, .office = c->office, .software = "taizhang " TZ_VERSION, .progress = on_progress, .ctx = &p};
    if (tz_request_round(&opt, &r, &e) == 0)
        e = (struct tz_err){0};
    const struct tz_client_report out = {.size = sizeof out,
                                         .sent = r.sent,
                                         .applied = r.applied,
                                         .refused = r.refused,
                                         .waiting = r.waiting,
                                         .held = r.held,
                                         .open_cases = r.cases,
                                         .rows = r.rows};
    if (report != NULL)
        give(report, &out, sizeof out);
    return tell(&e, err);
}

/* ---- history ---- */

enum { HISTORY_ARENA_BYTES = 512 * 1024 * 1024 };

static int find_record(struct tz_client *c, const char *type, const char *id, const struct tz_type **t,
                       struct tz_id *out, struct tz_err *err)
{
    struct tz_entry *entry = NULL;
    *t = tz_entry_type(&c->catalogue, type);
    if (*t == NULL)
        return tz_err_set(err, TZ_E_UNKNOWN_TYPE, type, NULL, NULL, NULL);
    int rc = tz_entry_new(c->office, &entry, err);
    if (rc == 0)
        rc = tz_entry_find(entry, *t, id, out, err);
    tz_entry_free(entry);
    return rc;
}

static int each_change(const struct tz_changes *changes, tz_client_change_cb *cb, void *ctx, struct tz_err *err)
{
    for (size_t i = 0; i < changes->n; i++) {
        json_t *j = tz_history_change_json(changes, &changes->v[i]);
        char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
        json_decref(j);
        if (text == NULL)
            return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
        int stop = cb(ctx, text);
        free(text);
        if (stop != 0)
            break;
    }
    return 0;
}

int tz_client_history(struct tz_client *c, const char *type, const char *id, int ask_server, tz_client_change_cb *cb,
                      void *ctx, int *complete, struct tz_client_error *err)
{
    struct tz_err e = {0};
    struct tz_msg_history_ask ask = {0};
    struct tz_pages pages = {0};
    struct tz_changes changes = {0};
    const struct tz_type *t = NULL;
    struct tz_arena a;
    const struct tz_round_options opt = {.dir = c->dir, .office = c->office, .software = "taizhang " TZ_VERSION};
    tz_arena_init(&a, HISTORY_ARENA_BYTES);
    int rc = find_record(c, type, id, &t, &ask.id, &e);
    ask.type = t == NULL ? 0 : t->id;
    if (rc == 0 && ask_server)
        rc = tz_request_history(&opt, &ask, &pages, &e);
    if (rc == 0)
        rc = tz_history_here(c->office, t, ask.id, &a, &changes, &e);
    if (rc == 0)
        rc = tz_history_server(&changes, pages.page, pages.n, &a, &e);
    if (rc == 0)
        rc = each_change(&changes, cb, ctx, &e);
    if (complete != NULL)
        *complete = changes.complete;
    tz_pages_free(&pages);
    tz_arena_deinit(&a);
    if (rc == 0)
        e = (struct tz_err){0};
    return tell(&e, err);
}

int tz_client_status(struct tz_client *c, struct tz_client_status *status, struct tz_client_error *err)
{
    struct tz_err e = {0};
    struct tz_office_status st = {0};
    if (tz_office_status(c->office, &st, &e) == 0)
        e = (struct tz_err){0};
    const struct tz_client_status out = {.size = sizeof out,
                                         .unsent_changesets = st.unsent_changesets,
                                         .refused_changesets = st.refused_changesets,
                                         .waiting_changesets = st.waiting_changesets,
                                         .held_changesets = st.held_changesets,
                                         .open_cases = st.open_cases,
                                         .rows = st.rows,
                                         .last_sync_ms = st.last_sync_ms,
                                         .offset_ms = st.offset_ms,
                                         .filling = st.filling,
                                         .audit_changed = st.audit_changed};
    give(status, &out, sizeof out);
    return tell(&e, err);
}
