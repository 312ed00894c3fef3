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
    static const char format[] = "%4d-%2d-%2dT%2d:%2d:%2d%n";
    static const int least[] = {1970, 1, 1, 0, 0, 0};
    static const int most[] = {9999, 12, 31, 23, 59, 60};
    int n[6];
    int used = 0;
    if (sscanf(text, format, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &used) != 6 || used != 19) {
        return -1;
    }
    for (int i = 0; i < 6; i++) {
        if (n[i] < least[i] || n[i] > most[i]) {
            return -1;
        }
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
    const int64_t days = days_from_civil(n[0], n[1], n[2]);
    const int64_t seconds = days * 86400 + n[3] * 3600 + n[4] * 60 + n[5];
    return seconds * 1000000 + micros;
}
