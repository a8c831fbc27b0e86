/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enrolment: code ─> key ─> request ─> Enrolled ─> files ─> office.
 *
 * Invariants
 *  1. The key is durable before anything is sent: when the answer is lost, a repeat asks with the same key and gets the
 * same device.
 *  2. The office is made last. A folder without it has not joined and may be joined again; one with it never is.
 *  3. One program at a time joins a folder: the lease is held from the key to the office.
 *  4. `server.pin` holds the pin and a hash of the invitation's secret, so that a repeat is recognised without the
 * secret lying on the disk.
 */
#include "join.h"
#include "addr.h"
#include "folder.h"
#include "hash.h"
#include "invite.h"
#include "loop.h"
#include "msg.h"
#include "pki.h"
#include "stream.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEX_BYTES = 2 * TZ_SHA256_BYTES, PIN_FILE_BYTES = 2 * (HEX_BYTES + 1), ANSWER_BODY_MAX = 64 * 1024 };

struct join {
    const struct tz_join_options *opt;
    struct tz_invite invite;
    char pin_file[PIN_FILE_BYTES + 1]; /* two lines: pin, hash of the secret */
    struct tz_buf key;                 /* PEM */
    struct tz_buf csr;
    struct tz_stream *stream;
    struct tz_arena arena; /* holds what `answer` points at */
    struct tz_buf body;    /* of the answer */
    struct tz_msg_enrolled answer;
    bool answered;
    struct tz_err why; /* code 0 while nothing went wrong */
};

/* ---- offline part ---- */

static int decode(struct join *j, struct tz_err *err)
{
    uint8_t hash[TZ_SHA256_BYTES];
    char pin[HEX_BYTES + 1], secret[HEX_BYTES + 1];
    int rc = tz_invite_decode(j->opt->code, &j->invite);
    if (rc == 0)
        rc = tz_sha256(tz_bytes_of(j->invite.secret, sizeof j->invite.secret), hash);
    if (rc == TZ_E_INVITE)
        rc = TZ_E_INVITE_TYPO;
    if (rc != 0)
        return tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    (void)snprintf(j->pin_file, sizeof j->pin_file, "%s\n%s\n",
                   tz_hex_encode(tz_bytes_of(j->invite.pin, sizeof j->invite.pin), pin),
                   tz_hex_encode(tz_bytes_of(hash, sizeof hash), secret));
    return 0;
}

/** Has the folder joined? 1 by this invitation, 0 not at all; TZ_E_JOINED by another one. */
static int joined(struct join *j, struct tz_identity *out, struct tz_err *err)
{
    struct tz_office *o;
    struct tz_buf pin;
    struct tz_err opening = {0};
    int rc = tz_folder_office(j->opt->dir, j->opt->catalogue, &o, &opening);
    if (rc == TZ_E_NOT_ENROLLED)
        return 0;
    if (rc != 0) {
        *err = opening;
        return rc;
    }
    *out = *tz_office_identity(o);
    tz_office_close(o);
    tz_buf_init(&pin, 1024);
    rc = tz_folder_read(j->opt->dir, TZ_FOLDER_PIN, &pin, err);
    if (rc == 0)
        rc = tz_bytes_eq(tz_buf_unread(&pin), tz_bytes_str(j->pin_file)) ? 1 : TZ_E_JOINED;
    if (rc == TZ_E_JOINED || rc == TZ_E_NOT_FOUND)
        rc = tz_err_set(err, TZ_E_JOINED, NULL, NULL, NULL, NULL);
    tz_buf_deinit(&pin);
    return rc;
}

/** The folder's key; a new one is durable before this returns. */
static int load_key(struct join *j, struct tz_err *err)
{
    int rc = tz_folder_read(j->opt->dir, TZ_FOLDER_KEY, &j->key, err);
    if (rc == TZ_E_NOT_FOUND) {
        *err = (struct tz_err){0};
        rc = tz_pki_key_new(&j->key, err);
        if (rc == 0)
            rc = tz_folder_write(j->opt->dir, TZ_FOLDER_KEY, tz_buf_unread(&j->key), err);
    }
    return rc != 0 ? rc : tz_pki_csr_new(tz_buf_unread(&j->key), &j->csr, err);
}

/* ---- asking ---- */

static void fail(struct join *j, int code)
{
    if (j->why.code == 0)
        (void)tz_err_set(&j->why, code, "enrol", NULL, NULL, NULL);
    tz_stream_close(j->stream, code);
}

static void on_open(void *ctx, const struct tz_tls_peer *peer)
{
    struct join *j = ctx;
    struct tz_buf out;
    (void)peer; /* the pin was checked by the TLS engine */
    const struct tz_msg_enrol m = {.protocol = TZ_PROTOCOL_VERSION,
                                   .software = j->opt->software,
                                   .secret = tz_bytes_of(j->invite.secret, sizeof j->invite.secret),
                                   .csr = tz_buf_unread(&j->csr)};
    tz_buf_init(&out, TZ_FRAME_BODY_MAX_ANON);
    int rc = tz_msg_put_enrol(&out, &m);
    if (rc == 0)
        rc = tz_stream_send(j->stream, TZ_MSG_ENROL, TZ_LANE_CONTROL, tz_buf_unread(&out));
    tz_buf_deinit_secret(&out);
    if (rc != 0)
        fail(j, rc);
}

static void on_refused(struct join *j, const struct tz_frame *f)
{
    struct tz_msg_error m;
    if (tz_msg_read_error(f->body, &j->arena, &m, &j->why) == 0)
        (void)tz_err_set(&j->why, m.code, m.nargs > 0 ? m.args[0] : NULL, m.nargs > 1 ? m.args[1] : NULL, NULL, NULL);
    tz_stream_close(j->stream, j->why.code);
}

static void on_frame(void *ctx, const struct tz_frame *f)
{
    struct join *j = ctx;
    if (f->type == TZ_MSG_ERROR) {
        on_refused(j, f);
        return;
    }
    if (f->type != TZ_MSG_ENROLLED || f->lane != TZ_LANE_CONTROL) {
        (void)tz_err_setf(&j->why, TZ_E_PROTOCOL, "%s in enrolment", tz_msg_name(f->type));
        tz_stream_close(j->stream, TZ_E_PROTOCOL);
        return;
    }
    int rc = tz_buf_put(&j->body, f->body.p, f->body.n); /* the message may borrow from its bytes */
    if (rc == 0)
        rc = tz_msg_read_enrolled(tz_buf_unread(&j->body), &j->arena, &j->answer, &j->why);
    j->answered = rc == 0;
    if (rc != 0)
        fail(j, rc);
    else
        tz_stream_close(j->stream, 0);
}

static void on_close(void *ctx, int reason, const struct tz_err *err)
{
    struct join *j = ctx;
    j->stream = NULL;
    if (j->answered || j->why.code != 0)
        return;
    j->why = *err;
    if (reason == 0)
        (void)tz_err_set(&j->why, TZ_E_GONE, NULL, NULL, NULL, NULL);
}

static int ask_on(struct join *j, struct tz_loop *loop, struct tz_err *err)
{
    const struct tz_tls_client_opts tls_opts = {.alpn = TZ_TLS_ALPN_ENROL, .pin = j->invite.pin};
    const struct tz_stream_opts opts = {.body_max = ANSWER_BODY_MAX, .idle_ms = 15000};
    const struct tz_stream_cb cb = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};
    struct tz_tls_config *tls = NULL;
    struct tz_addr to;
    int rc = tz_addr_parse(j->invite.address, &to, err);
    if (rc == 0)
        rc = tz_tls_config_client(&tls_opts, &tls, err);
    if (rc == 0)
        rc = tz_stream_connect(tz_loop_uv(loop), tls, to.host, to.port, &opts, &cb, j, &j->stream, err);
    tz_loop_run(loop);
    tz_tls_config_free(tls);
    if (rc == 0 && !j->answered) {
        *err = j->why;
        rc = err->code;
    }
    return rc;
}

static int ask(struct join *j, struct tz_err *err)
{
    struct tz_loop *loop;
    int rc = tz_loop_new(NULL, NULL, &loop, err);
    if (rc != 0)
        return rc;
    rc = ask_on(j, loop, err);
    tz_loop_free(loop);
    return rc;
}

/* ---- keeping the answer ---- */

/** The database is private from its first byte; SQLite gives the files beside it the same mode. */
static int make_private(const char *path, struct tz_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%s: %s", path, strerror(errno));
    (void)close(fd);
    return 0;
}

static int write_cert(const char *dir, const char *name, struct tz_bytes cert, struct tz_err *err)
{
    struct tz_buf pem;
    tz_buf_init(&pem, TZ_PKI_PEM_MAX);
    int rc = tz_pki_cert_to_pem(cert, &pem, err);
    if (rc == 0)
        rc = tz_folder_write(dir, name, tz_buf_unread(&pem), err);
    tz_buf_deinit(&pem);
    return rc;
}

static bool copy_text(char *out, size_t out_bytes, const char *in)
{
    int n = snprintf(out, out_bytes, "%s", in == NULL ? "" : in);
    return n >= 0 && (size_t)n < out_bytes;
}

static int fill_identity(const struct join *j, struct tz_identity *id, struct tz_err *err)
{
    const struct tz_msg_enrolled *m = &j->answer;
    *id = (struct tz_identity){.device = m->device, .incarnation = m->incarnation, .user = m->user};
    bool fits = copy_text(id->name, sizeof id->name, m->name) && copy_text(id->role, sizeof id->role, m->role) &&
                copy_text(id->area, sizeof id->area, m->area) &&
                copy_text(id->address, sizeof id->address, j->invite.address);
    return fits ? 0 : tz_err_set(err, TZ_E_PROTOCOL, "Enrolled", NULL, NULL, NULL);
}

static int keep(struct join *j, struct tz_identity *out, struct tz_err *err)
{
    char path[PATH_MAX];
    const char *dir = j->opt->dir;
    struct tz_office_options opt = tz_folder_office_options(j->opt->catalogue);
    int rc = fill_identity(j, out, err);
    if (rc == 0)
        rc = write_cert(dir, TZ_FOLDER_CA, j->answer.ca, err);
    if (rc == 0)
        rc = write_cert(dir, TZ_FOLDER_CERT, j->answer.certificate, err);
    if (rc == 0)
        rc = tz_folder_write(dir, TZ_FOLDER_PIN, tz_bytes_str(j->pin_file), err);
    if (rc == 0)
        rc = tz_folder_path(dir, TZ_FOLDER_DB, path, err);
    if (rc == 0)
        rc = make_private(path, err);
    return rc != 0 ? rc : tz_office_create(path, &opt, out, err);
}

/** Ask and keep, alone: two at once would each write a key, and one of them the other's certificate. */
static int join_alone(struct join *j, struct tz_identity *out, struct tz_err *err)
{
    int lease;
    int rc = tz_folder_lease(j->opt->dir, &lease, err);
    if (rc != 0)
        return rc;
    rc = joined(j, out, err); /* meanwhile, by another program? */
    if (rc == 0) {
        rc = load_key(j, err);
        if (rc == 0)
            rc = ask(j, err);
        if (rc == 0)
            rc = keep(j, out, err);
    }
    tz_folder_lease_release(lease);
    return rc;
}

int tz_join(const struct tz_join_options *opt, struct tz_identity *out, bool *again, struct tz_err *err)
{
    struct join j = {.opt = opt};
    *again = false;
    tz_buf_init(&j.key, TZ_PKI_PEM_MAX);
    tz_buf_init(&j.csr, TZ_PKI_PEM_MAX);
    tz_buf_init(&j.body, ANSWER_BODY_MAX);
    tz_arena_init(&j.arena, 1024 * 1024);
    int rc = decode(&j, err);
    if (rc == 0)
        rc = tz_folder_make(opt->dir, err);
    if (rc == 0)
        rc = tz_folder_forget_revoked(opt->dir, err);
    if (rc == 0)
        rc = joined(&j, out, err); /* without the lease: an agent may be at work in a folder that has joined */
    if (rc == 0)
        rc = join_alone(&j, out, err);
    *again = rc == 1;
    tz_buf_deinit_secret(&j.key);
    tz_buf_deinit(&j.csr);
    tz_buf_deinit(&j.body);
    tz_arena_deinit(&j.arena);
    tz_secret_zero(&j.invite, sizeof j.invite);
    return rc == 1 ? 0 : rc;
}
