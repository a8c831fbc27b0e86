/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_TOLD_H
#define TZ_TOLD_H

/* Sentences that several connected commands say. */

#include "cli.h"
#include "out.h"

/** Warns when the clocks differ by more than five minutes; syncing goes on all the same. */
void told_clock(int64_t offset_ms);
/** Warns when the server's audit log is not the one remembered, and says what to do. */
void told_audit(bool changed);
/** After a revocation or another final no: how much unsent work is still here. @o must be this thread's. */
void told_unsent(struct tz_office *o);

#endif
