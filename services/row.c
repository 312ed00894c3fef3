#include "services/row.h"

#include <stdio.h>

void row_bind_texts(struct store_row *row, size_t count, const char *const *texts)
{
    for (size_t i = 0; i < count; i++) {
        store_bind_text(row, texts[i]);
    }
}

enum err row_run_texts(struct store *store, const char *sql, size_t count, const char *const *texts)
{
    struct store_row *row = store_query(store, sql);
    row_bind_texts(row, count, texts);
    return store_run(row);
}

void row_bind_money(struct store_row *row, struct money money)
{
    store_bind_int(row, money.amount_minor);
    store_bind_text(row, money.currency);
}

struct money row_money(struct store_row *row, int column)
{
    struct money money = {.amount_minor = store_int(row, column)};
    row_copy(row, column + 1, money.currency, sizeof money.currency);
    return money;
}

void row_copy(struct store_row *row, int column, char *out, size_t size)
{
    snprintf(out, size, "%s", store_text(row, column));
}

cJSON *row_json(struct store_row *row, int column)
{
    return cJSON_Parse(store_text(row, column));
}

enum err row_show(struct store_row *row, cJSON **out)
{
    const enum err err = store_next(row);
    *out = err == ERR_OK ? row_json(row, 0) : NULL;
    if (err == ERR_OK) {
        store_done(row);
    }
    return err;
}

enum err row_list(struct store_row *row, cJSON *list)
{
    enum err err = store_next(row);
    for (; err == ERR_OK; err = store_next(row)) {
        cJSON_AddItemToArray(list, row_json(row, 0));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
