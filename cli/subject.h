// subject - an order or a transfer, placed by a person who may want to see its end.
#ifndef FAULTLINE_CLI_SUBJECT_H
#define FAULTLINE_CLI_SUBJECT_H

#include <cjson/cJSON.h>

#include "cli/command.h"

// What differs between an order and a transfer.
struct subject_kind {
    const char *noun;      // "order"
    const char *service;   // who takes it
    const char *path;      // "/orders"
    const char *id_member; // "order_id"
    const char *good_end;  // "confirmed"
    const char *bad_end;   // "cancelled"
};

struct subject_wish {
    const cJSON *body;
    const char *mode;            // "async", "sync"; NULL: the service knows one only
    const char *idempotency_key; // or NULL
    bool wait;                   // until it has its end
    int64_t timeout_ms;          // for the answer, and for the end
    bool json;
};

// subject_place sends it, waits if that is the wish, and prints answer and times.
// CLI_YES: it was taken, and had its good end if that was waited for. CLI_NO: it was
// refused or cancelled. CLI_UNKNOWN: nobody answered, or it had no end in time.
enum cli_exit subject_place(const struct subject_kind *kind, const struct subject_wish *wish,
                            const char *dir);

// The options that every placing command has: --wait, --timeout, --key.
#define SUBJECT_OPTIONS                                                                            \
    {.name = "wait", .letter = 'w', .kind = OPTION_FLAG, .help = "wait until it has its end"},     \
        {.name = "timeout",                                                                        \
         .kind = OPTION_INT,                                                                       \
         .value = "SECONDS",                                                                       \
         .fallback = "30",                                                                         \
         .min = 1,                                                                                 \
         .max = 3600,                                                                              \
         .help = "how long to wait for the answer, and for the end"},                              \
    {                                                                                              \
        .name = "key", .kind = OPTION_TEXT, .value = "KEY",                                        \
        .help = "the Idempotency-Key: sent twice, done once"                                       \
    }

#endif
