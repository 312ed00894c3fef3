// options - the options of a command: one table says what exists, and --help, the
// parser and the checks all read it.
//
// Options and arguments may be mixed; "--" ends the options; "-" is an argument.
// A long option takes its value as "--name VALUE" or "--name=VALUE", a letter as
// "-n VALUE" or "-nVALUE"; letters without a value may be joined ("-fn 5").
#ifndef FAULTLINE_CLI_OPTIONS_H
#define FAULTLINE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum option_kind {
    OPTION_FLAG,   // takes no value
    OPTION_TEXT,   // any text but the empty one
    OPTION_INT,    // a whole number, min .. max
    OPTION_CHOICE, // one of choices, "async|sync"
    OPTION_LIST,   // any text, may be given several times
};

struct option_def {
    const char *name; // "http-port"; a table ends with NULL
    char letter;      // 'f' for -f; 0: none
    enum option_kind kind;
    const char *value;    // how --help calls the value: "PORT"
    const char *fallback; // the default as text; NULL: none
    int64_t min, max;     // OPTION_INT
    const char *choices;  // OPTION_CHOICE
    const char *help;     // what it does, without a full stop
};

struct options; // opaque; owned by whoever parsed it

// options_parse reads the arguments behind the command's name. tables is an array
// of count tables; a flag called "help" that is given hides every other mistake.
// ERR_INVALID: *problem, which the caller frees, is a sentence. The argument texts
// are borrowed, so argv must outlive *out.
enum err options_parse(struct options **out, const struct option_def *const *tables,
                       size_t tables_count, int argc, char *const *argv, char **problem);
void options_destroy(struct options **self_p);

// The value of an option that is in a table: asking for another is a programmer's
// error and aborts. options_text is NULL when it was not given and has no default.
bool options_flag(const struct options *self, const char *name);
const char *options_text(const struct options *self, const char *name);
int64_t options_int(const struct options *self, const char *name);

// options_is_given: the option stood on the command line.
bool options_is_given(const struct options *self, const char *name);

// The values of an OPTION_LIST in their order.
size_t options_list_count(const struct options *self, const char *name);
const char *options_list(const struct options *self, const char *name, size_t index);

// What is not an option, in its order.
size_t options_arguments_count(const struct options *self);
const char *options_argument(const struct options *self, size_t index);

// options_print_help writes one table, aligned: option, value, help, default.
void options_print_help(const struct option_def *table, FILE *out);

#endif
