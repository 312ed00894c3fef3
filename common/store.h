// store - a service's own database: a thin layer over SQLite (WAL, synchronous
// FULL). One thread owns a store. SQL is a named constant with bound parameters;
// its address is its identity, so each is prepared once.
//
//   static const char insert_sql[] = "INSERT INTO orders (id, status) VALUES (?, ?)";
//   struct store_row *row = store_query(store, insert_sql);
//   store_bind_text(row, order_id);
//   store_bind_text(row, "pending");
//   return store_run(row);
//
// Errors that a rule expects come back: ERR_EXISTS (a unique or primary key is
// taken), ERR_CONFLICT (a CHECK or NOT NULL failed), ERR_NOT_FOUND (no row).
// ERR_FULL (disk), ERR_TIMEOUT (another process holds the lock for
// STORE_BUSY_MS) and ERR_IO end the whole transaction: the runtime rolls it back.
#ifndef FAULTLINE_STORE_H
#define FAULTLINE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct store;     // opaque
struct store_row; // a statement being bound, run or read; owned by the store

enum {
    STORE_BUSY_MS = 10000
};

// store_open opens or creates the file at path and sets it up. ERR_IO,
// ERR_CORRUPT: *problem, which the caller frees, says what and what to do.
enum err store_open(struct store **out, const char *path, char **problem);
void store_destroy(struct store **self_p);

// store_exec_script runs SQL text of several statements without parameters: schemas.
enum err store_exec_script(struct store *self, const char *sql);

// store_without_syncs: from here on nothing is durable, and all is quicker. For what can be
// made again, and is synced as a whole when it is done. Outside of a transaction.
enum err store_without_syncs(struct store *self);

// store_schema_version is the file's user_version, 0 when none was set;
// store_tables_count how many tables it has.
int64_t store_schema_version(struct store *self);
int64_t store_tables_count(struct store *self);

// store_begin takes the write lock (BEGIN IMMEDIATE); store_commit makes all
// durable; store_rollback undoes all. Savepoints nest inside.
enum err store_begin(struct store *self);
enum err store_commit(struct store *self);
void store_rollback(struct store *self);
enum err store_savepoint(struct store *self);
enum err store_release(struct store *self);
enum err store_rollback_to(struct store *self); // and releases the savepoint

// store_is_broken tells whether a statement since store_begin failed in a way that
// the whole transaction must be rolled back for: full disk, lock, damage, I/O.
bool store_is_broken(const struct store *self);

// store_query readies the statement of sql: reset, nothing bound. A statement that
// cannot be prepared is a programmer's error and aborts, with SQLite's message.
struct store_row *store_query(struct store *self, const char *sql);

// store_bind_* bind the next parameter, from the left. Text is copied; NULL is NULL.
void store_bind_text(struct store_row *row, const char *text);
void store_bind_int(struct store_row *row, int64_t number);

// store_run runs a statement that gives no rows. ERR_OK also when it changed none:
// ask store_changes.
enum err store_run(struct store_row *row);
int64_t store_changes(const struct store *self);

// store_next moves to the next row. ERR_NOT_FOUND: there is none (left); the
// statement is then done. Whoever stops before calls store_done: an open row keeps the
// whole file as it was, for checkpoints and for other processes' writes. Rows that are
// open at the end of a transaction, or at store_done_all, are closed.
enum err store_next(struct store_row *row);
void store_done(struct store_row *row);
void store_done_all(struct store *self);

// store_text, store_int: columns of the present row, from 0. Text is borrowed until
// the next store_next; NULL for NULL.
const char *store_text(struct store_row *row, int column);
int64_t store_int(struct store_row *row, int column);
bool store_is_null(struct store_row *row, int column);

// store_last_error: SQLite's message for the last failure, borrowed.
const char *store_last_error(const struct store *self);

// store_last_id: the rowid of the last INSERT.
int64_t store_last_id(const struct store *self);

#endif
