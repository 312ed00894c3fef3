// verify_insert - one row after another into a table of the verify_db.
//
//   struct verify_insert stray = {db, "INSERT INTO stray VALUES (?, ?)", NULL};
//   err = verify_insert_row(&stray, VERIFY_ROW(VERIFY_TEXT(group), VERIFY_NUMBER(at)));
//   verify_row_done(&stray.row);
#ifndef FAULTLINE_CLI_VERIFY_INSERT_H
#define FAULTLINE_CLI_VERIFY_INSERT_H

#include <stddef.h>
#include <stdint.h>

#include "cli/verify/verify_db.h"

struct verify_insert {
    struct verify_db *db;   // borrowed
    const char *sql;        // borrowed; a parameter for each value
    struct verify_row *row; // NULL until the first row; end it with verify_row_done
};

enum verify_value_kind {
    VERIFY_VALUE_END,
    VERIFY_VALUE_TEXT,
    VERIFY_VALUE_NUMBER
};

struct verify_value {
    enum verify_value_kind kind;
    const char *text; // borrowed; NULL is NULL
    int64_t number;
};

#define VERIFY_TEXT(it) ((struct verify_value){.kind = VERIFY_VALUE_TEXT, .text = (it)})
#define VERIFY_NUMBER(it)                                                                          \
    ((struct verify_value){.kind = VERIFY_VALUE_NUMBER, .number = (int64_t)(it)})
#define VERIFY_ROW(...) ((const struct verify_value[]){__VA_ARGS__, {.kind = VERIFY_VALUE_END}})

// verify_insert_row runs the statement with values, the last of which is VERIFY_VALUE_END.
// ERR_IO: verify_db_problem says why.
enum err verify_insert_row(struct verify_insert *insert, const struct verify_value *values);

#endif
