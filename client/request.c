/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who does the round? The lease decides, not the socket: an agent that died leaves a socket file but no lease. A lease
 * without an agent is another round of this folder, which will be over soon.
 */
#include "request.h"

#include <string.h>
#include <time.h>

enum { AGENT_WAIT_MS = 10 * 60 * 1000, AGENT_ALIVE_MS = 5000, LEASE_TRIES = 100, LEASE_STEP_MS = 100 };

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

/** A round may take minutes; whether anybody is there is known at once. A stopped program holds its lease and says
 * nothing. */
static int agent_answers(const char *dir, struct tz_err *err)
{
    json_t *reply = NULL;
    int rc = tz_agent_ask(dir, "status", AGENT_ALIVE_MS, &reply, err);
    json_decref(reply);
    return rc == TZ_E_TIMEOUT ? tz_err_set(err, TZ_E_AGENT_STUCK, NULL, NULL, NULL, NULL) : rc;
}

static const char *request_of(const struct tz_round_options *opt)
{
    return !opt->compare ? "sync" : opt->dry ? "verify-only" : "verify";
}

int tz_request_round(const struct tz_round_options *opt, struct tz_round_report *r, struct tz_err *err)
{
    int rc = TZ_E_LEASE;
    for (unsigned i = 0; i < LEASE_TRIES; i++) {
        struct tz_err asking = {0};
        json_t *reply;
        rc = tz_round_run(opt, r, err);
        if (rc != TZ_E_LEASE)
            return rc;
        rc = agent_answers(opt->dir, &asking);
        if (rc == 0)
            rc = tz_agent_ask(opt->dir, request_of(opt), AGENT_WAIT_MS, &reply, &asking);
        if (rc == 0) {
            *err = (struct tz_err){0};
            tz_round_parse(reply, r);
            json_decref(reply);
            if (opt->compare && r->compare.code != 0)
                return tz_err_set(err, r->compare.code, "verify", NULL, NULL, NULL);
            return 0;
        }
        if (rc != TZ_E_NOT_FOUND) {
            *err = asking;
            return rc;
        }
        pause_ms(LEASE_STEP_MS);
    }
    return tz_err_set(err, TZ_E_LEASE, NULL, NULL, NULL, NULL);
}
