/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SIM_H
#define TZ_SIM_H

/*
 * One server and some clients as one function of a seed. Real sessions, store, sync, office and SQLite; the network,
 * the disks, the clocks, the order in which jobs run and what people do come from here.
 *
 *   sim.c         events in (time, number) order, random numbers, trace hash, a seed from start to end
 *   sim_setup.c   catalogue cut, devices, template disks (once per process)
 *   sim_net.c     connections: delays, chunks, cuts, half-open ends
 *   sim_server.c  sessions, commit groups, readers, crashes
 *   sim_client.c  sync over a connection, jobs, crashes, clocks
 *   sim_saves.c   what each installation saved, and as what it came in
 *   sim_copies.c  disks that are copied, or put back to a copy
 *   sim_catalogues.c  newer catalogues for the server and the devices
 *   sim_raw.c     a peer that pushes hand-made changesets past every check of the client
 *   sim_users.c   what people do; sim_values.c what they write
 *   sim_faults.c  disks without room
 *   sim_screen.c  what must be on a person's screen
 *   sim_damage.c  rows that change beside every rule, and their repair
 *   sim_purge.c   purging, and who was away meanwhile
 *   sim_grants.c  grants that change, and who had which when
 *   sim_restore.c the server goes back to a backup
 *   sim_feed.c    the audit log, read into the oracle
 *   sim_check.c   what must hold after commits and at checkpoints; sim_check_end.c at the end
 *   sim_permute.c order does not matter to changes that share nothing
 *   oracle*.c     what should have happened, by its own merge code
 *   main.c        the command line; shrink.c, stored.c (sim_cli.h)
 */

#include "catalogue.h"
#include "memvfs.h"
#include "office.h"
#include "oracle.h"
#include "session.h"
#include "store.h"
#include "sync.h"

/** A step's evidence: of one file. */
#define SIM_EVIDENCE "[{\"name\":\"a\",\"sha256\":\"00\",\"size\":1}]"

enum {
    SIM_DEVICES_USUAL = 14, /* what seeds choose from */
    SIM_DEVICES = 40,       /* with --clients; a bit each in sim_record.readers */
    SIM_CONNS_MAX = 256,
    SIM_FORMS_MAX = 4,
    SIM_USERS_MAX = 4,
    SIM_AREAS_MAX = 32,
    SIM_WHY_BYTES = 1024,
    SIM_COPIES_MAX = 3, /* of disks, in one seed */
    SIM_SERIES_MAX = 128,
    SIM_CATALOGUES_LATER = 2,
    SIM_MORE_ACTIONS = 16, /* behind those of the plan: copies, catalogues */
    SIM_NOBODY = 1000,
    SIM_HELD_MAX = 4096,
};

/* ---- devices, the same in every seed ---- */
struct sim_device {
    char name[TZ_NAME_BYTES];
    const char *role, *area;
    bool raw; /* no office behind it: hand-made changesets */
    uint32_t number;
    struct tz_id users[SIM_USERS_MAX]; /* [0] the device's own */
    size_t nusers;
    uint8_t fingerprint[TZ_FINGERPRINT_BYTES];
    struct tz_memdisk *image; /* an office that has just joined; NULL until first used */
};

struct sim_template {
    struct tz_catalogue cat, later[SIM_CATALOGUES_LATER];
    struct tz_memdisk *server;
    struct sim_device devices[SIM_DEVICES];
    size_t ndevices;
};
/** The shipped catalogue, cut down; or (@later) a version after it. */
int sim_catalogue_load(struct tz_catalogue *cat, int later);
/** Once per process. */
int sim_template_init(struct sim_template *t, size_t ndevices);
void sim_template_deinit(struct sim_template *t);
struct tz_memdisk *sim_template_office(struct sim_template *t, struct sim_device *d);

/* ---- random numbers ---- */
struct sim_rng {
    uint64_t s;
};
uint64_t sim_rand(struct sim_rng *r);
static inline uint64_t sim_below(struct sim_rng *r, uint64_t n) /* 0 … n-1 */
{
    return n ? sim_rand(r) % n : 0;
}
static inline bool sim_chance(struct sim_rng *r, unsigned percent)
{
    return sim_below(r, 100) < percent;
}
struct sim_rng sim_rng_of(uint64_t seed, uint64_t stream);

/* ---- events ---- */
enum sim_event_kind {
    SIM_EV_ACTION,      /* a: index into actions */
    SIM_EV_DELIVER,     /* a: connection, b: direction << 32 | bytes */
    SIM_EV_CLOSE_SEEN,  /* a: connection, b: side */
    SIM_EV_TICK,        /* a: connection; deadlines of both ends */
    SIM_EV_GROUP,       /* a: server life */
    SIM_EV_READER,      /* a: server life */
    SIM_EV_JOBS_BACK,   /* a: server life */
    SIM_EV_SERVER_UP,   /* a: server life */
    SIM_EV_CONNECT,     /* a: client, b: its life */
    SIM_EV_CLIENT_JOB,  /* a: client, b: its sync number */
    SIM_EV_CLIENT_BACK, /* a: client, b: its sync number */
    SIM_EV_CLIENT_UP,   /* a: client, b: its life */
    SIM_EV_FORM_SAVE,   /* a: client, b: form slot */
    SIM_EV_ROOM_AGAIN,  /* a: client, or SIM_OF_SERVER */
    SIM_EV_PURGE,       /* a: days that pass before */
    SIM_EV_PURGE_NOW,
    SIM_EV_COPY_UP, /* a: client */
    SIM_EV_CHECK,   /* looks for quiescence while draining */
};

struct sim_event {
    int64_t at_ms;
    uint64_t number;
    enum sim_event_kind kind;
    uint64_t a, b;
};

/* ---- actions: the list that shrinking masks ---- */
enum sim_action_kind {
    SIM_ACT_USER,
    SIM_ACT_RAW,
    SIM_ACT_CUT,
    SIM_ACT_DUPLICATE,
    SIM_ACT_OFFLINE,
    SIM_ACT_PARTITION,
    SIM_ACT_CLIENT_CRASH,
    SIM_ACT_CLIENT_KILL,
    SIM_ACT_SERVER_CRASH,
    SIM_ACT_SERVER_KILL,
    SIM_ACT_CLOCK,
    SIM_ACT_WITHDRAW,
    SIM_ACT_DAMAGE,
    SIM_ACT_DISK_FULL,
    SIM_ACT_PURGE,
    SIM_ACT_ABSENCE,
    SIM_ACT_GRANT,
    SIM_ACT_REVOKE,
    SIM_ACT_BACKLOG,
    SIM_ACT_BACKUP,
    SIM_ACT_RESTORE,
    SIM_ACT_COPY, /* behind all others in the plan, so that those are as they are in seeds without */
    SIM_ACT_PUT_BACK,
    SIM_ACT_SERVER_CATALOGUE, /* the same */
    SIM_ACT_CATALOGUE,
    SIM_ACT_KINDS,
};

struct sim_action {
    int64_t at_ms;
    enum sim_action_kind kind;
    unsigned client; /* index of the client, where one is meant */
    uint64_t seed;   /* of its own random numbers, so that masking others changes nothing in it */
    int64_t days_before;
};

/* ---- network ---- */
enum sim_side { SIM_CLIENT = 0, SIM_SERVER = 1 };

struct sim_pipe {
    struct tz_buf bytes;
    int64_t last_ms; /* delivery time of the newest chunk: order is kept */
    bool deaf;       /* bytes were lost: nothing after them may arrive */
};

struct sim_conn {
    bool used;
    uint32_t generation;
    unsigned client;
    bool open[2];
    bool black_hole;         /* bytes go nowhere, nobody is told */
    struct sim_pipe pipe[2]; /* by sending side */
    struct tz_frame_reader reader[2];
    struct tz_session *session; /* server's end */
    bool session_closing;
};

/* ---- server ---- */
struct sim_job {
    struct tz_sjob *job; /* NULL: the administrator's, which is done: @cut is cut off */
    uint64_t conn;       /* handle; the session may be gone */
    uint32_t cut;
    unsigned client; /* whose; SIM_NOBODY */
};
struct sim_jobs {
    struct sim_job *v;
    size_t n, cap;
};

struct sim_server {
    struct tz_memdisk *disk;
    struct tz_store *store;
    struct tz_replica *look; /* the checker's own view of the record tables */
    const struct tz_catalogue *cat;
    uint64_t life; /* raised by each start */
    bool up;
    struct sim_jobs writer, reader, back;
    bool group_due;
    bool releasing; /* a RELEASE job is under way */
    bool purging;   /* a PURGE job is */
    bool disk_full;
    size_t crash_in_ops;
    uint64_t audit_seen;
    tz_ver ver_seen;
};

/* ---- clients ---- */
struct sim_form { /* a record somebody has on the screen */
    bool open;
    const struct tz_type *type;
    struct tz_id id;
    struct tz_seen seen;
    uint64_t seed;
};

struct sim_former { /* the bytes that a save had under another number */
    struct sim_former *next;
    uint8_t *raw;
    size_t n;
    uint8_t hash[TZ_HASH_BYTES];
};

struct sim_saved { /* one changeset as the device stored it */
    uint64_t seq;
    uint32_t incarnation; /* whose number it is now */
    uint8_t *raw;
    size_t n;
    uint8_t hash[TZ_HASH_BYTES];
    uint8_t origin[TZ_HASH_BYTES]; /* of the first bytes it had */
    struct sim_former *former;
    int64_t offset_ms;   /* of the clock of who brought it to the server last, as measured in that session */
    uint64_t brought_in; /* the group of that; 0 not yet */
    uint32_t came_as;    /* the incarnation under which the oracle was fed it; 0 not yet */
    bool acknowledged;   /* the person was told "saved" */
    bool audited;        /* seen in the server's audit log */
    uint64_t audit_n;    /* where */
    bool emptied;        /* before it had left the machine: @emptied_ops had been in it */
    size_t emptied_ops;
    bool withdrawn;  /* the person took it back */
    bool taken_back; /* the same, when it was held: nothing was ever judged of it */
};

struct sim_raw {
    uint64_t next_seq, answered; /* answered: all results up to here are known */
    uint64_t sent;
    struct tz_id_maker maker;
    bool welcomed;
    unsigned in_flight;
    struct sim_raw_frame { /* Push frames without Results, as counts of changesets */
        uint64_t upto;
    } flight[TZ_PUSH_IN_FLIGHT_MAX];
};

struct sim;
struct sim_write;
struct sim_client { /* an installation: several may be of one device */
    struct sim *w;
    unsigned index;
    char name[TZ_NAME_BYTES + 8];
    struct sim_device *dev;
    uint32_t incarnation;         /* as its folder said when last looked at */
    bool asleep;                  /* a copy that is not started yet */
    bool gone;                    /* an older copy has taken its place */
    struct sim_client *puts_back; /* whose place it will take; NULL nobody's */
    struct tz_memdisk *disk;
    struct tz_office *office;
    const struct tz_catalogue *cat;
    bool up;
    uint64_t life;
    int64_t skew_ms; /* its clock minus the true one */
    int64_t offline_until_ms;
    bool live; /* stays connected; else leaves when caught up */
    struct tz_sync *sync;
    uint64_t sync_number;
    bool sync_closed;
    uint64_t conn; /* handle, 0 none */
    struct tz_cjob **jobs, **done;
    size_t njobs, jobs_cap, ndone, done_cap;
    bool connect_due;
    bool checkpoint_check;
    tz_ver held_ver;          /* greatest checkpoint it ever held durably */
    bool shut_out;            /* the server has revoked it */
    uint64_t taken_back_upto; /* at the end all that did not come to its end is taken back: so far */
    bool erased;              /* it has erased everything, and said so */
    bool damaged;             /* rows were changed behind its back: nobody uses it until it is repaired */
    bool hurt;                /* once: what a repair set aside stays on the disk */
    bool repairing;           /* in this session */
    bool repaired;            /* just now: to be compared */
    struct sim_form forms[SIM_FORMS_MAX];
    struct sim_saved *saved;
    size_t nsaved, saved_cap;
    struct sim_write *writes; /* what it saved, by field */
    size_t nwrites, writes_cap;
    uint64_t resolved; /* seq of its newest decision */
    bool disk_full;
    bool saving;           /* a save is open, which shows itself */
    uint64_t acknowledged; /* greatest seq a person was told is saved */
    struct sim_raw raw;
    char role[TZ_NAME_BYTES], area[TZ_STREET_BYTES]; /* as its folder was told; of a hand-made peer, as granted */
    struct tz_area areas[SIM_AREAS_MAX];             /* by that */
    size_t nareas;
    bool reads_secret;
    struct tz_area fed[SIM_AREAS_MAX], fed_before[SIM_AREAS_MAX]; /* by what the server grants it, or did until it has
                                                                      cut it off */
    size_t nfed, nfed_before;
};

/* ---- grants ---- */
static const tz_ver SIM_OPEN = INT64_MAX;
struct sim_span { /* a grant, and for which versions */
    char role[TZ_NAME_BYTES], area[TZ_STREET_BYTES];
    tz_ver since, until; /* SIM_OPEN: to this day */
    int64_t wiped_ms;    /* the device says that nothing of it is left; 0 not */
};
struct sim_spans {
    struct sim_span *v;
    size_t n, cap;
};
struct sim_who { /* of a device and its first user */
    struct sim_spans device, user;
    int64_t until_ms; /* the grant ends by itself then; 0 never */
};
struct sim_asked { /* what the administrator asked for, and the log has not told yet */
    uint32_t device;
    char role[TZ_NAME_BYTES], area[TZ_STREET_BYTES];
    int64_t until_ms;
};

/* ---- what the seed did ---- */
/* The formatter folds this list another way each time. */
/* clang-format off */
#define SIM_COUNTERS(X) \
    X(seeds) X(events) X(actions) X(saves) X(raw_saves) X(ops) X(applied) X(superseded) X(reviewed) X(refused) \
    X(waiting) X(withdrawn) X(cases_opened) X(cases_closed) X(revived) X(disconnects) X(half_open) \
    X(duplicates) X(partitions) X(server_crashes) X(server_kills) X(client_crashes) X(client_kills) \
    X(torn_groups) X(groups) X(group_jobs) X(group_max) X(frames) X(frame_bytes) X(rows_sent) X(checkpoints) \
    X(checkpoints_checked) X(clock_jumps) X(forms_late) X(invalid_kept_back) X(area_moves) X(independent) \
    X(rows_damaged) X(rows_repaired) X(repairs) X(merges) X(steps) X(again) X(unmerges) X(adds) X(removes) \
    X(resolves) X(raw_ops) X(emptied) X(disk_full) X(disk_full_hits) X(screens) X(purges) X(purged) X(compacted) X(cases_emptied) \
    X(refreshes) X(late_words) X(grants) X(grants_changed) X(grants_ended) X(receipts) X(wiped_searched) \
    X(backups) X(restores) X(replayed) X(lost_saves) X(rows_blind) X(revoked) X(held) X(settled) X(erased) X(late_scope) \
    X(copies) X(put_back) X(installations) X(made_over) X(copies_held) X(catalogues) X(catalogues_taken) X(raw_rows) X(quiet_ms_max)
/* clang-format on */
/* of these the greatest is kept, not the sum */
#define SIM_MAXIMA(X) X(group_max) X(quiet_ms_max)

struct sim_counters {
#define X(name) uint64_t name;
    SIM_COUNTERS(X)
#undef X
};

struct sim_record { /* every id anybody made */
    const struct tz_type *type;
    struct tz_id id;
    uint64_t readers; /* bit per client: the record was once in an area it may read */
    unsigned maker;   /* client */
    uint32_t next;    /* the next of the same slot, by number + 1 */
};

/* ---- backups and the journal ---- */
enum { SIM_BACKUPS = 2, SIM_LOST = 8 };
struct sim_backup {
    struct tz_memdisk *disk;
    tz_ver head, base; /* base: up to there it is surely the same as the present one */
    uint64_t audit_n, base_n;
};
struct sim_line {
    char *text;
    size_t n;
    uint32_t epoch;
    uint64_t base_n, audit_n;
};
struct sim_book {
    struct sim_line *v;
    size_t n, cap;
};
struct sim_series { /* the numbers of an installation, as far as the oracle was fed */
    uint32_t device, incarnation;
    uint64_t judged;
};
struct sim_held { /* a copy's save that came under another's number */
    uint32_t device;
    uint64_t seq, nops;
    bool gone; /* it has come under another number since */
    uint8_t hash[TZ_HASH_BYTES];
};
struct sim_lost { /* versions that a restore undid: above, below upto */
    tz_ver above, upto;
};

enum sim_mode {
    SIM_BOTH,     /* faults to the end, then all is healed and must converge */
    SIM_SAFETY,   /* three times the faults and no healing: what must hold at any time holds */
    SIM_LIVENESS, /* healed half-way; people go on, and everything must converge soon after */
};

struct sim_options {
    uint64_t seed;
    enum sim_mode mode;
    unsigned clients;    /* 0: as the seed has it */
    uint64_t ops;        /* people go on until they have made so many; 0: as the seed has it */
    bool trace;          /* print events */
    const uint8_t *mask; /* per action: 0 leaves it out; NULL = all */
    size_t nmask;
    int planted;
    const char *keep; /* folder that the disks of every hundredth seed go into at the end; NULL: nowhere */
    bool keep_any;    /* of this one, whatever came of it */
};

struct sim {
    struct sim_options opt;
    struct sim_template *tpl;
    const struct tz_catalogue *cat; /* the newest that the seed will see */
    unsigned catalogues, raised;    /* how many it will see beyond the first, and has */
    struct sim_rng rng;             /* network, jobs */
    struct sim_rng machine;         /* randomness of SQLite, ids, disks */
    int64_t now_ms;
    int64_t warp_ms; /* days that passed at once */
    uint64_t next_number;
    struct sim_event *heap;
    size_t nheap, heap_cap;
    uint64_t hash;
    bool draining; /* everything healed, waiting for quiet */
    bool failed;
    char why[SIM_WHY_BYTES];
    char noise[256]; /* who was not quiet when last asked */
    struct sim_action *actions;
    size_t nactions;
    int64_t end_ms;  /* when healing starts */
    int64_t calm_ms; /* no faults from then on, while people go on; 0 never */
    struct sim_server server;
    struct sim_client *clients;
    size_t nclients, clients_cap;
    struct sim_series series[SIM_SERIES_MAX];
    size_t nseries;
    struct sim_held held[SIM_HELD_MAX];
    size_t nheld;
    struct sim_conn conns[SIM_CONNS_MAX];
    struct sim_record *records;
    size_t nrecords, records_cap;
    uint32_t record_slots[16384];    /* by hash of the id: the newest there, by number + 1 */
    struct sim_who who[SIM_DEVICES]; /* as tpl->devices */
    struct {
        struct sim_asked *v;
        size_t n, cap;
    } asked;
    bool restores;  /* in this seed there may be some */
    bool blind;     /* the oracle is not followed any more */
    bool taint_off; /* nor is it known whose words may be where */
    uint32_t epoch;
    bool renewed; /* by a restore, and not started since */
    struct sim_backup backups[SIM_BACKUPS];
    size_t nbackups, backup_turn;
    tz_ver kept_head;     /* of the backup that is said to be kept where a seed never goes back; 0 none */
    tz_ver compact_limit; /* of the last step that emptied cases */
    struct sim_book book;
    struct sim_lost lost[SIM_LOST];
    size_t nlost;
    struct oracle *oracle;
    struct sim_history *history;
    struct tz_arena scratch; /* changesets fed to the oracle live here to the end */
    struct sim_counters n;
};

/* sim.c */
/** Run one seed. 0, or -1 with w->why. */
int sim_run(struct sim *w, struct sim_template *tpl, const struct sim_options *opt);
void sim_deinit(struct sim *w);
void sim_at(struct sim *w, int64_t delay_ms, enum sim_event_kind kind, uint64_t a, uint64_t b);
/** First failure is kept. */
void sim_fail(struct sim *w, const char *fmt, ...) TZ_PRINTF(2, 3);
void sim_hash(struct sim *w, const void *p, size_t n);
void sim_trace(struct sim *w, const char *fmt, ...) TZ_PRINTF(2, 3);
struct tz_wall sim_server_wall(const struct sim *w);
struct tz_clock sim_server_clock(struct sim *w);
/** 0 … @max_ms, mostly short. */
int64_t sim_delay(struct sim *w, int64_t max_ms);

/* sim_faults.c */
/** The disk of @c, or the server's, takes no byte more for a while. */
void sim_disk_full(struct sim *w, struct sim_client *c, struct sim_rng *r);
/** Room on it again: of a client, or (@index = SIM_OF_SERVER) the server. */
static const uint64_t SIM_OF_SERVER = UINT64_MAX;
void sim_room_again(struct sim *w, uint64_t index);
/** Is @code what a full disk explains? Counts. */
bool sim_full_explains(struct sim *w, bool full, int code);

/* sim_net.c */
uint64_t sim_net_connect(struct sim *w, unsigned client);
struct sim_conn *sim_net_conn(struct sim *w, uint64_t handle);
void sim_net_send(struct sim *w, uint64_t handle, enum sim_side from, uint8_t type, uint16_t lane,
                  struct tz_bytes body);
/** This side hangs up; the other hears of it after what is under way. */
void sim_net_close(struct sim *w, uint64_t handle, enum sim_side side);
enum sim_cut { SIM_CUT_CLEAN, SIM_CUT_HALF_OPEN, SIM_CUT_BLACK_HOLE };
void sim_net_cut(struct sim *w, uint64_t handle, enum sim_cut how);
void sim_net_deliver(struct sim *w, uint64_t handle, uint64_t b);
void sim_net_close_seen(struct sim *w, uint64_t handle, enum sim_side side);
void sim_net_tick(struct sim *w, uint64_t handle);
void sim_net_deinit(struct sim *w);

/* sim_server.c */
int sim_server_start(struct sim *w);
void sim_server_stop(struct sim *w);
struct tz_store_options sim_server_options(struct sim *w);
/** What is freed is judged. */
void sim_server_release(struct sim *w);
void sim_server_crash(struct sim *w, bool power);
/** A job of nobody's, for the writer. Takes. */
void sim_server_submit(struct sim *w, struct tz_sjob *job);
/** The administrator's change, in a group of its own; then device @cut (0: none) is cut off. 0, or why it was not done.
 */
int sim_server_admin(struct sim *w, int (*change)(struct sim *w, void *ctx, struct tz_err *err), void *ctx,
                     uint32_t cut);
void sim_server_event(struct sim *w, const struct sim_event *e);
/** A client reached the listener. False: nobody there. */
bool sim_server_accept(struct sim *w, uint64_t handle);
void sim_server_on_frame(struct sim *w, uint64_t handle, const struct tz_frame *f);
void sim_server_on_lost(struct sim *w, uint64_t handle);
void sim_server_tick(struct sim *w, uint64_t handle);

/* sim_client.c */
int sim_client_init(struct sim *w, unsigned index, struct sim_device *d);

/** Client @index is asleep, with a copy of @from's disk. */
void sim_client_copy(struct sim *w, unsigned index, const struct sim_client *from);
void sim_client_start(struct sim_client *c);
/** It is switched off, and never again on. */
void sim_client_end(struct sim_client *c);
void sim_client_deinit(struct sim_client *c);
void sim_client_event(struct sim *w, const struct sim_event *e);
void sim_client_crash(struct sim_client *c, bool power);
void sim_client_on_frame(struct sim *w, uint64_t handle, const struct tz_frame *f);
void sim_client_on_lost(struct sim *w, uint64_t handle);
void sim_client_tick(struct sim *w, uint64_t handle);
void sim_client_connect_later(struct sim_client *c, int64_t delay_ms);
/** Did the disk lose power under the last call? Then it is restarted, and true. */
bool sim_client_power(struct sim_client *c);
bool sim_client_quiet(struct sim_client *c);
struct tz_clock sim_client_clock(struct sim_client *c);

/* sim_saves.c */
/** What was taken back before it was ever sent has other bytes now. */
void sim_client_emptied(struct sim_client *c);
/** Copy what the outbox holds beyond what is known. */
void sim_client_record(struct sim_client *c, uint64_t acknowledged_seq);
/** Its folder may have got numbers of its own: its saves have other bytes then. */
void sim_client_renumbered(struct sim_client *c);
/** One more save, by its bytes. */
void sim_saves_add(struct sim_client *c, uint64_t seq, struct tz_bytes raw, bool acknowledged);
void sim_saves_copy(struct sim_client *to, const struct sim_client *from);
void sim_saves_deinit(struct sim_client *c);
/** Has or had it these bytes? */
bool sim_saved_has(const struct sim_saved *s, const uint8_t hash[TZ_HASH_BYTES]);
/** Of any installation of the device, the save @seq with these bytes, of @incarnation if there is one. NULL: there is
 * none. */
struct sim_saved *sim_saved_of(struct sim *w, uint32_t device, uint32_t incarnation, uint64_t seq,
                               const uint8_t hash[TZ_HASH_BYTES], struct sim_client **who);
/** Of any installation, the save that has this number now. */
struct sim_saved *sim_saved_as(struct sim *w, uint32_t device, uint32_t incarnation, uint64_t seq,
                               struct sim_client **who);
/** A session of @c brings these bytes in group number @group; of several that do in one group the first counts. */
void sim_saves_brought(struct sim_client *c, struct tz_bytes raw, int64_t offset_ms, uint64_t group);
/** The same save, under the same number, on every disk that has it. */
void sim_saved_each(struct sim *w, uint32_t device, const struct sim_saved *like,
                    void (*cb)(void *ctx, struct sim_saved *s), void *ctx);
/** What the oracle says of it, under whichever number it came in; NULL: nothing yet. */
const struct oracle_outcome *sim_saved_outcome(const struct sim_client *c, const struct sim_saved *s);

/* sim_copies.c */
/** Copies that the seed will make, behind its other actions; there is room for SIM_COPIES_MAX of them. */
void sim_copies_plan(struct sim *w);
/** @c's disk is copied now. Later the copy is started, or (@put_back) takes the place of @c. */
void sim_copies_act(struct sim_client *c, struct sim_rng *r, bool put_back);
void sim_copies_event(struct sim *w, const struct sim_event *e);
/** Copies that were never started stay where they are. */
void sim_copies_drain(struct sim *w);
/** Each of several installations of a device begins another session. */
void sim_copies_ask_again(struct sim *w);
/** Are there more installations of the device than one? */
bool sim_copies_any(const struct sim *w, uint32_t device);
/** One of the installations of @c's device that are there. */
struct sim_client *sim_copies_pick(struct sim_client *c, uint64_t seed);

/* sim_catalogues.c */
void sim_catalogues_init(struct sim *w);
void sim_catalogues_plan(struct sim *w);
/** The server takes the next one. */
void sim_catalogues_server(struct sim *w);
/** @c takes the server's. */
void sim_catalogues_client(struct sim_client *c);
/** Everybody does. */
void sim_catalogues_finish(struct sim *w);
/** The type as @cat has it; NULL when it lacks it. */
const struct tz_type *sim_type_in(const struct tz_catalogue *cat, const struct tz_type *t);
/** A row of some catalogue as the newest has it. */
void sim_row_raise(struct sim *w, struct tz_row *row, struct tz_arena *a);

/* sim_raw.c */
void sim_raw_start(struct sim_client *c);
void sim_raw_on_frame(struct sim_client *c, const struct tz_frame *f);
void sim_raw_act(struct sim_client *c, struct sim_rng *r);
bool sim_raw_quiet(const struct sim_client *c);

/* sim_ledger.c */
struct sim_stepping { /* a step somebody wants to take */
    const struct sim_record *item;
    const struct tz_step *step;
    const char *state; /* as he saw it */
    uint64_t seq;
};
/** A new item (@t, of whichever catalogue) about some organisation, as somebody of @area would enter it. False: there
 * is none yet. */
bool sim_ledger_open(struct sim *w, struct sim_rng *r, const struct tz_type *t, const char *area, unsigned number,
                     struct tz_arena *a, struct tz_record *in);
/** Some item and a step for it, mostly from where it is now. False: there is no item. */
bool sim_ledger_step(struct sim *w, struct sim_rng *r, const char *area, struct sim_stepping *out);
/** A step for @state: one that the table has there, mostly. NULL: there is none. */
const struct tz_step *sim_ledger_step_from(const struct tz_type *t, int state, struct sim_rng *r);
/** What the step says of the item's fields. */
void sim_ledger_say(struct sim *w, struct sim_rng *r, const struct tz_type *t, const struct tz_step *s, unsigned number,
                    struct tz_arena *a, struct tz_record *in, bool *names);

/* sim_values.c */
/** A record that somebody made, of @type if not NULL. Few are popular: that is where people meet. */
const struct sim_record *sim_pick(struct sim *w, struct sim_rng *r, const char *type);
/** One of the first few of a type that is rare among the popular ones. */
const struct sim_record *sim_pick_of(struct sim *w, struct sim_rng *r, const char *type);
/** Random canonical value; text lives in @a. */
struct tz_value sim_value(struct sim *w, struct sim_rng *r, const struct tz_field *f, struct tz_arena *a,
                          unsigned record);
/** Note a new id; its number is in every marker it carries. */
unsigned sim_record_add(struct sim *w, const struct tz_type *t, struct tz_id id, unsigned maker);
/** Records of this id: a device may have tried to make what was there. NULL: no (more). */
struct sim_record *sim_record_of(struct sim *w, struct tz_id id);
struct sim_record *sim_record_next(struct sim *w, const struct sim_record *r);
/** The id of record @number is known now. */
void sim_record_is(struct sim *w, unsigned number, struct tz_id id);
unsigned sim_marker_check(unsigned number);
int sim_record_number(const struct sim *w, struct tz_id id);

/* sim_users.c */
void sim_user_act(struct sim_client *c, struct sim_rng *r);
void sim_user_form_save(struct sim_client *c, unsigned slot);
/** @all: what did not come to its end, some of it at a time; true: there is more. Else one save that the dice name. */
bool sim_user_withdraw(struct sim_client *c, struct sim_rng *r, bool all);

/* sim_screen.c */
/** A save of @c, as it was stored: what it wrote, by field. */
void sim_screen_note(struct sim_client *c, uint64_t seq, const struct tz_changeset *cs);
void sim_screen_copy(struct sim_client *to, const struct sim_client *from);
/** What @c shows of a record: own saves that have not come back yet are on top. */
void sim_screen_check(struct sim_client *c, const struct tz_row *row, const struct tz_seen *seen);
/** The op of an edit that was begun at @seen claims no more than the screen showed: under an own edit nobody has seen
 * what came later. */
void sim_screen_check_base(struct sim_client *c, const struct tz_op *op, const struct tz_seen *seen);

/* sim_damage.c */
void sim_damage_act(struct sim_client *c, struct sim_rng *r);
/** Start the repair of a damaged client whose session has caught up. */
void sim_damage_repair(struct sim_client *c);

/* sim_purge.c */
void sim_purge_start(struct sim *w);
/** Tell the server which backups are kept. It may lose power over that. */
void sim_compact_tell(struct sim *w);
void sim_compact_before_purge(struct sim *w);
/** A PURGE job came back. Takes. */
void sim_purge_done(struct sim *w, struct tz_sjob *job);
void sim_purge_absence(struct sim_client *c, struct sim_rng *r);
void sim_purge_event(struct sim *w, const struct sim_event *e);
/** Everything is to come anew to @c, since the server purged what it never heard of. */
bool sim_purge_refreshing(const struct sim_client *c);
/** The greatest checkpoint that @c ever held, as far as it could be asked. */
tz_ver sim_purge_held(struct sim_client *c);
/** After a group: what went, and whether it might. @stepped: a step of purging was in it. */
void sim_purge_look(struct sim *w, bool stepped);

/* sim_grants.c */
void sim_grants_init(struct sim *w);
void sim_grants_deinit(struct sim *w);
void sim_grants_act(struct sim_client *c, struct sim_rng *r);
void sim_grants_revoke(struct sim_client *c);
/** Something of the backlog is settled. False: there is nothing. @c NULL: of whom it may be. */
bool sim_grants_settle(struct sim *w, struct sim_client *c, struct sim_rng *r);
/** Is everything of it gone, and known to be? */
bool sim_grants_left(struct sim_client *c);
/** A client at the start of a seed. */
void sim_grants_begin(struct sim_client *c);
/** Its grant has run out, and the server has not looked at it since. */
bool sim_grants_due(const struct sim_client *c);
/** Its folder may have been told of another grant. */
void sim_grants_told(struct sim_client *c);
/** Rights of the author now, and when he made it; a->received_ms is there. */
void sim_grants_author(struct sim *w, const struct sim_client *c, const struct tz_changeset *cs,
                       struct oracle_author *a);
/** The administrator's change has come back from the store: whoever is connected is cut off. */
void sim_grants_cut(struct sim *w, uint32_t device);
/* What the audit log says. */
void sim_grants_expired(struct sim *w, struct tz_bytes name);
void sim_grants_changed(struct sim *w, struct tz_bytes name);
void sim_grants_revoked(struct sim *w, struct tz_bytes name);
void sim_grants_wiped(struct sim *w, uint32_t device, tz_ver ver);
/** The server was down: what is not in the log by now did not happen. */
void sim_grants_forget_asked(struct sim *w);

/* sim_restore.c */
void sim_restore_backup(struct sim *w);
void sim_restore_act(struct sim *w, struct sim_rng *r);
/** Was the version undone? */
bool sim_restore_lost(const struct sim *w, tz_ver ver);
/** All is quiet: the recovery window closes, and what waited for it is judged. */
void sim_restore_settle(struct sim *w);
/** Nothing that the journal tells is forgotten. */
void sim_restore_check(struct sim *w);
/** Has the device heard of the newest restore? Not through a line that was dead at both ends before it. */
bool sim_restore_heard(struct sim_client *c);
void sim_restore_deinit(struct sim *w);
/** tz_store_options.journal. */
int sim_restore_note(void *ctx, struct tz_bytes line, struct tz_err *err);
struct tz_journal_head sim_restore_known(const struct sim *w);
/** Lines of groups that did not come to be go. */
void sim_restore_prune(struct sim *w);

/* sim_permute.c */
/** Changesets that share nothing, committed in two orders, give the same rows. 0, or -1 with @why. */
int sim_permute(struct sim_template *tpl, uint64_t seed, char why[SIM_WHY_BYTES]);

/* sim_check.c */
struct sim_history;
struct sim_history *sim_history_new(void);
void sim_history_free(struct sim_history *h);
/** After a commit, or a restart: feed the oracle and compare. */
void sim_check_commits(struct sim *w);
/** A frame leaves for @c: no marker in it may be of an area it never could read (P6). */
/** Some record of a type that ever was on the server; false when there is none. */
bool sim_check_any(const struct sim *w, struct sim_rng *r, const struct tz_type *t, struct tz_id *id);
void sim_check_taint(struct sim_client *c, struct tz_bytes bytes, const char *where);
/** The confirmed state of @c equals what the server had at its checkpoint. */
void sim_check_checkpoint(struct sim_client *c);
/** Nothing newer than @checkpoint happened in what @c reads. */
bool sim_check_has_all(const struct sim_client *c, tz_ver checkpoint);
/** No quiet needed: acknowledged saves are there, balances add up, logs and databases check out. */
void sim_check_safe(struct sim *w);
/** Everything is quiet. @settled: what hung was withdrawn, so the view must equal the confirmed state. */
void sim_check_end(struct sim *w, bool settled);
struct sim_client *sim_client_of(struct sim *w, uint32_t device);
/** By what its folder was told. */
bool sim_may_read(const struct sim_client *c, const struct tz_area *a);
/** By what the server grants it. */
bool sim_may_be_sent(const struct sim_client *c, const struct tz_area *a);

#endif
