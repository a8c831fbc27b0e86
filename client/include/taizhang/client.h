/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAIZHANG_CLIENT_H
#define TAIZHANG_CLIENT_H

/*
 * The client as a library: what `taizhang join`, `sync` and `status` do, for programs in C. Everything here works on
 * one data folder and blocks; the command line program uses the same functions underneath. Stable: structs only grow at
 * their end, and carry their size, so that a newer library serves an older program.
 *
 * Threads: one handle per thread at a time. Several programs may use one folder at once. SIGPIPE is ignored in the
 * process once tz_client_join or tz_client_sync was called. Texts are UTF-8.
 */

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TZ_CLIENT_API __attribute__((visibility("default")))
#else
#define TZ_CLIENT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct tz_client;

/** Why something failed. Always filled when a function does not return 0. */
struct tz_client_error {
    int code;      /**< negative and stable; 0 = none */
    int exit_code; /**< class of the failure, as the program's exit codes: 4 not enrolled or revoked, 5 unreachable … */
    char symbol[16]; /**< "TZ-NET-003" */
    char text[512];  /**< a sentence, in Chinese */
    char next[256];  /**< what the person can do */
};

struct tz_client_status {
    size_t size;                                                      /**< set to sizeof before the call */
    uint64_t unsent_changesets;                                       /**< saves not yet acknowledged by the server */
    uint64_t refused_changesets, waiting_changesets, held_changesets; /**< need a person */
    uint64_t open_cases;                                              /**< conflicts to settle */
    uint64_t rows;                                                    /**< live records here */
    int64_t last_sync_ms;                                             /**< ms since 1970 UTC, 0 = never */
    int64_t offset_ms;                                                /**< server's clock − this machine's */
    int filling;       /**< 1: the first sync has not finished, records are missing */
    int audit_changed; /**< 1: the server's audit log is not the one remembered; an administrator must find out why */
};

struct tz_client_report {
    size_t size;                     /**< set to sizeof before the call */
    uint64_t sent, applied;          /**< saves that went out; of those answered, the ones that stand */
    uint64_t refused, waiting, held; /**< need a person, now */
    uint64_t open_cases;             /**< conflicts to settle, now */
    uint64_t rows;                   /**< records received */
};

/** Called during a sync on the calling thread. Must not use the handle. */
typedef void tz_client_progress_cb(void *ctx, uint64_t saves_sent, uint64_t rows_received);

/** "0.1.0" */
TZ_CLIENT_API const char *tz_client_version(void);

/**
 * Join with an invitation code; once per folder, repeating it with the same code is harmless.
 * @catalogue_dir NULL: the installed catalogue. @err may be NULL, here and below. Returns 0 or err->code.
 */
TZ_CLIENT_API int tz_client_join(const char *dir, const char *code, const char *catalogue_dir,
                                 struct tz_client_error *err);
/** Open a folder that has joined. Close it with tz_client_close, also when a later call fails. */
TZ_CLIENT_API int tz_client_open(const char *dir, const char *catalogue_dir, struct tz_client **out,
                                 struct tz_client_error *err);
/** NULL is allowed. */
TZ_CLIENT_API void tz_client_close(struct tz_client *c);
/**
 * One round: send what was saved, receive what is new. Nothing saved is lost when it fails. When an agent is running,
 * it does the round (without progress). @progress and @report may be NULL.
 */
TZ_CLIENT_API int tz_client_sync(struct tz_client *c, tz_client_progress_cb *progress, void *ctx,
                                 struct tz_client_report *report, struct tz_client_error *err);
/** One change of a record as a JSON object, as `taizhang history --json` lists it; borrowed. 0 goes on, else it ends.
 */
typedef int tz_client_change_cb(void *ctx, const char *json);
/**
 * Every change of a record, newest first: those made here, and with @ask_server 1 those in the server's audit log
 * (after a round as in tz_client_sync). @id: 32 hex digits, or a business key or title of a live record. *@complete
 * (may be NULL) becomes 1 when nothing is missing, 0 when only the server has more. With @ask_server 1 an unreachable
 * server is an error; with 0 it is not asked.
 */
TZ_CLIENT_API int tz_client_history(struct tz_client *c, const char *type, const char *id, int ask_server,
                                    tz_client_change_cb *cb, void *ctx, int *complete, struct tz_client_error *err);
/** Offline and quick. */
TZ_CLIENT_API int tz_client_status(struct tz_client *c, struct tz_client_status *out, struct tz_client_error *err);

#ifdef __cplusplus
}
#endif

#endif
