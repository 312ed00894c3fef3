#include "common/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

void clock_format_rfc3339(char out[CLOCK_RFC3339_SIZE], int64_t wall_us)
{
    const time_t seconds = (time_t)(wall_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    const unsigned micros = (unsigned)(wall_us % 1000000) % 1000000;
    snprintf(out + 19, CLOCK_RFC3339_SIZE - 19, ".%06uZ", micros);
}

// Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Source:
// Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    const int64_t era = year / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

int64_t clock_parse_rfc3339(const char *text)
{
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    int used = 0;
    if (sscanf(text,
               "%4d-%2d-%2dT%2d:%2d:%2d%n",
               &year,
               &month,
               &day,
               &hour,
               &minute,
               &second,
               &used) != 6 ||
        used != 19 || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        return -1;
    }
    const char *at = text + used;
    int64_t micros = 0;
    if (*at == '.') {
        at++;
        int64_t unit = 100000;
        for (; isdigit((unsigned char)*at) && unit > 0; at++, unit /= 10) {
            micros += (*at - '0') * unit;
        }
    }
    if (at[0] != 'Z' || at[1] != '\0') {
        return -1;
    }
    const int64_t seconds =
        days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return seconds * 1000000 + micros;
}
