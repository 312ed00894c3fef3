#include "services/transfer/transfer_store.h"

#include <stdio.h>

const char transfer_store_schema[] = "CREATE TABLE IF NOT EXISTS transfers ("
                                     "  id TEXT PRIMARY KEY,"
                                     "  from_account TEXT NOT NULL,"
                                     "  to_account TEXT NOT NULL,"
                                     "  amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),"
                                     "  currency TEXT NOT NULL,"
                                     "  state TEXT NOT NULL,"
                                     "  reason TEXT NOT NULL"
                                     ") WITHOUT ROWID;"
                                     "CREATE TABLE IF NOT EXISTS steps ("
                                     "  transfer_id TEXT NOT NULL,"
                                     "  step INTEGER NOT NULL," // from 1
                                     "  status TEXT NOT NULL,"
                                     "  at TEXT NOT NULL,"
                                     "  event_id TEXT NOT NULL,"
                                     "  PRIMARY KEY (transfer_id, step)"
                                     ") WITHOUT ROWID;";

static const char insert_sql[] =
    "INSERT INTO transfers (id, from_account, to_account, amount_minor, currency, state, reason)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)";

static const char find_sql[] = "SELECT from_account, to_account, amount_minor, currency, state,"
                               " reason FROM transfers WHERE id = ?";

static const char update_sql[] = "UPDATE transfers SET state = ?, reason = ? WHERE id = ?";

static const char add_step_sql[] =
    "INSERT INTO steps (transfer_id, step, status, at, event_id)"
    " SELECT ?1, COALESCE(MAX(step), 0) + 1, ?2, ?3, ?4 FROM steps WHERE transfer_id = ?1";

static const char history_sql[] =
    "SELECT status, at, event_id FROM steps WHERE transfer_id = ? ORDER BY step";

enum err transfer_store_insert(struct store *store, const struct transfer *transfer)
{
    struct store_row *row = store_query(store, insert_sql);
    store_bind_text(row, transfer->id);
    store_bind_text(row, transfer->from_account);
    store_bind_text(row, transfer->to_account);
    store_bind_int(row, transfer->amount.amount_minor);
    store_bind_text(row, transfer->amount.currency);
    store_bind_text(row, transfer_state_name(transfer->state));
    store_bind_text(row, transfer->reason);
    return store_run(row);
}

enum err transfer_store_find(struct store *store, const char *id, struct transfer *out)
{
    struct store_row *row = store_query(store, find_sql);
    store_bind_text(row, id);
    enum err err = store_next(row);
    if (err != ERR_OK) {
        return err;
    }
    *out = (struct transfer){.amount.amount_minor = store_int(row, 2)};
    snprintf(out->id, sizeof out->id, "%s", id);
    snprintf(out->from_account, sizeof out->from_account, "%s", store_text(row, 0));
    snprintf(out->to_account, sizeof out->to_account, "%s", store_text(row, 1));
    snprintf(out->amount.currency, sizeof out->amount.currency, "%s", store_text(row, 3));
    snprintf(out->reason, sizeof out->reason, "%s", store_text(row, 5));
    err = transfer_state_parse(store_text(row, 4), &out->state);
    store_done(row);
    return err == ERR_OK ? ERR_OK : ERR_CORRUPT;
}

enum err transfer_store_update(struct store *store, const struct transfer *transfer)
{
    struct store_row *row = store_query(store, update_sql);
    store_bind_text(row, transfer_state_name(transfer->state));
    store_bind_text(row, transfer->reason);
    store_bind_text(row, transfer->id);
    return store_run(row);
}

enum err transfer_store_add_step(struct store *store, const char *id, const char *status,
                                 const char *at, const char *event_id)
{
    struct store_row *row = store_query(store, add_step_sql);
    store_bind_text(row, id);
    store_bind_text(row, status);
    store_bind_text(row, at);
    store_bind_text(row, event_id);
    return store_run(row);
}

enum err transfer_store_history(struct store *store, const char *id, cJSON **out)
{
    *out = NULL;
    struct store_row *row = store_query(store, history_sql);
    store_bind_text(row, id);
    cJSON *steps = cJSON_CreateArray();
    enum err err = ERR_OK;
    while ((err = store_next(row)) == ERR_OK) {
        cJSON *step = cJSON_CreateObject();
        cJSON_AddStringToObject(step, "status", store_text(row, 0));
        cJSON_AddStringToObject(step, "at", store_text(row, 1));
        cJSON_AddStringToObject(step, "event_id", store_text(row, 2));
        cJSON_AddItemToArray(steps, step);
    }
    if (err != ERR_NOT_FOUND) {
        cJSON_Delete(steps);
        return err;
    }
    *out = steps;
    return ERR_OK;
}
