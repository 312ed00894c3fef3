#include "cli/term.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

static const char *const colour_codes[] = {
    [COLOUR_NONE] = "",
    [COLOUR_BOLD] = "\033[1m",
    [COLOUR_DIM] = "\033[2m",
    [COLOUR_RED] = "\033[31m",
    [COLOUR_GREEN] = "\033[32m",
    [COLOUR_YELLOW] = "\033[33m",
    [COLOUR_BLUE] = "\033[34m",
    [COLOUR_MAGENTA] = "\033[35m",
    [COLOUR_CYAN] = "\033[36m",
    [COLOUR_BRIGHT_BLUE] = "\033[94m",
    [COLOUR_BRIGHT_GREEN] = "\033[92m",
    [COLOUR_BRIGHT_MAGENTA] = "\033[95m",
};

static const struct {
    const char *service;
    enum colour colour;
} service_colours[] = {
    {"broker", COLOUR_MAGENTA},
    {"order", COLOUR_CYAN},
    {"payment", COLOUR_YELLOW},
    {"inventory", COLOUR_GREEN},
    {"notification", COLOUR_BLUE},
    {"fraud", COLOUR_BRIGHT_MAGENTA},
    {"ledger", COLOUR_BRIGHT_BLUE},
    {"transfer", COLOUR_BRIGHT_GREEN},
};

bool term_has_colours(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && (no_colour == NULL || no_colour[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

const char *term_start(enum colour colour, bool colours)
{
    return colours ? colour_codes[colour] : "";
}

const char *term_end(enum colour colour, bool colours)
{
    return colours && colour != COLOUR_NONE ? "\033[0m" : "";
}

enum colour term_service_colour(const char *service)
{
    for (size_t i = 0; i < ARRAY_LEN(service_colours); i++) {
        if (strcmp(service_colours[i].service, service) == 0) {
            return service_colours[i].colour;
        }
    }
    return COLOUR_NONE;
}

size_t term_text_width(const char *text)
{
    size_t width = 0;
    for (const char *at = text; *at != '\0'; at++) {
        // Continuation bytes of UTF-8 take no column of their own.
        width += ((unsigned char)*at & 0xC0U) != 0x80U ? 1 : 0;
    }
    return width;
}

void term_format_duration(char out[TERM_NUMBER_SIZE], int64_t us)
{
    const int64_t s = us / 1000000;
    if (us < 0) {
        snprintf(out, TERM_NUMBER_SIZE, "-");
    } else if (us < 10000) {
        snprintf(out, TERM_NUMBER_SIZE, "%.1f ms", (double)us / 1e3);
    } else if (us < 1000000) {
        snprintf(out, TERM_NUMBER_SIZE, "%lld ms", (long long)((us + 500) / 1000));
    } else if (us < 10000000) {
        snprintf(out, TERM_NUMBER_SIZE, "%.2f s", (double)us / 1e6);
    } else if (s < 60) {
        snprintf(out, TERM_NUMBER_SIZE, "%.1f s", (double)us / 1e6);
    } else if (s < 3600) {
        snprintf(
            out, TERM_NUMBER_SIZE, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
    } else if (s < 86400) {
        snprintf(out,
                 TERM_NUMBER_SIZE,
                 "%lld h %lld min",
                 (long long)(s / 3600),
                 (long long)(s % 3600 / 60));
    } else {
        snprintf(out,
                 TERM_NUMBER_SIZE,
                 "%lld d %lld h",
                 (long long)(s / 86400),
                 (long long)(s % 86400 / 3600));
    }
}

void term_format_count(char out[TERM_NUMBER_SIZE], int64_t number)
{
    char digits[TERM_NUMBER_SIZE];
    const int size = snprintf(digits, sizeof digits, "%lld", (long long)number);
    size_t at = 0;
    for (int i = 0; i < size && at + 2 < TERM_NUMBER_SIZE; i++) {
        out[at++] = digits[i];
        const int left = size - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-') {
            out[at++] = ',';
        }
    }
    out[at] = '\0';
}
