#include "services/ledger/ledger_store.h"

#include <assert.h>

#include "services/row.h"

// The CHECKs are the last line of defence: the rules in ledger.c refuse before them.
const char ledger_store_schema[] =
    "CREATE TABLE IF NOT EXISTS accounts ("
    "  id TEXT PRIMARY KEY, kind TEXT NOT NULL, currency TEXT NOT NULL,"
    "  balance_minor INTEGER NOT NULL DEFAULT 0,"
    "  held_minor INTEGER NOT NULL DEFAULT 0 CHECK (held_minor >= 0),"
    "  CHECK (kind <> 'customer' OR balance_minor >= held_minor)"
    ") WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS entries ("
    "  number INTEGER PRIMARY KEY, id TEXT NOT NULL,"
    "  subject TEXT NOT NULL, kind TEXT NOT NULL, posted_at TEXT NOT NULL,"
    "  UNIQUE (subject, kind)"
    ");"
    "CREATE TABLE IF NOT EXISTS lines ("
    "  entry INTEGER NOT NULL REFERENCES entries (number), line INTEGER NOT NULL,"
    "  account_id TEXT NOT NULL REFERENCES accounts (id),"
    "  amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,"
    "  PRIMARY KEY (entry, line)"
    ") WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS cases ("
    "  kind TEXT NOT NULL, subject TEXT NOT NULL,"
    "  state INTEGER NOT NULL," // enum ledger_state
    "  from_account TEXT NOT NULL, to_account TEXT NOT NULL,"
    "  amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, entry_id TEXT NOT NULL,"
    "  PRIMARY KEY (kind, subject)"
    ") WITHOUT ROWID;";

static const char open_account_sql[] = "INSERT INTO accounts (id, kind, currency) VALUES (?, ?, ?)";

#define ACCOUNT_COLUMNS "id, kind, balance_minor, currency, held_minor"

static const char find_account_sql[] = "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE id = ?";

static const char list_accounts_sql[] =
    "SELECT " ACCOUNT_COLUMNS " FROM accounts"
    " WHERE (?1 IS NULL OR currency = ?1) AND id > ?2 ORDER BY id LIMIT ?3";

static const char sum_sql[] =
    "SELECT COALESCE(SUM(balance_minor), 0) FROM accounts WHERE currency = ?";

static const char update_account_sql[] =
    "UPDATE accounts SET balance_minor = ?, held_minor = ? WHERE id = ?";

static const char insert_entry_sql[] =
    "INSERT INTO entries (id, subject, kind, posted_at) VALUES (?, ?, ?, ?)";

static const char insert_line_sql[] =
    "INSERT INTO lines (entry, line, account_id, amount_minor, currency) VALUES (?, ?, ?, ?, ?)";

#define ENTRY_COLUMNS "number, id, subject, kind, posted_at"

// One text for both would not use the index: SQLite cannot tell that subject is no NULL.
static const char all_entries_sql[] = "SELECT " ENTRY_COLUMNS " FROM entries WHERE ?1 IS NULL"
                                      " AND number > ?2 ORDER BY number LIMIT ?3";

static const char subject_entries_sql[] = "SELECT " ENTRY_COLUMNS " FROM entries WHERE subject = ?1"
                                          " AND number > ?2 ORDER BY number LIMIT ?3";

static const char lines_sql[] =
    "SELECT account_id, amount_minor, currency FROM lines WHERE entry = ? ORDER BY line";

static const char find_case_sql[] =
    "SELECT state, from_account, to_account, amount_minor, currency, entry_id FROM cases"
    " WHERE kind = ? AND subject = ?";

static const char save_case_sql[] =
    "INSERT OR REPLACE INTO cases (state, from_account, to_account, amount_minor, currency,"
    " entry_id, kind, subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

// --- accounts

enum err ledger_store_open_account(struct store *store, const char *id, const char *kind,
                                   const char *currency)
{
    struct store_row *row = store_query(store, open_account_sql);
    ROW_BIND_TEXTS(row, id, kind, currency);
    return store_run(row);
}

static struct ledger_account account_of(struct store_row *row)
{
    struct ledger_account account = {.balance = row_money(row, 2), .held_minor = store_int(row, 4)};
    row_copy(row, 0, account.id, sizeof account.id);
    row_copy(row, 1, account.kind, sizeof account.kind);
    return account;
}

enum err ledger_store_find_account(struct store *store, const char *id, struct ledger_account *out)
{
    struct store_row *row = store_query(store, find_account_sql);
    store_bind_text(row, id);
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        *out = account_of(row);
        store_done(row);
    }
    return err;
}

enum err ledger_store_update_account(struct store *store, const struct ledger_account *account)
{
    struct store_row *row = store_query(store, update_account_sql);
    store_bind_int(row, account->balance.amount_minor);
    store_bind_int(row, account->held_minor);
    store_bind_text(row, account->id);
    return store_run(row);
}

cJSON *ledger_account_to_json(const struct ledger_account *account)
{
    struct money held = account->balance;
    struct money available = account->balance;
    held.amount_minor = account->held_minor;
    available.amount_minor -= account->held_minor;
    cJSON *json = contract_object("account_id", account->id, "kind", account->kind, NULL);
    cJSON_AddItemToObject(json, "balance", money_to_json(account->balance));
    cJSON_AddItemToObject(json, "held", money_to_json(held));
    cJSON_AddItemToObject(json, "available", money_to_json(available));
    return json;
}

static cJSON *account_row_to_json(struct store_row *row)
{
    const struct ledger_account account = account_of(row);
    return ledger_account_to_json(&account);
}

enum err ledger_store_list_accounts(struct store *store, const char *currency, const char *after,
                                    int64_t limit, cJSON *list)
{
    struct store_row *row = store_query(store, list_accounts_sql);
    ROW_BIND_TEXTS(row, currency, after);
    store_bind_int(row, limit);
    return row_list(row, account_row_to_json, list);
}

enum err ledger_store_sum(struct store *store, const char *currency, int64_t *out)
{
    struct store_row *row = store_query(store, sum_sql);
    store_bind_text(row, currency);
    const enum err err = store_next(row); // an aggregate always gives a row
    if (err == ERR_OK) {
        *out = store_int(row, 0);
        store_done(row);
    }
    return err;
}

// --- entries

static enum err insert_entry(struct store *store, const char *id, const char *subject,
                             const char *kind, const char *at)
{
    struct store_row *row = store_query(store, insert_entry_sql);
    ROW_BIND_TEXTS(row, id, subject, kind, at);
    return store_run(row);
}

static enum err insert_line(struct store *store, int64_t entry, size_t line,
                            const struct ledger_line *content)
{
    struct store_row *row = store_query(store, insert_line_sql);
    store_bind_int(row, entry);
    store_bind_int(row, (int64_t)line);
    store_bind_text(row, content->account_id);
    row_bind_money(row, content->amount);
    return store_run(row);
}

enum err ledger_store_post(struct store *store, const char *subject, const char *kind,
                           const char *at, const struct ledger_entry *entry, char id[UUID_SIZE])
{
    assert(ledger_is_balanced(entry));
    struct ledger_account accounts[LEDGER_LINES_MAX] = {0};
    enum err err = ERR_OK;
    // Every rule first, then the writing: a refusal leaves nothing half-done.
    for (size_t i = 0; i < entry->lines_count && err == ERR_OK; i++) {
        err = ledger_store_find_account(store, entry->lines[i].account_id, &accounts[i]);
        if (err == ERR_OK) {
            err = ledger_account_post(&accounts[i], entry->lines[i].amount);
        }
    }
    if (err == ERR_OK) {
        uuid_new(id);
        err = insert_entry(store, id, subject, kind, at);
    }
    const int64_t number = store_last_id(store);
    for (size_t i = 0; i < entry->lines_count && err == ERR_OK; i++) {
        err = insert_line(store, number, i, &entry->lines[i]);
        if (err == ERR_OK) {
            err = ledger_store_update_account(store, &accounts[i]);
        }
    }
    return err;
}

cJSON *ledger_line_to_json(const struct ledger_line *line)
{
    cJSON *json = contract_object("account", line->account_id, NULL);
    cJSON_AddNumberToObject(json, "amount_minor", (double)line->amount.amount_minor);
    cJSON_AddStringToObject(json, "currency", line->amount.currency);
    return json;
}

static cJSON *line_row_to_json(struct store_row *row)
{
    struct ledger_line line = {.amount = row_money(row, 1)};
    row_copy(row, 0, line.account_id, sizeof line.account_id);
    return ledger_line_to_json(&line);
}

static cJSON *entry_row_to_json(struct store_row *row)
{
    cJSON *json =
        contract_object("entry_id", store_text(row, 1), "subject", store_text(row, 2), NULL);
    cJSON_AddStringToObject(json, "kind", store_text(row, 3));
    cJSON_AddStringToObject(json, "posted_at", store_text(row, 4));
    cJSON_AddNumberToObject(json, "number", (double)store_int(row, 0));
    return json;
}

enum err ledger_store_list_entries(struct store *store, const char *subject, const char *after,
                                   int64_t limit, cJSON *list)
{
    struct store_row *row =
        store_query(store, subject == NULL ? all_entries_sql : subject_entries_sql);
    ROW_BIND_TEXTS(row, subject, after);
    store_bind_int(row, limit);
    enum err err = row_list(row, entry_row_to_json, list);
    for (cJSON *entry = list->child; entry != NULL && err == ERR_OK; entry = entry->next) {
        struct store_row *lines = store_query(store, lines_sql);
        store_bind_int(lines, (int64_t)cJSON_GetObjectItem(entry, "number")->valuedouble);
        err = row_list(lines, line_row_to_json, cJSON_AddArrayToObject(entry, "lines"));
    }
    return err;
}

// --- payments and transfers

enum err ledger_store_find_case(struct store *store, const char *kind, const char *subject,
                                struct ledger_case *out)
{
    *out = (struct ledger_case){0};
    struct store_row *row = store_query(store, find_case_sql);
    ROW_BIND_TEXTS(row, kind, subject);
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        out->state = (enum ledger_state)store_int(row, 0);
        row_copy(row, 1, out->from_account, sizeof out->from_account);
        row_copy(row, 2, out->to_account, sizeof out->to_account);
        out->amount = row_money(row, 3);
        row_copy(row, 5, out->entry_id, sizeof out->entry_id);
        store_done(row);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err ledger_store_save_case(struct store *store, const char *kind, const char *subject,
                                const struct ledger_case *in)
{
    struct store_row *row = store_query(store, save_case_sql);
    store_bind_int(row, in->state);
    ROW_BIND_TEXTS(row, in->from_account, in->to_account);
    row_bind_money(row, in->amount);
    ROW_BIND_TEXTS(row, in->entry_id, kind, subject);
    return store_run(row);
}
