/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's own tables, beside the record tables that the catalogue makes. Steps are append-only: a released step
 * never changes. Content that exists nowhere else comes first (state, outbox); the rest can be had from the server
 * again.
 */
#include "office_int.h"

static const char STEP_1[] =
    /* one row: who this installation is and how far it is */
    "CREATE TABLE office("
    " id INTEGER PRIMARY KEY CHECK(id = 1),"
    " device INTEGER NOT NULL,"      /* in every id made here */
    " incarnation INTEGER NOT NULL," /* as the server last said */
    " name TEXT NOT NULL, role TEXT NOT NULL,"
    " area TEXT NOT NULL,"                                  /* division code of the grant; 120000 = city */
    " address TEXT NOT NULL,"                               /* host:port of the server */
    " user BLOB NOT NULL,"                                  /* the device's first user */
    " last_seq INTEGER NOT NULL,"                           /* greatest seq ever given */
    " last_hlc INTEGER NOT NULL,"                           /* of the newest save */
    " id_ms INTEGER NOT NULL, id_counter INTEGER NOT NULL," /* of the newest id made here */
    " checkpoint INTEGER NOT NULL,"                         /* visible version */
    " audit_n INTEGER NOT NULL, audit_hash BLOB NOT NULL,"  /* last audit head the server showed */
    " filling INTEGER NOT NULL,"      /* 1 = rows of some area are still coming for the first time */
    " welcomed INTEGER NOT NULL,"     /* 1 = grant_area and device_user are the server's */
    " reads_secret INTEGER NOT NULL," /* 1 = secret fields come with their values */
    " last_sync_ms INTEGER NOT NULL," /* wall clock of the last checkpoint, 0 = never */
    " offset_ms INTEGER NOT NULL"     /* server wall - device wall at the last handshake */
    ") STRICT;"
    "CREATE TABLE meta("
    " key TEXT PRIMARY KEY," /* small settings of the programs */
    " value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

    /* every save, for ever: an unsent one is work, a judged one is the proof after a restore of the server */
    "CREATE TABLE outbox("
    " seq INTEGER PRIMARY KEY,"
    " incarnation INTEGER NOT NULL,"
    " raw BLOB NOT NULL,"         /* serialised Changeset, exactly as it is sent */
    " hash BLOB NOT NULL,"        /* SHA-256 of raw */
    " saved_ms INTEGER NOT NULL," /* device wall clock */
    " nops INTEGER NOT NULL,"
    " sent INTEGER NOT NULL DEFAULT 0,"         /* 1 = may have left this machine: must never change again */
    " outcome INTEGER NOT NULL DEFAULT 0,"      /* enum tz_outcome; 0 = none yet */
    " ver INTEGER NOT NULL DEFAULT 0,"          /* version it was committed as */
    " code INTEGER NOT NULL DEFAULT 0,"         /* TZ_E_* of a refusal */
    " result BLOB, mac BLOB,"                   /* as received; the mac proves it to the server */
    " blocked_by INTEGER NOT NULL DEFAULT 0,"   /* WAITING: the seq it waits for */
    " in_overlay INTEGER NOT NULL DEFAULT 1,"   /* 1 = some of its ops are on top of the confirmed rows */
    " withdrawn_by INTEGER NOT NULL DEFAULT 0," /* seq of the own save that takes it back */
    " n_applied INTEGER NOT NULL DEFAULT 0, n_superseded INTEGER NOT NULL DEFAULT 0," /* ops by first outcome */
    " n_refused INTEGER NOT NULL DEFAULT 0, n_waiting INTEGER NOT NULL DEFAULT 0,"
    " n_held INTEGER NOT NULL DEFAULT 0, n_under_review INTEGER NOT NULL DEFAULT 0,"
    " n_withdrawn INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE INDEX outbox_overlay ON outbox(ver) WHERE in_overlay = 1;"
    "CREATE INDEX outbox_open ON outbox(seq) WHERE outcome IN (0, 4, 5);"

    /* which op touches which record, while it is in the overlay, and after that if it had hidden something */
    "CREATE TABLE outbox_touch("
    " type INTEGER NOT NULL, id BLOB NOT NULL,"   /* record */
    " seq INTEGER NOT NULL, op INTEGER NOT NULL," /* changeset, position in it */
    " base_ver INTEGER NOT NULL,"                 /* of the op: raw may be emptied while forms still show it */
    " shown BLOB,"                                /* u32 LE field ids the op shows its value of; NULL = all */
    " hid INTEGER NOT NULL,"                      /* 1 = a confirmed value newer than the op's base was under it */
    " until INTEGER," /* NULL = in the overlay; else forms read at a checkpoint <= this may have shown it */
    " PRIMARY KEY(type, id, seq, op)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX outbox_touch_seq ON outbox_touch(seq);"

    /* confirmed image of exactly the records with an own edit in the overlay */
    "CREATE TABLE _shadow("
    " type INTEGER NOT NULL, id BLOB NOT NULL,"
    " state INTEGER NOT NULL," /* 0 none, 1 live, 2 deleted */
    " ver INTEGER NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL,"
    " body BLOB NOT NULL,"     /* canonical record encoding; empty when none */
    " dirty INTEGER NOT NULL," /* 1 = changed by the open transaction */
    " PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX _shadow_dirty ON _shadow(dirty) WHERE dirty = 1;"

    "CREATE TABLE cursor("
    " district TEXT NOT NULL, street TEXT NOT NULL, tier INTEGER NOT NULL,"
    " ver INTEGER NOT NULL," /* everything of this area and tier up to here is held */
    " PRIMARY KEY(district, street, tier)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE grant_area(" /* what the server lets this device read */
    " district TEXT NOT NULL, street TEXT NOT NULL, PRIMARY KEY(district, street)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE device_user(" /* who may work at this device */
    " id BLOB PRIMARY KEY, code TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, active INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE raw_row(" /* records of types this catalogue lacks, until it has them */
    " type INTEGER NOT NULL, id BLOB NOT NULL, ver INTEGER NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL,"
    " state INTEGER NOT NULL," /* enum tz_row_state */
    " body BLOB NOT NULL, PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE set_aside(" /* received records that did not fit; the rest went on without them */
    " type INTEGER NOT NULL, id BLOB NOT NULL, ver INTEGER NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL,"
    " state INTEGER NOT NULL, body BLOB NOT NULL,"
    " code INTEGER NOT NULL," /* why, TZ_E_* */
    " PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;";

static const char STEP_2[] =
    /* versions that a restore of the server undid, as it last said: above < ver <= upto */
    "CREATE TABLE lost_range("
    " above INTEGER NOT NULL, upto INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL," /* that the restore began */
    " PRIMARY KEY(above, upto)) STRICT, WITHOUT ROWID;"
    /* what was received in them: perhaps the only copy, kept to be offered back */
    "CREATE TABLE lost_row("
    " type INTEGER NOT NULL, id BLOB NOT NULL, ver INTEGER NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL,"
    " state INTEGER NOT NULL," /* enum tz_row_state */
    " body BLOB NOT NULL, PRIMARY KEY(type, id, ver)) STRICT, WITHOUT ROWID;";

static const char STEP_3[] =
    /* the server's purge horizon as it was when this cursor began at 0 */
    "ALTER TABLE cursor ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;"
    /* confirmed records that the server has not sent again since everything began anew behind a purge */
    "CREATE TABLE refresh(type INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;";

static const char STEP_4[] =
    /* 1 = its answer is of a version that a restore of the server undid: to be handed in again, with that answer.
     * 2 = its words are gone, so that it cannot be (reoffer.c) */
    "ALTER TABLE outbox ADD COLUMN reoffer INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX outbox_reoffer ON outbox(seq) WHERE reoffer = 1;";

static const char STEP_5[] =
    /* 1 = the server has taken it too, for the time of its recovery window */
    "ALTER TABLE lost_row ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;"
    /* own numbers whose saves a disk has lost, as somebody has said */
    "CREATE TABLE lost_seq("
    " seq INTEGER PRIMARY KEY,"
    " nops INTEGER NOT NULL," /* 0 where nothing was left to tell */
    " declared_ms INTEGER NOT NULL) STRICT;";

static const char STEP_6[] =
    /* the sheet that it came from: raw may be emptied */
    "ALTER TABLE outbox ADD COLUMN import_id BLOB;"
    "CREATE INDEX outbox_import ON outbox(import_id) WHERE import_id IS NOT NULL;"
    /* from here on a settled save may have lost raw, result and mac */
    "CREATE INDEX outbox_answer ON outbox(ver) WHERE result IS NOT NULL;";

/** The import of the first save after *@seq that has words. 1, 0 no save, negative. */
static int next_import(struct tz_stmt *s, uint64_t *seq, struct tz_id *import, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_changeset cs;
    struct tz_err ignored = {0};
    tz_stmt_bind_int(s, 1, (int64_t)*seq);
    int rc = tz_stmt_step(s, err);
    *import = (struct tz_id){{0}};
    if (rc == 1) {
        tz_arena_init(&a, TZ_OFFICE_CHANGESET_ARENA_BYTES);
        *seq = (uint64_t)tz_stmt_int(s, 0);
        if (tz_msg_read_changeset(tz_stmt_blob(s, 1), &a, &cs, &ignored) == 0) /* damage stays what it is */
            *import = cs.import_id;
        tz_arena_deinit(&a);
    }
    tz_stmt_reset(s);
    return rc;
}

static int note_imports(struct tz_db *db, void *ctx, struct tz_err *err)
{
    struct tz_stmt next = {0};
    struct tz_stmt put = {0};
    struct tz_id import;
    uint64_t seq = 0;
    (void)ctx;
    int rc = tz_db_prepare(db, &next,
                           "SELECT seq, raw FROM outbox WHERE seq > ? AND length(raw) > 0 ORDER BY seq LIMIT 1", err);
    if (!rc)
        rc = tz_db_prepare(db, &put, "UPDATE outbox SET import_id = ?2 WHERE seq = ?1", err);
    while (!rc && (rc = next_import(&next, &seq, &import, err)) == 1) {
        rc = 0;
        if (tz_id_is_zero(import))
            continue;
        tz_stmt_bind_int(&put, 1, (int64_t)seq);
        tz_stmt_bind_id(&put, 2, &import);
        rc = tz_stmt_run(&put, err);
    }
    tz_stmt_finalize(&next);
    tz_stmt_finalize(&put);
    return rc;
}

const struct tz_migration tz_client_migrations[] = {{STEP_1, NULL}, {STEP_2, NULL}, {STEP_3, NULL},
                                                    {STEP_4, NULL}, {STEP_5, NULL}, {STEP_6, note_imports}};
const uint32_t tz_client_migrations_count = sizeof tz_client_migrations / sizeof *tz_client_migrations;
