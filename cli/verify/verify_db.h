// verify_db - one SQLite connection with everything that `faultline verify` compares:
// the services' databases, attached under the services' names and read in one
// transaction, and tables of its own in a temporary file.
//
// The temporary file has no name, so that nothing is left behind however the process
// ends; it lies in SQLITE_TMPDIR, TMPDIR or /var/tmp and is written to only when the
// page cache of a few MiB is full. One thread.
#ifndef FAULTLINE_CLI_VERIFY_DB_H
#define FAULTLINE_CLI_VERIFY_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct verify_db;  // opaque
struct verify_row; // a statement: being bound, or at its present row

// verify_db_open attaches the databases below folder data ("data/order/order.db") and
// begins the transaction in which each is read as it is now, one after the other in the
// order that verify_db.c explains. ERR_NOT_FOUND: one is not there; ERR_CONFLICT: one
// has another schema; ERR_IO, ERR_CORRUPT. *problem, which the caller frees, is then a
// sentence. The caller owns *out.
enum err verify_db_open(struct verify_db **out, const char *data, char **problem);
void verify_db_destroy(struct verify_db **self_p);

// verify_db_run runs SQL of several statements, our own: what goes wrong is a damaged
// database or a full disk, ERR_IO, and verify_db_problem says it.
enum err verify_db_run(struct verify_db *self, const char *sql);

// verify_db_problem is what went wrong, a sentence; borrowed.
const char *verify_db_problem(const struct verify_db *self);

// A function of some texts, which may be NULL, that SQL can call: its number, or a negative
// one for NULL.
typedef int64_t verify_number_of(void *context, const char *const *texts);
enum {
    VERIFY_TEXTS_MAX = 3
};
void verify_db_add_function(struct verify_db *self, const char *name, int texts_count,
                            verify_number_of *function, void *context);

// verify_db_query readies sql for verify_row_bind_*, from the left, and verify_row_next. A
// text is copied. NULL: it could not be prepared; verify_db_problem says why.
struct verify_row *verify_db_query(struct verify_db *self, const char *sql);
void verify_row_bind_text(struct verify_row *row, const char *text); // NULL is NULL
void verify_row_bind_int(struct verify_row *row, int64_t number);

// verify_row_next moves to the next row, and to the first one again after the last, so
// that it can be bound anew. ERR_NOT_FOUND: there is none (left). ERR_IO.
enum err verify_row_next(struct verify_row *row);

// Columns of the present row, from 0; text is borrowed until the next row, NULL for NULL.
const char *verify_row_text(struct verify_row *row, int column);
int64_t verify_row_int(struct verify_row *row, int column);
int verify_row_columns(struct verify_row *row);

void verify_row_done(struct verify_row **row_p);

#endif
