/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Installations of one device: which of them a number belongs to. A copy goes on with the numbers of the one it was
 * made from; up to its fork they are that one's. A save that several copies have takes effect once.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

void oracle_installation(struct oracle *o, uint32_t device, uint32_t incarnation, uint32_t parent, uint64_t fork_seq)
{
    ORACLE_GROW(o->forks, o->nforks, o->forks_cap);
    o->forks[o->nforks++] = (struct ofork){device, incarnation, parent, fork_seq};
}

static const struct ofork *fork_of(const struct oracle *o, uint32_t device, uint32_t incarnation)
{
    for (size_t i = 0; i < o->nforks; i++)
        if (o->forks[i].device == device && o->forks[i].incarnation == incarnation)
            return &o->forks[i];
    return NULL;
}

uint32_t oracle_owner(const struct oracle *o, uint32_t device, uint32_t incarnation, uint64_t seq)
{
    const struct ofork *f = fork_of(o, device, incarnation);
    while (f && seq <= f->fork_seq) {
        incarnation = f->parent;
        f = fork_of(o, device, incarnation);
    }
    return incarnation;
}

/* ---- one save on several disks ---- */

/** The hash that all copies know it by; NULL: it never had another number, or was taken back before it came in. */
static const uint8_t *former_of(const struct tz_changeset *cs)
{
    bool emptied = cs->nops == 1 && cs->ops[0].kind == TZ_OP_WITHDRAW && cs->ops[0].target_seq == cs->seq;
    return cs->former.n == TZ_HASH_BYTES && !emptied ? cs->former.p : NULL;
}

const struct oracle_outcome *ora_twin(const struct oracle *o)
{
    const uint8_t *former = former_of(o->cs);
    for (size_t i = 0; former && i < o->nformers; i++) {
        const struct oformer *f = &o->formers[i];
        if (f->device == o->cs->device && memcmp(f->hash, former, TZ_HASH_BYTES) == 0)
            return oracle_outcome_of(o, f->device, f->incarnation, f->seq);
    }
    return NULL;
}

void ora_twin_note(struct oracle *o)
{
    const uint8_t *former = former_of(o->cs);
    if (!former)
        return;
    ORACLE_GROW(o->formers, o->nformers, o->formers_cap);
    struct oformer *f = &o->formers[o->nformers++];
    *f = (struct oformer){.device = o->cs->device, .incarnation = o->cs->incarnation, .seq = o->cs->seq};
    memcpy(f->hash, former, TZ_HASH_BYTES);
}
