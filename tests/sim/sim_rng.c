/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers of the simulator: xorshift64* streams, seeded through splitmix64 so that neighbouring seeds have
 * nothing in common.
 */
#include "sim.h"

static uint64_t splitmix(uint64_t *s)
{
    uint64_t z = (*s += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

struct sim_rng sim_rng_of(uint64_t seed, uint64_t stream)
{
    uint64_t s = seed * 0x2545F4914F6CDD1DU + stream;
    (void)splitmix(&s);
    struct sim_rng r = {splitmix(&s)};
    if (!r.s)
        r.s = 1;
    return r;
}

uint64_t sim_rand(struct sim_rng *r)
{
    r->s ^= r->s >> 12;
    r->s ^= r->s << 25;
    r->s ^= r->s >> 27;
    return r->s * 0x2545F4914F6CDD1DU >> 8;
}
