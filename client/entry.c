/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to value with the replica at hand.
 *
 * A reference is looked up by its target's single-field business keys first, which are indexed; only text that is not
 * plain ASCII is then tried as a title, because codes are ASCII and a wrong one must not cost a walk over the table.
 *
 * The rules on values here (credit code, dates in the future, formulas) are those a form and an import check; the
 * server records and marks, it does not refuse.
 */
#include "entry.h"

#include "office_int.h"
#include "redirect.h"
#include "set.h"
#include "usci.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct tz_entry {
    struct tz_office *o;
    struct tz_divisions *divisions;
};

enum { REFS_TEXT_MAX = TZ_SET_ELEMENTS_MAX * (TZ_ID_HEX + 1) + 1 };

int tz_entry_new(struct tz_office *o, struct tz_entry **out, struct tz_err *err)
{
    struct tz_entry *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return tz_office_nomem(err);
    e->o = o;
    int rc = tz_divisions_new(o, &e->divisions, err);
    if (rc) {
        free(e);
        return rc;
    }
    *out = e;
    return 0;
}

void tz_entry_free(struct tz_entry *e)
{
    if (!e)
        return;
    tz_divisions_free(e->divisions);
    free(e);
}

const struct tz_divisions *tz_entry_divisions(const struct tz_entry *e)
{
    return e->divisions;
}

const char *tz_entry_warning_text(unsigned warnings, enum tz_lang lang)
{
    static const struct {
        unsigned bit;
        const char *text[2];
    } all[] = {
        {TZ_WARN_USCI_CHECK,
         {"代码校验字符不符；早期个别代码确有不符者，留待核对",
          "the check character does not fit; some early codes are so, please verify"}},
        {TZ_WARN_DATE_PART,
         {"日期只有年或年月，按此精度保存", "the date has no day (or month); kept with that precision"}},
        {TZ_WARN_COUNT_EMPTY, {"人数为空，不等于 0", "a count is empty, which is not 0"}},
        {TZ_WARN_MORE_MEMBERS, {"正式党员数大于职工人数", "more party members than employees"}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (warnings & all[i].bit)
            return all[i].text[lang];
    return "";
}

static int wrong(const struct tz_field *f, const char *text, const char *reason, struct tz_err *err)
{
    char words[TZ_ERR_ARG_BYTES];
    (void)snprintf(words, sizeof words, "%.60s %.60s", f->label[TZ_LANG_ZH], f->name);
    return tz_err_set(err, TZ_E_VALUE, words, text, reason, NULL);
}

/* ---- one value ---- */

static bool is_division(const struct tz_field *f)
{
    return f->ftype == TZ_FT_CODE && (f->limit == 6 || f->limit == 9);
}

static int division_value(struct tz_entry *e, const struct tz_record *rec, const struct tz_field *f, const char *text,
                          struct tz_arena *a, struct tz_value *out, struct tz_err *err)
{
    char district[TZ_DISTRICT_BYTES] = "";
    int at = rec && rec->type->street_field == f->index ? rec->type->district_field : -1;
    if (at >= 0 && rec->v[at].kind == TZ_V_TEXT && rec->v[at].n < sizeof district)
        memcpy(district, rec->v[at].p, rec->v[at].n);
    const char *reason;
    const char *code = tz_divisions_find(e->divisions, (unsigned)f->limit, district, text, &reason);
    if (!code)
        return wrong(f, text, reason, err);
    char *copy = tz_arena_strdup(a, code);
    if (!copy)
        return tz_office_nomem(err);
    *out = tz_value_text(copy);
    return 0;
}

/** Codes are written in many ways: full-width, lower case, with spaces between. */
static int usci_value(const struct tz_field *f, const char *text, struct tz_arena *a, struct tz_value *out,
                      unsigned *warnings, struct tz_err *err)
{
    char *code = tz_name_fold(a, tz_value_text(text));
    if (!code)
        return tz_office_nomem(err);
    for (char *c = code; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    enum tz_usci state = tz_usci_check(tz_bytes_str(code));
    if (strstr(code, "E+"))
        return wrong(f, text, "电子表格把代码变成了数字 / a spreadsheet made a number of it", err);
    if (state == TZ_USCI_LENGTH)
        return wrong(f, text, "代码应为 18 位 / a code has 18 characters", err);
    if (state == TZ_USCI_ALPHABET)
        return wrong(f, text, "含有代码不用的字符 / a character that codes do not have", err);
    if (state == TZ_USCI_CHECK)
        *warnings |= TZ_WARN_USCI_CHECK;
    *out = tz_value_text(code);
    return 0;
}

static int ref_value(struct tz_entry *e, const struct tz_record *rec, const struct tz_field *f, const char *text,
                     struct tz_arena *a, struct tz_value *out, struct tz_err *err)
{
    const struct tz_type *t = f->ref;
    struct tz_id id;
    if (!t && rec)
        t = tz_check_any_type(e->o->cat, rec, f);
    if (!t)
        return tz_check_wrong(TZ_E_REF, f->label[TZ_LANG_ZH], f->name, err);
    int rc = tz_entry_find(e, t, text, &id, err);
    if (rc == TZ_E_NOT_FOUND)
        return wrong(f, text, "没有这条记录，或不在您的辖区 / no such record, or outside your area", err);
    if (!rc)
        rc = tz_redirect_follow(e->o, t, &id, err);
    if (rc < 0)
        return rc;
    uint8_t *copy = tz_arena_dup(a, id.b, sizeof id.b);
    if (!copy)
        return tz_office_nomem(err);
    *out = tz_value_blob(copy, sizeof id.b);
    return 0;
}

/** Keys with any of the usual separators between them → the hex list that tz_value_parse takes. */
static int refs_value(struct tz_entry *e, const struct tz_field *f, const char *text, struct tz_arena *a,
                      struct tz_value *out, struct tz_err *err)
{
    static const char *const separators[] = {",", ";", "，", "、", "；", "\n"};
    struct tz_buf list;
    int rc = 0;
    tz_buf_init(&list, REFS_TEXT_MAX);
    while (*text && !rc) {
        size_t n = strlen(text);
        size_t skip = 0;
        for (size_t i = 0; i < sizeof separators / sizeof *separators; i++) {
            const char *at = strstr(text, separators[i]);
            if (at && (size_t)(at - text) < n) {
                n = (size_t)(at - text);
                skip = strlen(separators[i]);
            }
        }
        char *one = tz_arena_dup(a, text, n);
        struct tz_id id;
        char hex[TZ_ID_HEX + 1];
        text += n + skip;
        if (one && *one == '\0')
            continue;
        rc = one ? tz_entry_find(e, f->ref, one, &id, err) : tz_office_nomem(err);
        if (!rc)
            rc = tz_redirect_follow(e->o, f->ref, &id, err);
        if (rc < 0)
            break;
        tz_id_print(id, hex);
        rc = tz_buf_printf(&list, "%s%s", list.len ? "," : "", hex);
    }
    if (!rc)
        rc = tz_buf_putc(&list, 0);
    if (!rc)
        rc = tz_value_parse(f, (const char *)list.p, a, out, err);
    tz_buf_deinit(&list);
    return rc;
}

/** Days that have happened: entering one in the future is a slip. */
static bool is_past_day(const struct tz_field *f)
{
    static const char *const names[] = {"founded_on",     "established_on", "dissolved_on", "last_election_on",
                                        "last_scored_on", "employees_on",   "counts_on",    "as_of",
                                        "held_on",        "visited_on",     "completed_on", "decoupled_on"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(f->name, names[i]) == 0)
            return true;
    return false;
}

static int check_date(const struct tz_entry *e, const struct tz_field *f, const char *text, struct tz_value v,
                      unsigned *warnings, struct tz_err *err)
{
    char today[11];
    uint32_t day;
    uint32_t limit;
    unsigned precision;
    unsigned full;
    if (v.kind == TZ_V_NULL)
        return 0;
    tz_clock_today(tz_office_now(e->o), today);
    tz_date_key(tz_value_text(today), &limit, &full);
    tz_date_key(v, &day, &precision);
    if (is_past_day(f) && day > limit)
        return wrong(f, text, "日期在将来 / the date is in the future", err);
    if (precision < full)
        *warnings |= TZ_WARN_DATE_PART;
    return 0;
}

/** "35人" counts thirty-five. Shortens @text in place. */
static void drop_unit(char *text)
{
    static const char *const units[] = {"人", "名", "个"};
    size_t n = strlen(text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t k = strlen(units[i]);
        if (n > k && memcmp(text + n - k, units[i], k) == 0) {
            text[n - k] = '\0';
            return;
        }
    }
}

/** A spreadsheet runs text that begins so as a formula; nothing real is called that. */
static bool looks_like_formula(const char *text)
{
    while (*text == ' ')
        text++;
    return *text == '=' || *text == '@' || ((*text == '+' || *text == '-') && strchr(text, '('));
}

static int plain_value(struct tz_entry *e, const struct tz_field *f, const char *text, struct tz_arena *a,
                       struct tz_value *out, unsigned *warnings, struct tz_err *err)
{
    if ((f->ftype == TZ_FT_STR || f->ftype == TZ_FT_TEXT || f->ftype == TZ_FT_SECRET) && looks_like_formula(text))
        return wrong(f, text, "公式样内容 / looks like a formula", err);
    if (f->ftype == TZ_FT_INT) {
        char *number = tz_name_fold(a, tz_value_text(text));
        if (!number)
            return tz_office_nomem(err);
        drop_unit(number);
        return tz_value_parse(f, number, a, out, err);
    }
    int rc = tz_value_parse(f, text, a, out, err);
    return rc || f->ftype != TZ_FT_DATE ? rc : check_date(e, f, text, *out, warnings, err);
}

static bool is_blank(const char *text, struct tz_arena *a)
{
    const char *folded = tz_name_fold(a, tz_value_text(text));
    return folded && folded[0] == '\0';
}

int tz_entry_value(struct tz_entry *e, const struct tz_record *rec, const struct tz_field *f, const char *text,
                   struct tz_arena *a, struct tz_value *out, unsigned *warnings, struct tz_err *err)
{
    unsigned ignored = 0;
    unsigned *warn = warnings ? warnings : &ignored;
    *out = tz_value_null();
    if (!tz_utf8_valid(tz_bytes_str(text)))
        return wrong(f, "", "文字编码不对，应为 UTF-8 / not valid UTF-8 text", err);
    if (is_blank(text, a))
        return 0;
    if (is_division(f))
        return division_value(e, rec, f, text, a, out, err);
    if (f->ftype == TZ_FT_STR && strcmp(f->name, "usci") == 0)
        return usci_value(f, text, a, out, warn, err);
    if (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY)
        return ref_value(e, rec, f, text, a, out, err);
    if (f->ftype == TZ_FT_REFS)
        return refs_value(e, f, text, a, out, err);
    return plain_value(e, f, text, a, out, warn, err);
}

/* ---- field=value ---- */

int tz_entry_split(const struct tz_type *t, const char *arg, const struct tz_field **f, const char **text,
                   struct tz_err *err)
{
    const char *eq = strchr(arg, '=');
    char name[TZ_ERR_ARG_BYTES];
    if (!eq || eq == arg || (size_t)(eq - arg) >= sizeof name)
        return tz_err_set(err, TZ_E_USAGE, arg, NULL, NULL, NULL);
    memcpy(name, arg, (size_t)(eq - arg));
    name[eq - arg] = '\0';
    *f = tz_type_field_heading(t, name);
    if (!*f)
        return tz_err_set(err, TZ_E_UNKNOWN_FIELD, t->name, name, NULL, NULL);
    *text = eq + 1;
    return 0;
}

/** A street needs its district, a ref(any) its type: those come second. */
static bool comes_second(const struct tz_record *rec, const struct tz_field *f)
{
    return f->ftype == TZ_FT_REF_ANY || rec->type->street_field == f->index;
}

static int named_twice(const struct tz_field *f, struct tz_err *err)
{
    char words[TZ_ERR_ARG_BYTES];
    (void)snprintf(words, sizeof words, "%.40s %.40s 给了不止一次 / given more than once", f->label[TZ_LANG_ZH],
                   f->name);
    return tz_err_set(err, TZ_E_USAGE, words, NULL, NULL, NULL);
}

/** `set+=…`, `set-=…`: @plain without the sign (which is at *@sign), when the field is a set. */
static int split_signed(const struct tz_type *t, const char *arg, struct tz_arena *a, char *sign,
                        const struct tz_field **f, const char **text, struct tz_err *err)
{
    const char *eq = strchr(arg, '=');
    *sign = eq && eq > arg && (eq[-1] == '+' || eq[-1] == '-') ? eq[-1] : '\0';
    char *plain = *sign ? tz_arena_strdup(a, arg) : NULL;
    if (!*sign)
        return tz_entry_split(t, arg, f, text, err);
    if (!plain)
        return tz_office_nomem(err);
    memmove(plain + (eq - arg) - 1, plain + (eq - arg), strlen(eq) + 1);
    int rc = tz_entry_split(t, plain, f, text, err);
    if (!rc && (*f)->ftype != TZ_FT_SET && (*f)->ftype != TZ_FT_REFS)
        return wrong(*f, arg, "只有集合可以用 += 和 -= / only sets take += and -=", err);
    return rc;
}

/** @v, some elements of a set, put into or taken out of what the record holds. */
static int signed_value(char sign, const struct tz_field *f, struct tz_value v, struct tz_arena *a,
                        struct tz_value *inout, struct tz_err *err)
{
    size_t n = tz_set_count(v);
    struct tz_bytes rest = v.kind == TZ_V_TEXT ? tz_bytes_of(v.p, v.n) : tz_bytes_of(NULL, 0);
    struct tz_bytes *el = tz_arena_calloc(a, n + 1, sizeof *el);
    for (size_t i = 0; el && i < n; i++)
        (void)tz_set_next(&rest, &el[i]);
    int rc = el ? tz_set_put(*inout, el, n, sign == '+', a, inout) : TZ_E_NOMEM;
    return rc ? tz_err_set(err, rc, f->name, NULL, NULL, NULL) : 0;
}

int tz_entry_fields(struct tz_entry *e, const char *const *args, size_t nargs, struct tz_arena *a,
                    struct tz_record *rec, bool *names, unsigned *warnings, struct tz_err *err)
{
    bool given[TZ_FIELDS_MAX] = {false};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < nargs; i++) {
            const struct tz_field *f;
            const char *text;
            char sign;
            struct tz_value v;
            int rc = split_signed(rec->type, args[i], a, &sign, &f, &text, err);
            if (!rc && comes_second(rec, f) != (round == 1))
                continue;
            if (!rc && given[f->index] && !sign) /* a set may gain and lose in one edit */
                return named_twice(f, err);
            if (!rc)
                rc = tz_entry_value(e, rec, f, text, a, &v, warnings, err);
            if (!rc && sign)
                rc = signed_value(sign, f, v, a, &rec->v[f->index], err);
            else if (!rc)
                rec->v[f->index] = v;
            if (rc)
                return rc;
            given[f->index] = names[f->index] = true;
        }
    }
    return tz_entry_cross(rec, warnings, err);
}

static const struct tz_value *int_of(const struct tz_record *rec, const char *name)
{
    const struct tz_field *f = tz_type_field(rec->type, name);
    return f && rec->v[f->index].kind == TZ_V_INT ? &rec->v[f->index] : NULL;
}

int tz_entry_cross(const struct tz_record *rec, unsigned *warnings, struct tz_err *err)
{
    const struct tz_value *employees = int_of(rec, "employees");
    const struct tz_value *members = int_of(rec, "full_members");
    const struct tz_value *due = int_of(rec, "due_attend");
    const struct tz_value *attended = int_of(rec, "attended");
    if (employees && members && members->i > employees->i && warnings)
        *warnings |= TZ_WARN_MORE_MEMBERS;
    if (due && attended && attended->i > due->i)
        return wrong(tz_type_field(rec->type, "attended"), "", "实到大于应到 / more attended than were due", err);
    return 0;
}

/* ---- records by key ---- */

struct hits {
    size_t n;
    struct tz_id first;
};

static int count_hit(void *ctx, const struct tz_row *row)
{
    struct hits *h = ctx;
    if (h->n++ == 0)
        h->first = row->id;
    return h->n < 2;
}

static int find_by(struct tz_entry *e, const struct tz_type *t, const struct tz_field *f, const char *text,
                   struct hits *h, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_value v;
    unsigned warnings = 0;
    struct tz_err not_such = {0};
    tz_arena_init(&a, 1024 * 1024);
    h->n = 0;
    int rc = 0;
    bool plain = f->ftype == TZ_FT_STR || f->ftype == TZ_FT_CODE || f->ftype == TZ_FT_TEXT || f->ftype == TZ_FT_SECRET;
    if (plain && tz_entry_value(e, NULL, f, text, &a, &v, &warnings, &not_such) == 0 && v.kind == TZ_V_TEXT)
        rc = tz_replica_find(e->o->rep, f, t, v, count_hit, h, err);
    tz_arena_deinit(&a);
    return rc;
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

int tz_entry_find(struct tz_entry *e, const struct tz_type *t, const char *text, struct tz_id *out, struct tz_err *err)
{
    struct hits h = {0};
    int rc = 0;
    if (tz_id_parse(text, out) == 0)
        return 0;
    for (size_t i = 0; i < t->nkeys && !rc && h.n == 0; i++)
        if (t->keys[i].nfields == 1 && t->keys[i].nwhen == 0)
            rc = find_by(e, t, &t->fields[t->keys[i].fields[0]], text, &h, err);
    if (!rc && h.n == 0 && t->title_field >= 0 && !is_ascii(text))
        rc = find_by(e, t, &t->fields[t->title_field], text, &h, err);
    if (rc)
        return rc;
    *out = h.first;
    if (h.n == 0)
        return tz_err_set(err, TZ_E_NOT_FOUND, text, NULL, NULL, NULL);
    return h.n == 1 ? 0 : tz_err_set(err, TZ_E_AMBIGUOUS, text, NULL, NULL, NULL);
}

const struct tz_type *tz_entry_type(const struct tz_catalogue *cat, const char *text)
{
    for (size_t i = 0; i < cat->ntypes; i++) {
        const struct tz_type *t = &cat->types[i];
        if (strcasecmp(t->name, text) == 0 || strcmp(t->label[TZ_LANG_ZH], text) == 0 ||
            strcasecmp(t->label[TZ_LANG_EN], text) == 0)
            return t;
    }
    return NULL;
}
