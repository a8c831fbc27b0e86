/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's own tables, beside the record tables that the catalogue makes. Steps are append-only: a released step
 * never changes. Content first; what can be rebuilt from it is marked so.
 */
#include "store_int.h"

static const char STEP_1[] =
    /* single values: epoch, mac_key (32 B, proves results after a restore), claim_key (32 B), audit_head (40 B: n, hash
       of the newest audit entry) */
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;"

    /* one installation that may connect; the authority on who may, never the certificate's dates */
    "CREATE TABLE device("
    " number INTEGER PRIMARY KEY,"   /* in every id it makes */
    " incarnation INTEGER NOT NULL," /* the greatest one given, see STEP_10 */
    " name TEXT NOT NULL UNIQUE,"
    " role TEXT NOT NULL," /* roles.csv */
    " area TEXT NOT NULL," /* division code; 120000 = city */
    " user BLOB NOT NULL," /* its first user */
    " revoked INTEGER NOT NULL DEFAULT 0,"
    " fingerprint BLOB NOT NULL UNIQUE," /* SHA-256 of the certificate */
    " certificate BLOB NOT NULL,"        /* DER; handed out again when the join is repeated */
    " enrolled_ms INTEGER NOT NULL,"
    " last_seq INTEGER NOT NULL DEFAULT 0,"       /* greatest judged seq of this incarnation */
    " last_effective INTEGER NOT NULL DEFAULT 0," /* hlc */
    " last_seen_ms INTEGER NOT NULL DEFAULT 0,"
    " offset_ms INTEGER NOT NULL DEFAULT 0,"  /* server wall - device wall at the last handshake */
    " checkpoint INTEGER NOT NULL DEFAULT 0," /* as the device last said */
    /* waiting changesets still to be looked at: those after this place; -1 none. again: then once more from the start
     */
    " release_after INTEGER NOT NULL DEFAULT -1, release_again INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"

    "CREATE TABLE invite("
    " secret_hash BLOB PRIMARY KEY," /* SHA-256; the secret itself is not kept */
    " role TEXT NOT NULL, area TEXT NOT NULL, name TEXT NOT NULL,"
    " device INTEGER," /* once used */
    " key_hash BLOB,"  /* of the key it was used with: the same key may repeat */
    " made_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    /* what a user may do and where; the user's name and code are an ordinary record of type user */
    "CREATE TABLE user_grant("
    " user BLOB PRIMARY KEY, code TEXT NOT NULL UNIQUE, role TEXT NOT NULL, area TEXT NOT NULL,"
    " active INTEGER NOT NULL DEFAULT 1"
    ") STRICT, WITHOUT ROWID;"

    /* who wrote a version; stamps point here */
    "CREATE TABLE commit_log("
    " ver INTEGER PRIMARY KEY,"
    " device INTEGER NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL," /* 0 = the server itself */
    " user BLOB NOT NULL,"
    " claimed INTEGER NOT NULL, offset_ms INTEGER NOT NULL, effective INTEGER NOT NULL," /* hlc, ms, hlc */
    " eff_max INTEGER NOT NULL," /* greatest effective time of all commits up to this one */
    " received_ms INTEGER NOT NULL,"
    " rules INTEGER NOT NULL, catalogue INTEGER NOT NULL," /* versions it was judged by: the log replays */
    " hash BLOB NOT NULL"                                  /* of the changeset */
    ") STRICT;"

    /* the feed: one live entry per record, deleted ones included; plus one entry per area that a record left */
    "CREATE TABLE change("
    " tier INTEGER NOT NULL, district TEXT NOT NULL, ver INTEGER NOT NULL, type INTEGER NOT NULL, id BLOB NOT NULL,"
    " street TEXT NOT NULL, leaving INTEGER NOT NULL,"
    " PRIMARY KEY(tier, district, ver, type, id, street)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE left_area(" /* where the leaving entry of (record, area) stands, to drop it on return */
    " type INTEGER NOT NULL, id BLOB NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL, ver INTEGER NOT NULL,"
    " PRIMARY KEY(type, id, district, street)) STRICT, WITHOUT ROWID;"

    /* one outcome per changeset, for ever: a resend is answered from here */
    "CREATE TABLE result("
    " device INTEGER NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " hash BLOB NOT NULL, outcome INTEGER NOT NULL, ver INTEGER NOT NULL,"
    " result BLOB NOT NULL, mac BLOB NOT NULL,"
    /* ops by outcome */
    " applied INTEGER NOT NULL, superseded INTEGER NOT NULL, refused INTEGER NOT NULL, waiting INTEGER NOT NULL,"
    " held INTEGER NOT NULL, under_review INTEGER NOT NULL, withdrawn INTEGER NOT NULL,"
    " PRIMARY KEY(device, incarnation, seq)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE lost(" /* seqs a device says it lost */
    " device INTEGER NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL, told_ms INTEGER NOT NULL,"
    " PRIMARY KEY(device, incarnation, seq)) STRICT, WITHOUT ROWID;"

    /* waiting and held changesets, whole: a stolen laptop loses nothing. A copied installation's have the key of
       others, so the hash tells them apart; taken back, they stay as withdrawn (7) without content */
    "CREATE TABLE backlog("
    " device INTEGER NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " hash BLOB NOT NULL, outcome INTEGER NOT NULL, blocked_by INTEGER NOT NULL, nops INTEGER NOT NULL,"
    " raw BLOB NOT NULL, received_ms INTEGER NOT NULL, offset_ms INTEGER NOT NULL,"
    " PRIMARY KEY(device, incarnation, seq, hash)) STRICT, WITHOUT ROWID;"
    /* what refused, waiting and held changesets touch: a later one that touches it waits.
       subject 0 = makes the record; else a field id (of a group: its as-of field) */
    "CREATE TABLE blocked("
    " device INTEGER NOT NULL, type INTEGER NOT NULL, id BLOB NOT NULL, subject INTEGER NOT NULL,"
    " incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY(device, type, id, subject, incarnation, seq)) STRICT, WITHOUT ROWID;"

    /* hash chain over everything that was judged or decided; bodies apart, so that one can be erased */
    "CREATE TABLE audit("
    " n INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, meta TEXT NOT NULL, body_hash BLOB NOT NULL, hash BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE audit_body(n INTEGER PRIMARY KEY, salt BLOB NOT NULL, body BLOB NOT NULL) STRICT;"

    /* business keys as 8-byte keyed hashes; a hit is checked against the row */
    "CREATE TABLE claim("
    " key INTEGER NOT NULL, type INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY(key, type, id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE alias(" /* absorbed duplicates: flat and permanent */
    " type INTEGER NOT NULL, id BLOB NOT NULL, survivor BLOB NOT NULL, ver INTEGER NOT NULL, PRIMARY KEY(type, id)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE purged(" /* late edits to these become cases */
    " type INTEGER NOT NULL, id BLOB NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL, ver INTEGER NOT NULL,"
    " PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;"

    /* rebuildable: newest case of each (record, subject) */
    "CREATE TABLE case_head("
    " type INTEGER NOT NULL, id BLOB NOT NULL, subject TEXT NOT NULL, generation INTEGER NOT NULL, open INTEGER NOT "
    "NULL,"
    " case_id BLOB NOT NULL, PRIMARY KEY(type, id, subject)) STRICT, WITHOUT ROWID;";

static const char STEP_2[] =
    /* seq before incarnation, so that the least one is found without walking them all; and all marks of one save */
    "ALTER TABLE blocked RENAME TO blocked_1;"
    "CREATE TABLE blocked("
    " device INTEGER NOT NULL, type INTEGER NOT NULL, id BLOB NOT NULL, subject INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, incarnation INTEGER NOT NULL,"
    " PRIMARY KEY(device, type, id, subject, seq, incarnation)) STRICT, WITHOUT ROWID;"
    "INSERT INTO blocked SELECT device,type,id,subject,seq,incarnation FROM blocked_1;"
    "DROP TABLE blocked_1;"
    "CREATE INDEX blocked_seq ON blocked(device, incarnation, seq);"
    /* when it was received, as its device and its bases had it then (hlc): waiting makes nobody's word a later one */
    "ALTER TABLE backlog ADD COLUMN effective INTEGER NOT NULL DEFAULT 0;";

static const char STEP_3[] =
    /* versions that a restore has undone: above < ver <= upto. Whoever saw one of them saw up to `above` */
    "CREATE TABLE lost_range("
    " epoch INTEGER PRIMARY KEY," /* that the restore began */
    " above INTEGER NOT NULL,"    /* newest version of the backup */
    " upto INTEGER NOT NULL,"
    " old_epoch INTEGER NOT NULL," /* of the backup */
    " audit_n INTEGER NOT NULL,"   /* newest entry of the backup */
    " restored_ms INTEGER NOT NULL"
    ") STRICT;"
    /* seqs up to here had an answer once, as the device says; a restore forgot it. They are no hole */
    "ALTER TABLE device ADD COLUMN forgotten_seq INTEGER NOT NULL DEFAULT 0;";
/* In meta from here on: recovery_until (ms; 0 = no window is open) */

static const char STEP_4[] =
    /* survivors as they were before a merge, and what was turned to them: what UNMERGE gives back */
    "CREATE TABLE merged("
    " type INTEGER NOT NULL, gone BLOB NOT NULL, survivor BLOB NOT NULL, ver INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY(type, gone)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE merge_link("
    " gone_type INTEGER NOT NULL, gone BLOB NOT NULL, type INTEGER NOT NULL, id BLOB NOT NULL,"
    " field INTEGER NOT NULL, ver INTEGER NOT NULL," /* ver: of the merge */
    " PRIMARY KEY(gone_type, gone, type, id, field)) STRICT, WITHOUT ROWID;";

static const char STEP_5[] =
    /* rebuildable from the audit bodies: which audit entries named a record. only 0 = carried out; else the device
       that tried in vain, and alone may see it */
    "CREATE TABLE history("
    " type INTEGER NOT NULL, id BLOB NOT NULL, only INTEGER NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(type, id, only, n)) STRICT, WITHOUT ROWID;";

static const char STEP_6[] =
    /* when the device last said that it holds a whole checkpoint durably: its lease counts from here */
    "ALTER TABLE device ADD COLUMN acked_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE device SET acked_ms = last_seen_ms WHERE checkpoint > 0;";
/* In meta from here on: purge_aged (newest version that is old enough to be purged), purge_horizon (newest version of
   which something was) */

static const char STEP_7[] =
    /* the last number given in a series (year and district): in the transaction of the record that got it, so there are
       no gaps */
    "CREATE TABLE numbering("
    " type INTEGER NOT NULL, series TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY(type, series)"
    ") STRICT, WITHOUT ROWID;";

static const char STEP_8[] =
    /* handed in again after a restore: the version it had before; 0 otherwise */
    "ALTER TABLE commit_log ADD COLUMN old_ver INTEGER NOT NULL DEFAULT 0;"
    /* recover 1 = what it needs may be handed in yet: it waits for the end of the recovery window, not for a save of
       its own device. was = its answer from before the restore, proved by its mac */
    "ALTER TABLE backlog ADD COLUMN recover INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE backlog ADD COLUMN was BLOB;"
    "CREATE INDEX backlog_recover ON backlog(device) WHERE recover = 1;";

static const char STEP_9[] =
    /* grants that ended: what an edit made before may still claim (a case for review, never a change) */
    "CREATE TABLE grant_past("
    " n INTEGER PRIMARY KEY,"
    " device INTEGER NOT NULL, user BLOB NOT NULL," /* whose; a user's has device 0, a device's an empty user */
    " role TEXT NOT NULL, area TEXT NOT NULL,"
    " since_ver INTEGER NOT NULL, until_ver INTEGER NOT NULL," /* first and last version that it was good for */
    " ended_ms INTEGER NOT NULL,"
    /* the device says that it holds nothing of it any more, at this version and time; 0 = not yet */
    " wiped_ver INTEGER NOT NULL DEFAULT 0, wiped_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX grant_past_device ON grant_past(device, until_ver);"
    "CREATE INDEX grant_past_user ON grant_past(user, until_ver);"
    "ALTER TABLE device ADD COLUMN grant_since INTEGER NOT NULL DEFAULT 0;" /* version that the present grant began with
                                                                             */
    "ALTER TABLE device ADD COLUMN until_ms INTEGER NOT NULL DEFAULT 0;"    /* the grant ends then; 0 = open */
    "ALTER TABLE device ADD COLUMN unsent INTEGER NOT NULL DEFAULT 0;"      /* saves not handed in, as it last said */
    "ALTER TABLE device ADD COLUMN wiped_ms INTEGER NOT NULL DEFAULT 0;"    /* revoked, and says that nothing is left */
    "ALTER TABLE user_grant ADD COLUMN grant_since INTEGER NOT NULL DEFAULT 0;"
    /* areas that records were in before: up to, not including, until_ver */
    "CREATE TABLE area_past("
    " type INTEGER NOT NULL, id BLOB NOT NULL, until_ver INTEGER NOT NULL,"
    " district TEXT NOT NULL, street TEXT NOT NULL, PRIMARY KEY(type, id, until_ver)) STRICT, WITHOUT ROWID;"
    "INSERT OR IGNORE INTO area_past SELECT type,id,ver,district,street FROM left_area;"
    /* records that exist only as a case for review, since their author had lost the right to make them */
    "CREATE TABLE late_new("
    " type INTEGER NOT NULL, id BLOB NOT NULL, device INTEGER NOT NULL, PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;";

static const char STEP_10[] =
    /* installations of a device beside its first: copies of its folder, or the folder put back from an older copy */
    "CREATE TABLE installation("
    " token BLOB PRIMARY KEY," /* made up by the installation before it asked */
    " device INTEGER NOT NULL, incarnation INTEGER NOT NULL,"
    " parent INTEGER NOT NULL, fork_seq INTEGER NOT NULL," /* up to here the numbers are those of incarnation `parent`
                                                            */
    " made_ms INTEGER NOT NULL,"
    " last_seq INTEGER NOT NULL,"                /* greatest judged one */
    " forgotten_seq INTEGER NOT NULL DEFAULT 0," /* as in device */
    " UNIQUE(device, incarnation)) STRICT;"
    /* saves that came in under a new number: by the hash they had under the old one */
    "CREATE TABLE former("
    " device INTEGER NOT NULL, hash BLOB NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY(device, hash)) STRICT, WITHOUT ROWID;";
/* From here on device.incarnation is the greatest one given; last_seq and forgotten_seq are those of incarnation 1 */

static const char STEP_11[] =
    /* changesets that a restore undid and that came in again: the version they had; ver 0 = nothing was to be written
     */
    "CREATE TABLE reoffered(old_ver INTEGER PRIMARY KEY, ver INTEGER NOT NULL) STRICT;"
    /* records that replicas still had after a restore, until the recovery window ends; the newest state of each */
    "CREATE TABLE lost_offer("
    " type INTEGER NOT NULL, id BLOB NOT NULL, ver INTEGER NOT NULL, district TEXT NOT NULL, street TEXT NOT NULL,"
    " state INTEGER NOT NULL, body BLOB NOT NULL,"           /* as a reader sees it */
    " device INTEGER NOT NULL, offered_ms INTEGER NOT NULL," /* who brought it */
    " PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX lost_offer_device ON lost_offer(device);"
    "CREATE INDEX lost_offer_ver ON lost_offer(ver);";

static const char STEP_12[] =
    /* packed stamps of the survivor: before the merge, and those it left, as far as later ones have not replaced them;
       turn: which merge into that survivor it was, so that the last one comes apart first */
    "ALTER TABLE merged ADD COLUMN before BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE merged ADD COLUMN after BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE merged ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;"
    /* the stamp of the reference before it was turned */
    "ALTER TABLE merge_link ADD COLUMN before INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX merge_link_of ON merge_link(type, id, field);"
    /* what came apart is forgotten */
    "DELETE FROM merged WHERE NOT EXISTS(SELECT 1 FROM alias a WHERE a.type=merged.type AND a.id=merged.gone);"
    "DELETE FROM merge_link WHERE NOT EXISTS(SELECT 1 FROM alias a WHERE a.type=gone_type AND a.id=gone);"
    "CREATE INDEX alias_survivor ON alias(type, survivor);"
    "CREATE INDEX merged_survivor ON merged(type, survivor, turn, ver);";

static const char STEP_13[] =
    /* what one device brought is bounded by its bytes too: counted in the index alone */
    "DROP INDEX lost_offer_device;"
    "CREATE INDEX lost_offer_device ON lost_offer(device, length(body));";

static const char STEP_14[] =
    /* older versions, out of commit_log: see store_commit.c */
    "CREATE TABLE commit_author("
    " n INTEGER PRIMARY KEY,"
    " device INTEGER NOT NULL, incarnation INTEGER NOT NULL, user BLOB NOT NULL,"
    " UNIQUE(device, incarnation, user)) STRICT;"
    "CREATE TABLE commit_pack("
    " first INTEGER PRIMARY KEY, last INTEGER NOT NULL," /* versions */
    " body BLOB NOT NULL) STRICT;";                      /* packed: commit_pack.c */

/** Of every record table: the version that a record was made in becomes how long before `_ver` that was, which takes
 * half the bytes. */
static int born_to_age(struct tz_db *db, void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_buf sql;
    (void)ctx;
    tz_buf_init(&sql, 1 << 20);
    int rc = tz_db_prepare(db, &st,
                           "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c"
                           " WHERE m.type='table' AND c.name='_born' ORDER BY m.name",
                           err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        const char *name = tz_stmt_text(&st, 0);
        rc = tz_buf_printf(&sql, "ALTER TABLE \"%s\" RENAME COLUMN _born TO _age; UPDATE \"%s\" SET _age=_ver-_age;",
                           name, name);
    }
    tz_stmt_finalize(&st);
    if (!rc)
        rc = tz_buf_putc(&sql, 0);
    if (!rc)
        rc = tz_db_exec(db, (const char *)sql.p, err);
    tz_buf_deinit(&sql);
    return rc;
}

/** The record tables have an index by area from here on. */
static int index_areas(struct tz_db *db, void *store, struct tz_err *err)
{
    const struct tz_store *s = store;
    return tz_replica_index_areas(db, s->cat, err);
}

static const char STEP_15[] = "";

static const char STEP_16[] =
    /* folders with backups: how many are kept there, and up to which version all of them agree with this database */
    "CREATE TABLE backup_folder("
    " path TEXT PRIMARY KEY, kept INTEGER NOT NULL, upto INTEGER NOT NULL, told_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;";
/* In meta from here on: compact_aged (newest version that is old enough to be written shorter) */

static const char STEP_17[] =
    /* 1 = a session was opened under the present grant, so rows of its area may have been sent; of devices from before
       there was this column nobody knows */
    "ALTER TABLE device ADD COLUMN served INTEGER NOT NULL DEFAULT 1;"
    /* 0 = none was opened under that one: there is nothing to be wiped */
    "ALTER TABLE grant_past ADD COLUMN served INTEGER NOT NULL DEFAULT 1;";

const struct tz_migration tz_server_migrations[TZ_SERVER_MIGRATIONS] = {
    {STEP_1, NULL},  {STEP_2, NULL},  {STEP_3, NULL},  {STEP_4, NULL},         {STEP_5, tz_history_backfill},
    {STEP_6, NULL},  {STEP_7, NULL},  {STEP_8, NULL},  {STEP_9, NULL},         {STEP_10, NULL},
    {STEP_11, NULL}, {STEP_12, NULL}, {STEP_13, NULL}, {STEP_14, born_to_age}, {STEP_15, index_areas},
    {STEP_16, NULL}, {STEP_17, NULL},
};
