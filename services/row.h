// row - what the stores of all services read and write alike.
#ifndef FAULTLINE_ROW_H
#define FAULTLINE_ROW_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "common/money.h"
#include "common/store.h"

// row_bind_texts binds the next count parameters; ROW_BIND_TEXTS(row, a, b) counts them.
void row_bind_texts(struct store_row *row, size_t count, const char *const *texts);

#define ROW_TEXTS(...)                                                                             \
    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), (const char *const[])       \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define ROW_BIND_TEXTS(row, ...) row_bind_texts((row), ROW_TEXTS(__VA_ARGS__))

// ROW_RUN_TEXTS(store, sql, a, b) runs a statement whose parameters are texts alone.
enum err row_run_texts(struct store *store, const char *sql, size_t count,
                       const char *const *texts);

#define ROW_RUN_TEXTS(store, sql, ...) row_run_texts((store), (sql), ROW_TEXTS(__VA_ARGS__))

// Money takes two places, one behind the other: the amount, then the currency.
void row_bind_money(struct store_row *row, struct money money);
struct money row_money(struct store_row *row, int column);

// row_copy copies a column's text, cut to size - 1 bytes.
void row_copy(struct store_row *row, int column, char *out, size_t size);

// What the interface shows of a row is JSON that the SQL makes (json_object).

// row_json reads JSON from a column; the caller owns it.
cJSON *row_json(struct store_row *row, int column);

// row_show gives the first column of the one row as JSON, which the caller owns.
// ERR_NOT_FOUND: there is none; *out is then NULL.
enum err row_show(struct store_row *row, cJSON **out);

// row_list adds to list the first column, as JSON, of each row.
enum err row_list(struct store_row *row, cJSON *list);

#endif
