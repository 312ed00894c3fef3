#include "services/row.h"

#include <stdio.h>

void row_bind_texts(struct store_row *row, size_t count, const char *const *texts)
{
    for (size_t i = 0; i < count; i++) {
        store_bind_text(row, texts[i]);
    }
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

enum err row_list(struct store_row *row, cJSON *(*to_json)(struct store_row *row), cJSON *list)
{
    enum err err = store_next(row);
    for (; err == ERR_OK; err = store_next(row)) {
        cJSON_AddItemToArray(list, to_json(row));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
