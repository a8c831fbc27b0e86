/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every seed starts from, made once per process: the catalogue cut down to the record types that matter here
 * (filtered from the shipped tables at run time, so that it cannot drift from them), a server database with all devices
 * enrolled, and for each device an office that has just joined. Seeds clone the disks.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 24, CELL_BYTES = 256 };

static const char *const TYPES[] = {"division", "unit",      "user",     "organisation", "branch",
                                    "person",   "weak_case", "coverage", "meeting",      "visit",
                                    "case",     "incident",  "redirect", "ledger_item",  "ledger_event"};
static const char *const DIVISIONS[] = {"120000",    "120101",    "120102",    "120103",
                                        "120101001", "120101002", "120102001", "120103001"};

static const struct {
    const char *name, *role, *area;
    bool raw;
} DEVICES[SIM_DEVICES_USUAL] = {
    {"clerk101", "D_CLERK", "120101", false},     {"insp101", "F_INSP", "120101", false},
    {"super101", "D_SUPER", "120101", false},     {"csuper", "C_SUPER", "120000", false},
    {"street101", "S_CLERK", "120101001", false}, {"clerk102", "D_CLERK", "120102", false},
    {"insp102", "F_INSP", "120102", false},       {"clerk103", "D_CLERK", "120103", false},
    {"street102", "S_CLERK", "120102001", false}, {"lead101", "D_LEAD", "120101", false},
    {"cclerk", "C_CLERK", "120000", false},       {"raw101", "D_CLERK", "120101", true},
    {"raw102", "D_SUPER", "120102", true},        {"rawinsp", "F_INSP", "120101", true},
};

static bool among(const char *s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(s, list[i]) == 0)
            return true;
    return false;
}

static bool type_kept(const char *name)
{
    return among(name, TYPES, sizeof TYPES / sizeof *TYPES);
}

/** Cells of one line; quotes as in RFC 4180, no line breaks inside. */
static size_t split(const char *line, size_t n, char cells[COLUMNS_MAX][CELL_BYTES])
{
    size_t col = 0;
    size_t at = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (line[i] == '"') {
            quoted = !quoted;
        } else if (line[i] == ',' && !quoted && col + 1 < COLUMNS_MAX) {
            cells[col++][at] = '\0';
            at = 0;
        } else if (at + 1 < CELL_BYTES) {
            cells[col][at++] = line[i];
        }
    }
    cells[col][at] = '\0';
    return col + 1;
}

/** "ref(site)" of a type that is left out? */
static bool points_outside(const char *ftype)
{
    const char *open = strchr(ftype, '(');
    char name[64];
    if (!open || strncmp(ftype, "ref", 3) != 0)
        return false;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(open + 1, ")"), open + 1);
    return strcmp(name, "any") != 0 && !type_kept(name);
}

static bool line_kept(const char *file, char cells[COLUMNS_MAX][CELL_BYTES])
{
    if (strcmp(file, "types.csv") == 0)
        return type_kept(cells[1]);
    if (strcmp(file, "fields.csv") == 0)
        return type_kept(cells[0]) && !points_outside(cells[5]);
    if (strcmp(file, "groups.csv") == 0 || strcmp(file, "keys.csv") == 0 || strcmp(file, "transitions.csv") == 0)
        return type_kept(cells[0]);
    if (strcmp(file, "rows/division.csv") == 0)
        return among(cells[0], DIVISIONS, sizeof DIVISIONS / sizeof *DIVISIONS);
    if (strcmp(file, "rows/unit.csv") == 0)
        return among(cells[3], DIVISIONS, 4) || strcmp(cells[0], "GW120000") == 0;
    return true;
}

/* What later versions add, as common/catalogue/README.md allows: new types, fields, codes; a code that is offered no
 * more, a field that becomes required and one that is not any more. */
static const struct {
    int since; /* 1: the next version */
    const char *file, *line;
} ADDED[] = {
    {1, "types.csv", "60,volunteer_team,志愿服务队,volunteer team,1,own,,no,no,no,D,D,team_name"},
    {1, "fields.csv", "organisation,35,slogan,口号,slogan,str60,,no,,FD,yes,field,,open,,,,5"},
    {1, "fields.csv", "volunteer_team,1,team_name,队名,team name,str60,,yes,,D,no,field,,open,,,,5"},
    {1, "fields.csv",
     "volunteer_team,2,org_id,所属组织,organisation,ref(organisation),,no,,D,no,field,,open,ignores,,,5"},
    {1, "fields.csv", "volunteer_team,3,members,人数,members,int,,no,,D,no,field,,open,,,,5"},
    {1, "fields.csv", "volunteer_team,4,district_code,所属区,district code,code6,,yes,,CD,no,field,,open,,,,5"},
    {2, "fields.csv", "organisation,36,mascot,吉祥物,mascot,secret,,no,,D,no,field,,secret,,,,5"},
    {2, "fields.csv", "volunteer_team,5,motto,队训,motto,str60,,no,,D,no,field,,open,,,,5"},
};
static const struct {
    int since;
    const char *file, *line; /* its beginning */
    const char *from, *to;
} CHANGED[] = {
    {1, "fields.csv", "organisation,8,", ",str20,,no,", ",str20,,yes,"},
    {1, "enums.csv", "org_kind,social_org,", ",no", ",yes"},
    {1, "enums.csv", "visit_way,on_site,", ",no", ",no\nvisit_way,video,视频,by video,no"},
    {2, "enums.csv", "org_subkind,private,", ",no", ",no\norg_subkind,cooperative,合作社,co-operative,no"},
    {2, "fields.csv", "organisation,8,", ",str20,,yes,", ",str20,,no,"},
};

/** A line of @file as version @later has it, in @out of @cap bytes. */
static size_t changed(const char *file, int later, const char *line, size_t n, char *out, size_t cap)
{
    if (n >= cap)
        abort(); /* MORE_BYTES is too few */
    memcpy(out, line, n);
    out[n] = '\0';
    for (size_t i = 0; i < sizeof CHANGED / sizeof *CHANGED; i++) {
        char *at = NULL;
        if (CHANGED[i].since <= later && strcmp(CHANGED[i].file, file) == 0 &&
            strncmp(out, CHANGED[i].line, strlen(CHANGED[i].line)) == 0)
            at = strstr(out, CHANGED[i].from);
        if (!at)
            continue;
        size_t from = strlen(CHANGED[i].from);
        size_t to = strlen(CHANGED[i].to);
        if (strlen(out) + to - from >= cap)
            abort();
        memmove(at + to, at + from, strlen(at + from) + 1);
        memcpy(at, CHANGED[i].to, to);
    }
    unsigned version;
    if (strcmp(file, "catalogue.csv") == 0 && sscanf(out, "version,%u", &version) == 1)
        (void)snprintf(out, cap, "version,%u", version + (unsigned)later);
    return strlen(out);
}

static struct tz_bytes read_filtered(const char *name, int later, struct tz_arena *a)
{
    char path[512];
    static char text[1 << 20];
    (void)snprintf(path, sizeof path, "%s/common/catalogue/%s", TZ_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        (void)fclose(f);
    enum { MORE_BYTES = 8192 };
    size_t cap = n + MORE_BYTES;
    char *out = tz_arena_alloc(a, cap);
    size_t len = 0;
    static char cells[COLUMNS_MAX][CELL_BYTES];
    bool first = true;
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n && text[end] != '\n')
            end++;
        (void)split(text + at, end - at, cells);
        if (first || line_kept(name, cells)) {
            len += changed(name, later, text + at, end - at, out + len, cap - len - 1);
            out[len++] = '\n';
        }
        first = false;
        at = end + 1;
    }
    for (size_t i = 0; i < sizeof ADDED / sizeof *ADDED; i++)
        if (ADDED[i].since <= later && strcmp(ADDED[i].file, name) == 0) {
            int more = snprintf(out + len, cap - len, "%s\n", ADDED[i].line);
            if (more < 0 || (size_t)more >= cap - len)
                abort();
            len += (size_t)more;
        }
    return tz_bytes_of(out, len);
}

int sim_catalogue_load(struct tz_catalogue *cat, int later)
{
    static const char *const FILES[] = {"catalogue.csv", "enums.csv",      "fields.csv", "groups.csv",
                                        "keys.csv",      "roles.csv",      "types.csv",  "rows/division.csv",
                                        "rows/unit.csv", "transitions.csv"};
    enum { N = sizeof FILES / sizeof *FILES };
    struct tz_catalogue_file files[N];
    struct tz_arena a;
    struct tz_err err = {0};
    char text[512];
    tz_arena_init(&a, 16 << 20);
    for (size_t i = 0; i < N; i++)
        files[i] = (struct tz_catalogue_file){FILES[i], read_filtered(FILES[i], later, &a)};
    int rc = tz_catalogue_load(files, N, cat, &err);
    if (rc)
        (void)fprintf(stderr, "catalogue: %s\n", tz_err_text(&err, TZ_LANG_EN, text, sizeof text));
    tz_arena_deinit(&a);
    return rc;
}

/* ---- the server's template ---- */

static struct tz_clock_fake template_time = {{INT64_C(17167) * 86400000 - 3600000}, {0}};
static struct sim_rng template_rng;

static void template_random(void *ctx, uint8_t *p, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)sim_rand(&template_rng);
}

static uint32_t template_random32(void *ctx)
{
    (void)ctx;
    return (uint32_t)sim_rand(&template_rng);
}

static int sign(void *ctx, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                uint8_t fingerprint[TZ_FINGERPRINT_BYTES], struct tz_err *err)
{
    (void)ctx;
    (void)err;
    memset(fingerprint, 0, TZ_FINGERPRINT_BYTES);
    fingerprint[0] = 0xF1;
    fingerprint[1] = (uint8_t)device;
    return tz_buf_put(certificate, csr.p, csr.n);
}

static int enrol(struct tz_store *s, struct sim_device *d, unsigned n, struct tz_err *err)
{
    struct tz_invite_spec spec = {.role = d->role, .area = d->area, .name = d->name};
    uint8_t secret[16];
    uint8_t key[32] = {0xC5, (uint8_t)n};
    struct tz_enrolment e = {0};
    tz_buf_init(&e.certificate, 4096);
    int rc = tz_store_invite_add(s, &spec, secret, err);
    if (!rc)
        rc = tz_store_enrol(s, tz_bytes_of(secret, sizeof secret), tz_bytes_of(key, sizeof key), key, sign, NULL, &e,
                            err);
    d->number = e.device.number;
    d->users[0] = e.user;
    d->nusers = 1;
    d->fingerprint[0] = 0xF1;
    d->fingerprint[1] = (uint8_t)e.device.number;
    tz_buf_deinit(&e.certificate);
    return rc;
}

/** May the role of @o be used on a device of @d's? The same letter or none, no secrets and no supervising that the
 * device lacks. */
static bool role_fits(const struct sim_template *t, const struct sim_device *d, const struct sim_device *o)
{
    const struct tz_role *on = tz_catalogue_role(&t->cat, d->role);
    const struct tz_role *of = tz_catalogue_role(&t->cat, o->role);
    return (of->editor == 0 || of->editor == on->editor) && (on->reads_secret || !of->reads_secret) &&
           (on->supervises || !of->supervises);
}

/** Whoever works within a device's area, with rights that the device has, may use it. */
static void share_devices(struct sim_template *t)
{
    for (size_t i = 0; i < t->ndevices; i++)
        for (size_t k = 0; k < t->ndevices; k++) {
            struct sim_device *d = &t->devices[i];
            const struct sim_device *o = &t->devices[k];
            bool within = strcmp(d->area, "120000") == 0 || strncmp(o->area, d->area, strlen(d->area)) == 0;
            if (i != k && within && role_fits(t, d, o) && d->nusers < SIM_USERS_MAX)
                d->users[d->nusers++] = o->users[0];
        }
}

static int make_server(struct sim_template *t, struct tz_err *err)
{
    char path[128];
    struct tz_store *s = NULL;
    struct tz_store_options o = {.catalogue = &t->cat,
                                 .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                 .clock = tz_clock_fake(&template_time),
                                 .random = template_random};
    t->server = tz_memdisk_new();
    (void)tz_memdisk_path(t->server, "server.db", path, sizeof path);
    int rc = tz_store_create(path, &o, err);
    if (!rc)
        rc = tz_store_open(path, &o, &s, err);
    if (!rc)
        rc = tz_store_group_begin(s, err);
    for (unsigned i = 0; i < t->ndevices && !rc; i++)
        rc = enrol(s, &t->devices[i], i, err);
    if (!rc)
        rc = tz_store_group_commit(s, err);
    if (!rc)
        rc = tz_db_checkpoint(tz_store_db(s), true, err);
    tz_store_close(s);
    return rc;
}

/** Beyond the usual ones, more of the same: many districts' offices are alike. */
static void name_devices(struct sim_template *t)
{
    for (size_t i = 0; i < t->ndevices; i++) {
        struct sim_device *d = &t->devices[i];
        size_t like = i < SIM_DEVICES_USUAL ? i : (i - SIM_DEVICES_USUAL) % (SIM_DEVICES_USUAL - 3); /* none by hand */
        d->role = DEVICES[like].role;
        d->area = DEVICES[like].area;
        d->raw = DEVICES[like].raw;
        if (i < SIM_DEVICES_USUAL)
            (void)snprintf(d->name, sizeof d->name, "%s", DEVICES[like].name);
        else
            (void)snprintf(d->name, sizeof d->name, "%s-%zu", DEVICES[like].name, i);
    }
}

int sim_template_init(struct sim_template *t, size_t ndevices)
{
    struct tz_err err = {0};
    memset(t, 0, sizeof *t);
    t->ndevices = ndevices;
    template_rng = sim_rng_of(1, 1);
    tz_memvfs_register();
    tz_memvfs_seed(1);
    tz_memvfs_time_set(template_time.wall.ms);
    name_devices(t);
    int rc = sim_catalogue_load(&t->cat, 0);
    for (int i = 0; i < SIM_CATALOGUES_LATER && !rc; i++)
        rc = sim_catalogue_load(&t->later[i], i + 1);
    if (!rc)
        rc = make_server(t, &err);
    share_devices(t);
    for (size_t i = 0; i < t->ndevices && !rc; i++)
        if (!t->devices[i].raw && !sim_template_office(t, &t->devices[i]))
            rc = TZ_E_DB;
    if (rc)
        (void)fprintf(stderr, "template: %d %s %s\n", rc, err.nargs ? err.args[0] : "", err.trail);
    return rc ? -1 : 0;
}

struct tz_memdisk *sim_template_office(struct sim_template *t, struct sim_device *d)
{
    if (d->image)
        return d->image;
    char path[128];
    struct tz_err err = {0};
    struct tz_office *office = NULL;
    struct tz_identity id = {.device = d->number, .incarnation = 1, .user = d->users[0], .address = "sim:1"};
    struct tz_office_options o = {.catalogue = &t->cat,
                                  .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                  .clock = tz_clock_fake(&template_time),
                                  .random = template_random32};
    (void)snprintf(id.name, sizeof id.name, "%s", d->name);
    (void)snprintf(id.role, sizeof id.role, "%s", d->role);
    (void)snprintf(id.area, sizeof id.area, "%s", d->area);
    struct tz_memdisk *disk = tz_memdisk_new();
    (void)tz_memdisk_path(disk, "office.db", path, sizeof path);
    int rc = tz_office_create(path, &o, &id, &err);
    if (!rc)
        rc = tz_office_open(path, &o, &office, &err);
    if (!rc)
        rc = tz_db_checkpoint(tz_office_db(office), true, &err);
    tz_office_close(office);
    if (rc) {
        (void)fprintf(stderr, "office template: %d %s\n", rc, err.trail);
        tz_memdisk_free(disk);
        return NULL;
    }
    d->image = disk;
    return disk;
}

void sim_template_deinit(struct sim_template *t)
{
    for (size_t i = 0; i < t->ndevices; i++)
        tz_memdisk_free(t->devices[i].image);
    tz_memdisk_free(t->server);
    for (int i = 0; i < SIM_CATALOGUES_LATER; i++)
        tz_catalogue_deinit(&t->later[i]);
    tz_catalogue_deinit(&t->cat);
}
