/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_PLANTED_H
#define TZ_PLANTED_H

/*
 * Bugs planted on purpose, to prove that the simulator finds them. They exist only in builds with TZ_PLANTED_BUGS and
 * act only when the simulator selects one by number. A new one is a line here (never a new meaning for an old number),
 * a TZ_PLANTED(…) at its place, a line in tests/sim/README.md, and tests/sim/find_seeds.sh for its stored seed.
 */
#define TZ_PLANTED_LIST(X)                                                  \
    X(1, CURSOR_FIRST, "the cursor is durable before its rows")             \
    X(2, TOLD_BEFORE_COMMIT, "results leave, the commit never happens")     \
    X(3, OTHER_AREA, "rows of another area are fed")                        \
    X(4, REMOVE_UNSEEN, "a REMOVE takes an element it had not seen")        \
    X(5, LOSS_DROPPED, "a value that is overwritten unseen has no case")    \
    X(6, AS_OF_IGNORED, "the as-of date of a group has no say")             \
    X(7, DECISION_BEATEN, "a later clock beats an unseen decision")         \
    X(8, DELETE_UNSEEN, "a DELETE buries what it had not seen")             \
    X(9, LEAVING_KEPT, "nobody is told that a record left the area")        \
    X(10, VERSION_SPLIT, "a cursor stands behind a version half sent")      \
    X(11, CLOCK_TRUSTED, "a fast clock is not clamped")                     \
    X(12, SECRET_FED, "secret fields go to everybody")                      \
    X(13, AREA_UNCHECKED, "edits outside the author's area are taken")      \
    X(14, DEPENDANTS_STAY, "a move does not take dependants along")         \
    X(15, LEFT_UNTOLD, "sessions of the area left are not woken")           \
    X(16, CLASH_STAYS_OPEN, "a case outlives the clash it is about")        \
    X(17, LINKS_STAY, "a merge leaves links at the record that went")       \
    X(18, LINKS_NOT_BACK, "an unmerge does not give links back")            \
    X(19, COMMIT_UNSYNCED, "commits are not synced")                        \
    X(20, SENT_FORGOTTEN, "what was sent may still be changed")             \
    X(21, BASE_RAISED, "an edit claims to have seen what its own hid")      \
    X(22, LEAVES_EARLY, "an own edit leaves the screen before its row")     \
    X(23, NEVER_LEAVES, "an own edit never leaves the screen")              \
    X(24, WITHDRAWAL_FREES_NOBODY, "what waited for it goes on waiting")    \
    X(25, WAITING_BLOCKS_NOBODY, "what needs a waiting save goes ahead")    \
    X(26, RESEND_FORKS, "a resend is taken for a copy's save")              \
    X(27, REFUSED_UNLOGGED, "a refused save has no audit entry")            \
    X(28, REFUSED_HALF_DONE, "a refused save leaves its first ops")         \
    X(29, PARENT_STAYS_DELETED, "a child does not bring its parent back")   \
    X(30, ALIAS_FORGOTTEN, "an edit of a merged record is lost")            \
    X(31, REPAIR_KEEPS_EXTRA, "a repair leaves rows nobody has")            \
    X(32, JOBS_GO_ON, "a checkpoint is taken after its rows failed")        \
    X(33, PURGE_PAST_LEASE, "a purge goes past the lease of a device")      \
    X(34, REFRESH_KEEPS_GHOSTS, "a refresh leaves what was purged")         \
    X(35, STEP_STALE_TAKEN, "a step for a state that has passed is taken")  \
    X(36, STEP_SAME_PERSON, "whoever submitted may verify")                 \
    X(37, NUMBER_REPEATED, "two records get one number")                    \
    X(38, LATE_REFUSED, "an edit whose right has gone leaves no case")      \
    X(39, WIPED_WORDS_STAY, "old saves keep the words of what left")        \
    X(40, ERASE_KEEPS_SAVES, "a device shut out keeps what it had saved")   \
    X(41, REVOKED_FORGOTTEN, "a restore lets in who was shut out")          \
    X(42, NOTHING_REOFFERED, "what a restore undid is not handed in again") \
    X(43, COPY_SWALLOWED, "a copy's save is taken for a resend")            \
    X(44, COMPACTED_TOO_FAR, "saves are emptied that no backup has yet")    \
    X(45, EXTRA_DROPPED, "values that this catalogue lacks are dropped")

/* Out of the simulator's reach: for tests/mutants.sh alone, which chooses by the environment variable TZ_PLANTED. */
#define TZ_PLANTED_ELSEWHERE(X)                               \
    X(101, FRAME_UNCAPPED, "a frame may announce any length") \
    X(102, EPOCH_KEPT, "a restored server gives versions of the old epoch again")

#ifdef TZ_PLANTED_BUGS
enum tz_planted {
    TZ_PLANTED_NONE,
#define X(number, name, what) TZ_PLANTED_##name = (number),
    TZ_PLANTED_LIST(X) TZ_PLANTED_ELSEWHERE(X)
#undef X
};
extern int tz_planted_bug;
#define TZ_PLANTED(name) (tz_planted_bug == TZ_PLANTED_##name)
#else
#define TZ_PLANTED(name) 0
#endif

#endif
