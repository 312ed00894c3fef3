// config - settings from the environment, checked at the start (12-factor).
//
// A program lists its settings in tables; --help prints them with default and
// unit, a bad value stops the start with a sentence that names it.
#ifndef FAULTLINE_CONFIG_H
#define FAULTLINE_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum setting_kind {
    SETTING_TEXT,
    SETTING_URL,    // http://host or http://host:port
    SETTING_INT,    // min .. max
    SETTING_CHOICE, // one of choices, "a|b|c"
};

struct setting {
    const char *name;     // "SYNC_TIMEOUT_MS"
    const char *fallback; // the default, as text
    enum setting_kind kind;
    int64_t min, max;
    const char *choices;
    const char *unit; // "ms", "bytes", ""
    const char *help; // a sentence
};

struct config; // opaque; values are fixed once loaded

// config_load reads every setting of the tables (tables_count tables, each ended by
// a setting without a name) from the environment. A variable that is empty counts
// as not set. Tables are borrowed and must outlive the config; a name may be in
// them once. ERR_INVALID: *problem, which the caller frees, says which setting, its
// value and what it may be; *out is NULL.
enum err config_load(struct config **out, const struct setting *const *tables, size_t tables_count,
                     char **problem);
void config_destroy(struct config **self_p);

// The value of a setting that is in a table: asking for another is a programmer's
// error and aborts. Text is borrowed from config.
const char *config_text(const struct config *self, const char *name);
int64_t config_int(const struct config *self, const char *name);

// config_print_help writes the tables as one, aligned: name, default, unit, help and
// what the value may be.
void config_print_help(const struct setting *const *tables, size_t tables_count, FILE *out);

#endif
