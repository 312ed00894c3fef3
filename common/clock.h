// clock - the two clocks of the operating system. Pure code takes the time as an
// argument instead; only loops and edges call these. Any thread.
#ifndef FAULTLINE_CLOCK_H
#define FAULTLINE_CLOCK_H

#include <stdint.h>

// clock_wall_us: microseconds since 1970 UTC; may jump.
int64_t clock_wall_us(void);

// clock_mono_us and clock_mono_ms never go back; only differences mean something.
int64_t clock_mono_us(void);
int64_t clock_mono_ms(void);

// "2026-11-23T20:36:57.123456Z" and its NUL.
enum {
    CLOCK_RFC3339_SIZE = 28
};

// clock_format_rfc3339 writes wall_us as RFC 3339 UTC with microseconds.
void clock_format_rfc3339(char out[CLOCK_RFC3339_SIZE], int64_t wall_us);

// clock_parse_rfc3339 reads such a time (Z only, 0 to 6 fraction digits) and
// returns microseconds since 1970, or -1 when text is no such time.
int64_t clock_parse_rfc3339(const char *text);

#endif
