/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk without room: every write that would make a file longer fails until there is room again, or a single write
 * does. Saves are refused and groups roll back; nothing that was acknowledged may be missing, and work goes on by itself
 * afterwards.
 */
#include "sim.h"

#include <sqlite3.h>

static uint64_t used(const struct tz_memdisk *d, const char *db, const char *wal)
{
    int64_t a = tz_memdisk_size(d, db);
    int64_t b = tz_memdisk_size(d, wal);
    return (uint64_t)((a > 0 ? a : 0) + (b > 0 ? b : 0));
}

void sim_disk_full(struct sim *w, struct sim_client *c, struct sim_rng *r)
{
    bool server = sim_chance(r, 40) || c->dev->raw;
    struct tz_memdisk *d = server ? w->server.disk : c->disk;
    uint64_t room = sim_chance(r, 50) ? 0 : sim_below(r, 40000); /* at once, or in the middle of some later write */
    uint64_t sum = server ? used(d, "server.db", "server.db-wal") : used(d, "office.db", "office.db-wal");
    if (tz_memdisk_is_off(d))
        return;
    w->n.disk_full++;
    *(server ? &w->server.disk_full : &c->disk_full) = true;
    tz_memdisk_capacity_set(d, sum + room + 1);
    sim_trace(w, "  the disk of %s is full", server ? "the server" : c->name);
    if (sim_chance(r, 30)) { /* or for one write: of two jobs in a row only one finds it so */
        tz_memdisk_capacity_set(d, 0);
        tz_memdisk_fail_at(d, TZ_MEMDISK_WRITE, 1 + sim_below(r, 20), SQLITE_FULL);
    }
    sim_at(w, 500 + (int64_t)sim_below(r, 20000), SIM_EV_ROOM_AGAIN, server ? SIM_OF_SERVER : c->index, 0);
}

void sim_room_again(struct sim *w, uint64_t index)
{
    bool server = index == SIM_OF_SERVER;
    struct tz_memdisk *d = server ? w->server.disk : w->clients[index].disk;
    bool *full = server ? &w->server.disk_full : &w->clients[index].disk_full;
    if (!*full)
        return;
    *full = false;
    tz_memdisk_capacity_set(d, 0);
    tz_memdisk_fail_at(d, 0, 0, 0);
    sim_trace(w, "  room again on the disk of %s", server ? "the server" : w->clients[index].name);
}

bool sim_full_explains(struct sim *w, bool full, int code)
{
    if (!full || code != TZ_E_DISK_FULL)
        return false;
    w->n.disk_full_hits++;
    return true;
}
