#include "services/transfer/transfer_store.h"

#include <stdio.h>

#include "services/row.h"

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
    "SELECT json_object('status', status, 'at', at, 'event_id', event_id) FROM steps"
    " WHERE transfer_id = ? ORDER BY step";

enum err transfer_store_insert(struct store *store, const struct transfer *transfer)
{
    struct store_row *row = store_query(store, insert_sql);
    ROW_BIND_TEXTS(row, transfer->id, transfer->from_account, transfer->to_account);
    row_bind_money(row, transfer->amount);
    ROW_BIND_TEXTS(row, transfer_state_name(transfer->state), transfer->reason);
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
    *out = (struct transfer){.amount = row_money(row, 2)};
    snprintf(out->id, sizeof out->id, "%s", id);
    row_copy(row, 0, out->from_account, sizeof out->from_account);
    row_copy(row, 1, out->to_account, sizeof out->to_account);
    row_copy(row, 5, out->reason, sizeof out->reason);
    err = transfer_state_parse(store_text(row, 4), &out->state);
    store_done(row);
    return err == ERR_OK ? ERR_OK : ERR_CORRUPT;
}

enum err transfer_store_update(struct store *store, const struct transfer *transfer)
{
    const char *state = transfer_state_name(transfer->state);
    return ROW_RUN_TEXTS(store, update_sql, state, transfer->reason, transfer->id);
}

enum err transfer_store_add_step(struct store *store, const char *id, const char *status,
                                 const char *at, const char *event_id)
{
    return ROW_RUN_TEXTS(store, add_step_sql, id, status, at, event_id);
}

enum err transfer_store_history(struct store *store, const char *id, cJSON **out)
{
    struct store_row *row = store_query(store, history_sql);
    store_bind_text(row, id);
    cJSON *steps = cJSON_CreateArray();
    const enum err err = row_list(row, steps);
    if (err != ERR_OK) {
        cJSON_Delete(steps);
    }
    *out = err == ERR_OK ? steps : NULL;
    return err;
}
