/* date.c - dates as mail writes them, RFC 5322 section 3.3. */
#include "buf.h"

#include <string.h>

enum {
    DAY = 86400,
    ZONE_MAX = 99 * 60 + 59     /* four digits, the last two under 60 */
};
static const int64_t first_second = INT64_C(-2208988800);      /* 1900-01-01, the RFC's first year */
static const int64_t last_second = INT64_C(253402300799);      /* 9999-12-31, the last of four digits */

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Days since 1970-01-01 of a date of the Gregorian calendar, month 1..12, and back. Years begin
** in March here, so that the leap day is a year's last (H. Hinnant, chrono-compatible date algorithms). */
static int64_t days_of(int year, int month, int day) {
    int y = month <= 2 ? year - 1 : year;
    int era = y / 400, in_era = y % 400;        /* y > 0 */
    int in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static void date_of(int64_t from_1970, int *year, int *month, int *day) {
    int64_t z = from_1970 + 719468, era = z / 146097;
    int in_era = (int)(z % 146097);
    int y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int in_year = in_era - (365 * y + y / 4 - y / 100);
    int m = (5 * in_year + 2) / 153;
    *day = in_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = (int)era * 400 + y + (*month <= 2 ? 1 : 0);
}

static int weekday_of(int64_t from_1970) { return (int)((from_1970 + 4 + 7 * INT64_C(1000000)) % 7); }

static char *digits(char *to, int value, int count) {
    for (int i = count; i > 0; i--, value /= 10) to[i - 1] = (char)('0' + value % 10);
    return to + count;
}

dm_code dm_date(dm_buf *out, int64_t seconds, int zone) {
    if (zone < -ZONE_MAX || zone > ZONE_MAX) return DM_E_HEADER;
    if (seconds < first_second - ZONE_MAX * 60 || seconds > last_second + ZONE_MAX * 60) return DM_E_HEADER;
    int64_t local = seconds + zone * 60;
    if (local < first_second || local > last_second) return DM_E_HEADER;
    int64_t day = (local - first_second) / DAY + first_second / DAY;
    int rest = (int)((local - first_second) % DAY), year, month, date;
    date_of(day, &year, &month, &date);
    int away = zone < 0 ? -zone : zone;
    char text[] = "Thu, 01 Jan 1970 08:00:00 +0800", *to = text;        /* overwritten but for what stands between */
    memcpy(to, days[weekday_of(day)], 3);               /* names from here, never from the locale */
    to = digits(to + 5, date, 2) + 1;
    memcpy(to, months[month - 1], 3);
    to = digits(to + 4, year, 4) + 1;
    to = digits(to, rest / 3600, 2) + 1;
    to = digits(to, rest / 60 % 60, 2) + 1;
    to = digits(to, rest % 60, 2) + 1;
    *to++ = zone < 0 ? '-' : '+';
    digits(digits(to, away / 60, 2), away % 60, 2);
    return dm_buf_add(out, text, sizeof text - 1);
}

/* ---- reading ------------------------------------------------------------*/

typedef struct reader {
    const char *p, *end;
} reader;

/* Blanks and comments; false: a comment has no end. */
static bool skip(reader *r) {
    size_t depth = 0;
    while (r->p < r->end) {
        char c = *r->p;
        if (c == '(') depth++;
        else if (depth > 0 && c == ')') depth--;
        else if (depth > 0 && c == '\\' && r->end - r->p > 1) r->p++;
        else if (depth == 0 && !dm_is_blank(c)) break;
        r->p++;
    }
    return depth == 0;
}

static bool take(reader *r, char c) {
    if (!skip(r) || r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

/* A number of 'least' to 'most' digits; how many they were, 0: none there. */
static int number(reader *r, int least, int most, int *out) {
    int n = 0, value = 0;
    if (!skip(r)) return 0;
    while (r->p < r->end && dm_is_digit(*r->p) && n < most) {
        value = value * 10 + (*r->p++ - '0');
        n++;
    }
    if (n < least || (r->p < r->end && dm_is_digit(*r->p))) return 0;
    *out = value;
    return n;
}

static dm_view letters(reader *r) {
    dm_view v = {r->p, 0};
    if (!skip(r)) return v;
    for (v.p = r->p; r->p < r->end && dm_is_alpha(*r->p); r->p++) v.n++;
    return v;
}

/* Which of 'count' names of three letters; -1: none. */
static int name_in(dm_view v, const char (*names)[4], int count) {
    for (int i = 0; i < count; i++)
        if (dm_view_same(v, names[i])) return i;
    return -1;
}

/* RFC 5322, 4.3: names of zones that old writers use, in hours. Any other word, the military
** letters too, says nothing that can be relied on: -0000. */
static int zone_named(dm_view name) {
    static const struct { char name[4]; int hours; } zones[] = {
        {"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
    };
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (dm_view_same(name, zones[i].name)) return zones[i].hours * 60;
    return 0;
}

dm_code dm_date_parse(dm_view in, int64_t *seconds, int *zone) {
    static const char lengths[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int weekday = -1, day, year, hour, minute, second = 0, offset = 0, n;
    if (in.n == 0 || !dm_one_line(in)) return DM_E_HEADER;
    reader r = {in.p, in.p + in.n};

    dm_view word = letters(&r);
    if (word.n > 0) {
        weekday = name_in(word, days, 7);
        if (weekday < 0 || !take(&r, ',')) return DM_E_HEADER;
    }
    if (!number(&r, 1, 2, &day)) return DM_E_HEADER;
    int month = name_in(letters(&r), months, 12);
    if (month < 0 || (n = number(&r, 2, 4, &year)) == 0) return DM_E_HEADER;
    if (n == 2) year += year < 50 ? 2000 : 1900;        /* RFC 5322, 4.3 */
    if (n == 3) year += 1900;
    if (!number(&r, 2, 2, &hour) || !take(&r, ':') || !number(&r, 2, 2, &minute)) return DM_E_HEADER;
    if (take(&r, ':') && !number(&r, 2, 2, &second)) return DM_E_HEADER;

    if (!skip(&r) || r.p == r.end) return DM_E_HEADER;
    if (*r.p == '+' || *r.p == '-') {
        bool west = *r.p++ == '-';
        if (r.p == r.end || !dm_is_digit(*r.p) || !number(&r, 4, 4, &n) || n % 100 > 59) return DM_E_HEADER;
        offset = n / 100 * 60 + n % 100;
        if (west) offset = -offset;
    } else {
        word = letters(&r);
        if (word.n == 0 || word.n > 5) return DM_E_HEADER;
        offset = zone_named(word);
    }
    if (!skip(&r) || r.p != r.end) return DM_E_HEADER;

    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1900 || day < 1 || day > lengths[month] || (month == 1 && day == 29 && !leap)) return DM_E_HEADER;
    if (hour > 23 || minute > 59 || second > 60) return DM_E_HEADER;    /* 60: a leap second, 3.3 */
    int64_t date = days_of(year, month + 1, day);
    if (weekday >= 0 && weekday != weekday_of(date)) return DM_E_HEADER;        /* 3.3: it must be the date's */
    *seconds = date * DAY + hour * 3600 + minute * 60 + second - offset * 60;
    *zone = offset;
    return DM_OK;
}
