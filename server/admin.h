/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ADMIN_H
#define TZ_ADMIN_H

/*
 * What an administrator changes: invitations, devices, users. The same code runs in a server (on the writer thread,
 * asked through the control socket) and in a command that holds the data folder's lock. Requests and answers are JSON
 * objects:
 *
 *   {"command":"invite","role":…,"area":…,"name":…,"address":…?}  → {"code":…,"name":…}
 *   {"command":"device revoke","name":…}                          → {"device":…,"name":…}
 *   {"command":"device grant","name":…,"role":…?,"area":…?,"until":…?} → {"device":…,"role":…,"area":…,"until_ms":…}
 *   {"command":"user grant","code":…,"role":…,"area":…}           → {"code":…,…}
 *   {"command":"backlog apply"|"backlog discard","name":…,"seq":…?,"reason":…} → {"name":…,"applied":…,"refused":…,…}
 *   {"command":"user add","code":…,"name":…,"role":…,"area":…}    → {"id":…,"code":…}
 *   {"command":"user unit","code":…,"unit":…}                     → {"code":…,"unit":…}
 *   {"command":"user disable","code":…}                           → {"code":…}
 *   {"command":"purge"}, one step                                 → {"records":…,"more":…}
 *   {"command":"backups kept","folder":…,"states":[[epoch,head],…],"kept":n} → {"compact_upto":…}
 *   {"command":"restore close"}                                   → {"recovery_open":false}
 */

#include "store.h"

#include <jansson.h>

/** What an invitation says about this server. */
struct tz_admin_env {
    const char *address; /**< public address; "" = none that a device could use */
    uint8_t pin[32];
    struct tz_purge_rules purge;
};

struct tz_admin_outcome {
    json_t *reply; /**< owned by the caller; NULL on errors */
    uint32_t cut;  /**< device whose sessions are to begin anew, since they are told then what changed; 0 = none */
    bool rows;     /**< records changed: wake the sessions */
    bool recovery_closed; /**< the recovery window ended */
};

/**
 * Carry out @request in an open group. On any error the group must be rolled back. TZ_E_USAGE for requests that are
 * none.
 */
TZ_MUST_USE int tz_admin_run(struct tz_store *s, const struct tz_admin_env *env, const json_t *request,
                             struct tz_admin_outcome *out, struct tz_err *err);

/** An error as a reply, and back. tz_admin_error_read: 0 when @reply is no error. */
json_t *tz_admin_error_json(const struct tz_err *err);
int tz_admin_error_read(const json_t *reply, struct tz_err *err);

/** May a device connect to this address: a host, and a port that is not 0? */
bool tz_admin_address_usable(const char *address);

#endif
