/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_PLANTED_H
#define TZ_PLANTED_H

/*
 * Bugs planted on purpose, to prove that the simulator finds them. They exist only in builds with TZ_PLANTED_BUGS and
 * act only when the simulator selects one:
 *
 *   1 cursor stored before its rows              2 results told before the commit
 *   3 a row of another district in the feed      4 a REMOVE takes an element that its author had not seen
 *
 * The last number is TZ_PLANTED_MAX; tests/sim/tests.cmake reads it here.
 */
enum { TZ_PLANTED_MAX = 4 };

#ifdef TZ_PLANTED_BUGS
extern int tz_planted_bug;
#define TZ_PLANTED(n) (tz_planted_bug == (n))
#else
#define TZ_PLANTED(n) 0
#endif

#endif
