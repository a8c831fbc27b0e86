/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, dates and instants. All integers: a decimal is counted in its smallest unit, so nothing is ever rounded.
 *
 * Dates are of the proleptic Gregorian calendar, years 1000 to 9999, and exist: 2017-02-29 does not. Their text length
 * is their precision. People's times are UTC+8. Day numbers after Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms".
 */
#include "value_impl.h"

#include <stdio.h>
#include <string.h>

static const char *const BAD_DATE = "应为 2017-03-05 这样的日期 / expected a date like 2017-03-05";
static const char *const NO_SUCH_DAY = "日历上没有这一天 / no such day in the calendar";
static const char *const BAD_INSTANT = "应为 2017-03-05 08:00 这样的时间 / expected a time like 2017-03-05 08:00";
static const char *const BAD_NUMBER = "不是数字 / not a number";

enum { UTC8_MS = 8 * 3600 * 1000, DAY_MS = 24 * 3600 * 1000, YEAR_MIN = 1000, YEAR_MAX = 9999 };
/* spreadsheets count days from here: their day 1 is 1900-01-01 and they believe in 1900-02-29 */
enum { SERIAL_EPOCH_DAYS = -25569 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int64_t days_of(int y, int m, int d)
{
    y -= m <= 2;
    int era = y / 400;
    int yoe = y - era * 400;
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (int64_t)era * 146097 + doe - 719468;
}

static void civil_of(int64_t days, int *y, int *m, int *d)
{
    days += 719468;
    int era = (int)(days / 146097); /* never negative: years start at 1000 */
    int doe = (int)(days - (int64_t)era * 146097);
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

static bool day_exists(int y, int m, int d)
{
    static const int len[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < YEAR_MIN || y > YEAR_MAX || m < 1 || m > 12)
        return false;
    return d >= 1 && d <= len[m - 1] + (m == 2 && leap);
}

/* "1,200" but not "1,2": a wrong group is a typing error, not a separator */
static const char *whole_part(const char *s, int64_t *out)
{
    int64_t v = 0;
    size_t group = 0;
    bool grouped = false;
    for (; is_digit(*s) || *s == ','; s++) {
        if (*s == ',') {
            if (group == 0 || group > 3 || (grouped && group != 3))
                return NULL;
            grouped = true;
            group = 0;
            continue;
        }
        v = v * 10 + (*s - '0');
        if (v > TZ_NUMBER_MAX)
            return NULL;
        group++;
    }
    if (group == 0 || (grouped && group != 3))
        return NULL;
    *out = v;
    return s;
}

const char *tz_num_parse(const char *s, unsigned decimals, int64_t *out)
{
    if (*s == '-' || strncmp(s, "−", strlen("−")) == 0)
        return "不能为负数 / must not be negative";
    int64_t v = 0;
    s = whole_part(s, &v);
    if (s == NULL)
        return BAD_NUMBER;
    bool point = *s == '.';
    s += point;
    if (point && !is_digit(*s))
        return BAD_NUMBER;
    for (unsigned i = 0; i < decimals; i++) {
        v = v * 10 + (is_digit(*s) ? *s - '0' : 0);
        s += is_digit(*s);
        if (v > TZ_NUMBER_MAX)
            return "数字太大 / number too large";
    }
    while (point && *s == '0')
        s++;
    if (point && is_digit(*s))
        return decimals == 0 ? "应为整数 / expected a whole number" : "小数位太多 / too many decimals";
    if (*s != '\0')
        return BAD_NUMBER;
    *out = v;
    return NULL;
}

/** One or two digits (four for a year); the rest of @s, or NULL. */
static const char *digits(const char *s, unsigned least, unsigned most, int *out)
{
    unsigned n = 0;
    int v = 0;
    while (n < most && is_digit(s[n]))
        v = v * 10 + (s[n++] - '0');
    if (n < least || is_digit(s[n]))
        return NULL;
    *out = v;
    return s + n;
}

static bool skip(const char **s, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*s, word, n) != 0)
        return false;
    *s += n;
    return true;
}

/** Rest of "2017年3月5日", "2017-3-5" and so on after the year. Sets what is there; month 0, day 0 when absent. */
static bool month_day(const char *s, int *m, int *d)
{
    *m = *d = 0;
    if (*s == '\0' || strcmp(s, "年") == 0)
        return true;
    bool chinese = skip(&s, "年");
    char sep = *s;
    if (!chinese && sep != '-' && sep != '/' && sep != '.')
        return false;
    s = digits(chinese ? s : s + 1, 1, 2, m);
    if (s == NULL || *m == 0)
        return false;
    if (chinese ? strcmp(s, "月") == 0 : *s == '\0')
        return true;
    if (chinese ? !skip(&s, "月") : *s++ != sep)
        return false;
    s = digits(s, 1, 2, d);
    if (s == NULL || *d == 0)
        return false;
    if (chinese && !skip(&s, "日") && !skip(&s, "号"))
        return false;
    return *s == '\0';
}

static const char *date_out(int y, int m, int d, char out[11])
{
    if (!day_exists(y, m == 0 ? 1 : m, d == 0 ? 1 : d))
        return NO_SUCH_DAY;
    char full[16];
    (void)snprintf(full, sizeof full, "%04d-%02d-%02d", y % 10000, m % 100, d % 100);
    size_t n = m == 0 ? 4 : d == 0 ? 7 : 10;
    memcpy(out, full, n);
    out[n] = '\0';
    return NULL;
}

const char *tz_date_parse(const char *s, char out[11])
{
    size_t n = strspn(s, "0123456789");
    int y = 0;
    int m = 0;
    int d = 0;
    int serial = 0;
    if (n == 8 && s[8] == '\0') {
        for (int i = 0; i < 8; i++)
            serial = serial * 10 + (s[i] - '0');
        if (serial % 10000 / 100 == 0 || serial % 100 == 0)
            return NO_SUCH_DAY;
        return date_out(serial / 10000, serial % 10000 / 100, serial % 100, out);
    }
    if (n == 5 && digits(s, 5, 5, &serial) != NULL && s[5] == '\0') {
        civil_of(serial + (int64_t)SERIAL_EPOCH_DAYS, &y, &m, &d);
        return date_out(y, m, d, out);
    }
    const char *rest = digits(s, 4, 4, &y);
    if (rest == NULL || !month_day(rest, &m, &d))
        return BAD_DATE;
    return date_out(y, m, d, out);
}

const char *tz_date_wrong(struct tz_bytes in)
{
    char s[11];
    char again[11];
    if (in.n != 4 && in.n != 7 && in.n != 10)
        return BAD_DATE;
    memcpy(s, in.p, in.n);
    s[in.n] = '\0';
    const char *reason = tz_date_parse(s, again);
    if (reason == NULL && (strlen(again) != in.n || memcmp(again, in.p, in.n) != 0))
        reason = BAD_DATE;
    return reason;
}

void tz_date_key(struct tz_value date, uint32_t *yyyymmdd, unsigned *precision)
{
    int y = 0;
    int m = 1;
    int d = 1;
    *yyyymmdd = 0;
    *precision = 0;
    if (date.kind != TZ_V_TEXT || tz_date_wrong(tz_bytes_of(date.p, date.n)) != NULL)
        return;
    char s[11] = {0};
    memcpy(s, date.p, date.n);
    (void)digits(s, 4, 4, &y);
    if (date.n >= 7)
        (void)digits(s + 5, 2, 2, &m);
    if (date.n == 10)
        (void)digits(s + 8, 2, 2, &d);
    *yyyymmdd = (uint32_t)(y * 10000 + m * 100 + d);
    *precision = (unsigned)date.n;
}

/** "08:00", "08:00:30", "08:00:30.5" → milliseconds of the day; the rest of @s, or NULL. */
static const char *time_of_day(const char *s, int64_t *ms)
{
    int h = 0;
    int min = 0;
    int sec = 0;
    s = digits(s, 1, 2, &h);
    if (s == NULL || *s != ':' || (s = digits(s + 1, 2, 2, &min)) == NULL)
        return NULL;
    if (*s == ':' && (s = digits(s + 1, 2, 2, &sec)) == NULL)
        return NULL;
    if (h > 23 || min > 59 || sec > 59)
        return NULL;
    *ms = ((int64_t)h * 3600 + min * 60 + sec) * 1000;
    if (*s == '.') {
        int64_t unit = 100;
        for (s++; is_digit(*s); s++, unit /= 10)
            *ms += (*s - '0') * unit;
    }
    return s;
}

size_t tz_date_day(const char *s)
{
    size_t n = strcspn(s, "Tt ");
    int64_t ms = 0;
    const char *rest = s[n] != '\0' ? time_of_day(s + n + 1, &ms) : NULL;
    return rest != NULL && *rest == '\0' && ms == 0 ? n : strlen(s);
}

/** "Z", "+08:00", "+0800" or nothing (UTC+8) → offset in milliseconds. */
static bool zone(const char *s, int64_t *ms)
{
    int h = 0;
    int min = 0;
    *ms = UTC8_MS;
    if (*s == '\0')
        return true;
    *ms = 0;
    if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0)
        return true;
    bool west = *s == '-';
    if ((!west && *s != '+') || !is_digit(s[1]) || !is_digit(s[2]))
        return false;
    h = (s[1] - '0') * 10 + (s[2] - '0');
    s += 3;
    s += *s == ':';
    s = digits(s, 2, 2, &min);
    if (s == NULL || *s != '\0' || h > 14 || min > 59)
        return false;
    *ms = ((int64_t)h * 3600 + min * 60) * 1000 * (west ? -1 : 1);
    return true;
}

const char *tz_instant_parse(const char *s, int64_t *ms)
{
    char text[64];
    size_t n = strcspn(s, "Tt ");
    if (n >= sizeof text)
        return BAD_INSTANT;
    memcpy(text, s, n);
    text[n] = '\0';
    char date[11];
    const char *reason = tz_date_parse(text, date);
    if (reason != NULL)
        return reason;
    uint32_t key = 0;
    unsigned precision = 0;
    tz_date_key(tz_value_text(date), &key, &precision);
    if (precision != 10)
        return BAD_INSTANT;
    int64_t time = 0;
    int64_t offset = UTC8_MS;
    if (s[n] != '\0') {
        const char *rest = time_of_day(s + n + 1, &time);
        if (rest == NULL || !zone(rest, &offset))
            return BAD_INSTANT;
    }
    *ms = days_of((int)(key / 10000), (int)(key / 100 % 100), (int)(key % 100)) * DAY_MS + time - offset;
    return tz_instant_wrong(*ms);
}

const char *tz_instant_wrong(int64_t ms)
{
    int64_t least = days_of(YEAR_MIN, 1, 1) * DAY_MS - UTC8_MS;
    int64_t most = (days_of(YEAR_MAX, 12, 31) + 1) * DAY_MS - UTC8_MS;
    return ms >= least && ms < most ? NULL : "时间超出范围 / time out of range";
}

void tz_instant_print(int64_t ms, char out[32])
{
    int y = 0;
    int m = 0;
    int d = 0;
    if (tz_instant_wrong(ms) != NULL) {
        (void)snprintf(out, 32, "%lld", (long long)ms);
        return;
    }
    int64_t local = ms + UTC8_MS;
    int64_t days = local >= 0 ? local / DAY_MS : -((-local + DAY_MS - 1) / DAY_MS);
    int rest = (int)(local - days * DAY_MS);
    civil_of(days, &y, &m, &d);
    int n = snprintf(out, 32, "%04d-%02d-%02d %02d:%02d:%02d", y % 10000, m % 100, d % 100, rest / 3600000 % 24,
                     rest / 60000 % 60, rest / 1000 % 60);
    if (rest % 1000 != 0 && n > 0)
        (void)snprintf(out + n, 32 - (size_t)n, ".%03d", rest % 1000);
}
