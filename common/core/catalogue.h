/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CATALOGUE_H
#define TZ_CATALOGUE_H

/*
 * Record types as data. The CSV tables under common/catalogue/ (its README is the format) become these structs once at
 * start; afterwards everything is const and may be read from any thread. Nothing here opens a file: the caller hands in
 * the texts.
 */

#include "value.h"

enum {
    TZ_TYPES_MAX = 256,
    TZ_FIELDS_MAX = 256,      /* per type */
    TZ_NAME_MAX = 63,         /* bytes of a type, field, enum or group name */
    TZ_FIELD_DELETED = 18000, /* reserved stamp id of the `_deleted` register; never a real field id */
};

enum tz_area_rule {
    TZ_AREA_OWN,    /* own district_code / street_code */
    TZ_AREA_PARENT, /* that of the record named by area_field (a ref or ref(any)) */
    TZ_AREA_CITY,   /* every device reads, only C (or S) writes */
};
enum tz_merge_class { TZ_MERGE_FIELD, TZ_MERGE_SET, TZ_MERGE_APPEND, TZ_MERGE_EVENTS };
enum tz_visibility { TZ_VIS_OPEN, TZ_VIS_MASKED, TZ_VIS_SECRET };
enum tz_on_delete { TZ_OD_BLOCKS, TZ_OD_REVIVES, TZ_OD_IGNORES };
enum tz_required { TZ_REQ_NO, TZ_REQ_SAVE, TZ_REQ_VERIFY };
/** Who edits, as bits: F field inspector, C central, D district and street, S server. */
enum tz_editor { TZ_ED_F = 1, TZ_ED_C = 2, TZ_ED_D = 4, TZ_ED_S = 8 };

struct tz_enum_value {
    const char *code;
    const char *label[2]; /* by enum tz_lang */
    bool retired;
};
struct tz_enum {
    const char *name;
    const struct tz_enum_value *values;
    size_t nvalues;
};

struct tz_type;

struct tz_field {
    uint32_t id;    /* 1..17999, stable, unique within the type; also the protobuf field number */
    uint16_t index; /* position in tz_type.fields */
    const char *name;
    const char *label[2];
    enum tz_ftype ftype;
    int64_t limit;             /* strN: characters at most; codeN: exactly; intN: value at most; 0 = none */
    const struct tz_enum *en;  /* TZ_FT_ENUM and TZ_FT_SET of enum codes, else NULL */
    const struct tz_type *ref; /* TZ_FT_REF, TZ_FT_REFS */
    uint16_t any_type_field;   /* TZ_FT_REF_ANY: index of the enum/str field that names the target's type */
    enum tz_required required;
    unsigned editors; /* enum tz_editor bits */
    bool offline;
    enum tz_merge_class merge;
    uint16_t group; /* 0 = none, else index into tz_type.groups + 1; the as-of field carries it too */
    enum tz_visibility visibility;
    enum tz_on_delete on_delete; /* refs: what deleting the target does */
    struct tz_value dflt;        /* given by the server at CREATE when absent; NULL = none */
    const char *const *aliases;  /* other headings an import accepts; NULL-terminated, may be empty */
};

struct tz_group {
    const char *name;
    uint16_t as_of; /* field index */
};

enum { TZ_KEY_CODES_MAX = 8 };

/** One condition of a key: the field holds one of these codes, or (none) is empty. */
struct tz_key_when {
    uint16_t field; /* index */
    const char *codes[TZ_KEY_CODES_MAX];
    size_t ncodes;
};

/**
 * A business key: the fields that together must not occur twice. What a record claims by it: tz_key_claims.
 * A key with conditions names no record: it only says of which records there may be one at a time.
 */
struct tz_key {
    const char *name;
    const uint16_t *fields; /* indexes */
    size_t nfields;
    const struct tz_key_when *when;
    size_t nwhen;
};

/* ---- procedures (transitions.csv) ---- */

enum {
    TZ_STATES_MAX = 64,
    TZ_STEP_SAME = -1, /* tz_step.to: the state stays */
    TZ_STEP_BACK = -2, /* the state in which the last `back` was taken */
    TZ_STEP_NEW = -3,  /* nothing happens to the record: another one is opened that names it in `link` */
};
/** Who may take a step. */
struct tz_step_who {
    const struct tz_role *role;
    int field; /* index; -1 none. ref(unit): the user's unit is this one; enum C/D: the level of the user's role is it
                */
};
/** A field of the record that a step may say. */
struct tz_step_gives {
    uint16_t field;
    bool must;
};
enum tz_guard {
    TZ_GUARD_OPINION,  /* an opinion is given */
    TZ_GUARD_NOT,      /* the user did not take the last `action` */
    TZ_GUARD_CHILDREN, /* every record that names this one in `field` is in a final state */
    TZ_GUARD_OPEN,     /* the record of this type in `field` is in no final state */
    TZ_GUARD_UNTIL,    /* today is not after date `field` */
    TZ_GUARD_LATER,    /* date `field` becomes later than it was */
    TZ_GUARD_ORDER,    /* date `field` is not after date `other` */
    TZ_GUARD_PENDING,  /* the last `action` was not answered by a step with this same guard */
    TZ_GUARD_SETTLED,  /* it was, or was never taken */
    TZ_GUARD_FEWER,    /* `action` was taken fewer times than parameter `param` says */
};
struct tz_step_guard {
    enum tz_guard kind;
    const char *action; /* NOT, PENDING, SETTLED, FEWER */
    uint16_t field, other;
    const char *param;
};
enum tz_effect {
    TZ_EFFECT_NULL,
    TZ_EFFECT_TODAY,  /* the day on which it happens */
    TZ_EFFECT_LEVEL,  /* C or D: the level of the user's role */
    TZ_EFFECT_NUMBER, /* the next number of the year and district behind `prefix`; the server gives it */
    TZ_EFFECT_COPY,   /* what `other` holds */
    TZ_EFFECT_COUNT,  /* one more */
    TZ_EFFECT_DAYS,   /* later by as many days as have passed since date `other` */
};
struct tz_step_effect {
    enum tz_effect kind;
    uint16_t field, other;
    const char *prefix; /* NUMBER */
};
enum tz_evidence { TZ_EVIDENCE_NO, TZ_EVIDENCE_YES, TZ_EVIDENCE_FIELD };

/** A row of transitions.csv: what may happen to a record in some states. */
struct tz_step {
    const char *action; /* a code of the event type's `action` */
    uint64_t from;      /* states, as bits by index in the state's enum; 0: the opening */
    int to;             /* index, or TZ_STEP_* */
    const char *back;   /* TZ_STEP_BACK: the action */
    uint16_t link;      /* TZ_STEP_NEW: index of the new record's reference */
    const struct tz_step_who *who;
    size_t nwho;
    const struct tz_step_gives *gives;
    size_t ngives;
    const struct tz_step_guard *guards;
    size_t nguards;
    enum tz_evidence evidence;
    uint16_t evidence_field;              /* TZ_EVIDENCE_FIELD: wanted unless this has its default */
    const struct tz_step_effect *effects; /* in their order */
    size_t neffects;
};

struct tz_type {
    uint32_t id;    /* 1.., stable */
    uint16_t index; /* position in tz_catalogue.types */
    const char *name;
    const char *label[2];
    unsigned tier; /* 0 reference, 1 work */
    enum tz_area_rule area;
    int district_field; /* TZ_AREA_OWN: index of the district / street field, -1 none */
    int street_field;
    int area_field; /* TZ_AREA_PARENT: index of the ref */
    bool append;    /* records never change: every field is TZ_MERGE_APPEND */
    bool auto_merge;
    bool local;                    /* written by the server only (case, incident, user): no CREATE from a device */
    unsigned creators;             /* enum tz_editor bits: who may CREATE */
    unsigned deleters;             /* who may DELETE / RESTORE */
    int title_field;               /* what stands for the record in lists */
    const struct tz_field *fields; /* ascending id */
    size_t nfields;
    const struct tz_group *groups;
    size_t ngroups;
    const struct tz_key *keys;
    size_t nkeys;
    const struct tz_step *steps;      /* its procedure; the opening first */
    size_t nsteps;                    /* 0: it has none */
    uint16_t state_field;             /* with a procedure */
    uint64_t final_states;            /* from which no step leads on */
    const struct tz_type *event_type; /* records each step */
};

enum tz_level { TZ_LEVEL_CITY, TZ_LEVEL_DISTRICT, TZ_LEVEL_STREET };

struct tz_role {
    const char *name; /* "F_INSP" */
    const char *label[2];
    unsigned editor;     /* one enum tz_editor bit, or 0 for roles that only read */
    enum tz_level level; /* highest area the role may be granted */
    bool reads_business; /* false for SYS_ADMIN, SEC_ADMIN, AUDITOR */
    bool reads_secret;
    bool supervises; /* may void append records, judge cases of others */
};

/** Rows that ship with the product: "rows/<type>.csv", header = field names. Only the server seeds them. */
struct tz_shipped_row {
    const struct tz_type *type;
    const struct tz_value
        *values; /* nfields of them, by index; refs by code are resolved by the seeder (see ref_codes) */
    const char *const *ref_codes; /* by index: code of the referred shipped row, or NULL */
};

struct tz_catalogue {
    uint32_t version;
    const struct tz_type *types;
    size_t ntypes;
    const struct tz_role *roles;
    size_t nroles;
    const struct tz_shipped_row *rows;
    size_t nrows;
    struct tz_arena arena; /* owns everything above */
};

/** One input file. `name` as in the folder ("types.csv", "rows/division.csv"), used in error messages. Borrowed for the
 * call. */
struct tz_catalogue_file {
    const char *name;
    struct tz_bytes text;
};

/**
 * Build a catalogue from its files. Errors name file, line and column: "fields.csv:12:5: …" (TZ_E_CATALOGUE); @out is
 * then empty. Checked: unknown columns, duplicate or out-of-range ids, unknown types/enums/groups/roles, missing area
 * fields, limits.
 */
TZ_MUST_USE int tz_catalogue_load(const struct tz_catalogue_file *files, size_t nfiles, struct tz_catalogue *out,
                                  struct tz_err *err);
void tz_catalogue_deinit(struct tz_catalogue *c);

/** All look-ups return NULL when there is none. */
const struct tz_type *tz_catalogue_type(const struct tz_catalogue *c, const char *name);
const struct tz_type *tz_catalogue_type_id(const struct tz_catalogue *c, uint32_t id);
const struct tz_role *tz_catalogue_role(const struct tz_catalogue *c, const char *name);
const struct tz_field *tz_type_field(const struct tz_type *t, const char *name);
const struct tz_field *tz_type_field_id(const struct tz_type *t, uint32_t id);
/** By name, either label or an alias, after name folding (imports). */
const struct tz_field *tz_type_field_heading(const struct tz_type *t, const char *heading);
/** The step @action from state index @from (-1: the opening). */
const struct tz_step *tz_type_step(const struct tz_type *t, int from, const char *action);
/** The step by which another record may be opened for one of @t; NULL when there is none. */
const struct tz_step *tz_type_step_new(const struct tz_type *t);
/** Index of a state by its code, -1 unknown. */
int tz_type_state(const struct tz_type *t, struct tz_value code);
const struct tz_enum_value *tz_enum_code(const struct tz_enum *e, struct tz_value code);

/** Does a record of @t with the values @v (by field index) claim the key? Not when a condition fails, all parts are
 * empty, or a part is that nobody may leave out. */
bool tz_key_claims(const struct tz_type *t, const struct tz_key *key, const struct tz_value *v);

#endif
