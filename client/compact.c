/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Old own saves in fewer bytes. The server says in Welcome up to which version every backup that it keeps agrees with
 * it (`upto`, and old enough by its clock): no restore to one of them will ever ask for such a save again, so its
 * words, its answer and the proof of that need not lie here any more. The server's audit log has them.
 *
 *   raw, result, mac   emptied
 *   everything else    stays for ever: number, hash, version, outcome, time, counts, the sheet it came from
 *
 * A save is emptied when all of this holds:
 *  1. It was applied or superseded, in a version that is not above `upto` and not in a range that a restore undid.
 *  2. Nothing of it is on the screen, and it is not to be handed in again.
 *  3. No op of it is waiting, held or under review, or was refused alone and is still to be put right; what took it
 *     back has happened.
 *
 * One step empties a bounded number in one transaction, so a save that somebody makes meanwhile does not wait for long,
 * and a crash loses nothing but the step. The pages that become free are used by the next saves and rows: the file does
 * not grow by them, and does not shrink. Giving them back to the disk would mean to write all of it anew, with
 * everybody locked out; only wiping (wipe.c) is worth that. What was in them is overwritten (secure_delete).
 */
#include "log.h"
#include "office_int.h"
#include "planted.h"

enum { STEP_SAVES = 256 };

/* The subselect walks the index outbox_answer; what was emptied is not in it any more. */
static const char COMPACT_SQL[] =
    "UPDATE outbox SET raw = x'', result = NULL, mac = NULL WHERE seq IN (SELECT seq FROM outbox b WHERE"
    " result IS NOT NULL AND ver > 0 AND ver <= ?1 AND outcome IN (1, 2) AND in_overlay = 0 AND reoffer = 0"
    " AND n_waiting = 0 AND n_held = 0 AND n_under_review = 0"
    " AND NOT EXISTS (SELECT 1 FROM lost_range r WHERE b.ver > r.above AND b.ver <= r.upto)"
    " AND iif(withdrawn_by = 0, n_refused = 0,"
    " EXISTS (SELECT 1 FROM outbox w WHERE w.seq = b.withdrawn_by AND w.outcome IN (1, 2)))"
    " ORDER BY ver LIMIT ?2)";

static int empty_some(struct tz_office *o, tz_ver upto, int64_t *n, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_COMPACT, COMPACT_SQL, err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, TZ_PLANTED(COMPACTED_TOO_FAR) ? INT64_MAX : (int64_t)upto);
    tz_stmt_bind_int(s, 2, STEP_SAVES);
    int rc = tz_stmt_run(s, err);
    *n = rc ? 0 : tz_db_changes(o->db);
    return rc;
}

int tz_office_compact(struct tz_office *o, tz_ver upto, bool *more, struct tz_err *err)
{
    int64_t n = 0;
    *more = false;
    int rc = tz_office_begin(o, err);
    if (!rc) {
        rc = empty_some(o, upto, &n, err);
        tz_overlay_cache_drop(o);
        rc = tz_office_end(o, rc, err);
    }
    if (rc == TZ_E_DB_BUSY || rc == TZ_E_DISK_FULL) { /* the next session tries again */
        tz_log(TZ_LOG_WARN, "office", "compact-later", "code=%d", -rc);
        *err = (struct tz_err){0};
        return 0;
    }
    *more = !rc && n == STEP_SAVES;
    if (!rc && n)
        tz_log(TZ_LOG_INFO, "office", "compacted", "saves=%lld upto=%llu", (long long)n, (unsigned long long)upto);
    return rc;
}

int tz_compact_emptied(struct tz_office *o, uint64_t *n, struct tz_err *err)
{
    int64_t count = 0;
    int rc = tz_db_query_int(o->db, "SELECT count(*) FROM outbox WHERE length(raw) = 0", &count, err);
    *n = (uint64_t)count;
    return rc;
}
