// term - what a terminal shows: colours, and numbers in a form that people read.
#ifndef FAULTLINE_CLI_TERM_H
#define FAULTLINE_CLI_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_BLUE,
    COLOUR_MAGENTA,
    COLOUR_CYAN,
    COLOUR_BRIGHT_BLUE,
    COLOUR_BRIGHT_GREEN,
    COLOUR_BRIGHT_MAGENTA,
};

// term_has_colours: out is a terminal that knows colours, and NO_COLOR is not set.
bool term_has_colours(FILE *out);

// The texts to write before and after coloured text; empty without colours.
const char *term_start(enum colour colour, bool colours);
const char *term_end(enum colour colour, bool colours);

// term_service_colour is always the same for one service.
enum colour term_service_colour(const char *service);

// term_text_width is the number of columns that UTF-8 text takes.
size_t term_text_width(const char *text);

enum {
    TERM_NUMBER_SIZE = 32
};

// term_format_duration writes "0.8 ms", "312 ms", "1.24 s", "14.2 s", "3 min 12 s",
// "2 h 5 min", "3 d 4 h"; a negative duration as "-".
void term_format_duration(char out[TERM_NUMBER_SIZE], int64_t us);

// term_format_count writes a whole number with its thousands apart: "1,234,567".
void term_format_count(char out[TERM_NUMBER_SIZE], int64_t number);

#endif
