#include "services/ledger/ledger_store.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// The CHECKs are the last line of defence: the rules in ledger.c refuse before them.
const char ledger_store_schema[] =
    "CREATE TABLE IF NOT EXISTS accounts ("
    "  id TEXT PRIMARY KEY,"
    "  kind TEXT NOT NULL,"
    "  currency TEXT NOT NULL,"
    "  balance_minor INTEGER NOT NULL DEFAULT 0,"
    "  held_minor INTEGER NOT NULL DEFAULT 0 CHECK (held_minor >= 0),"
    "  CHECK (kind <> 'customer' OR balance_minor >= held_minor)"
    ") WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS entries ("
    "  number INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  posted_at TEXT NOT NULL,"
    "  UNIQUE (subject, kind)"
    ");"
    "CREATE TABLE IF NOT EXISTS lines ("
    "  entry INTEGER NOT NULL REFERENCES entries (number),"
    "  line INTEGER NOT NULL,"
    "  account_id TEXT NOT NULL REFERENCES accounts (id),"
    "  amount_minor INTEGER NOT NULL,"
    "  currency TEXT NOT NULL,"
    "  PRIMARY KEY (entry, line)"
    ") WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS cases ("
    "  kind TEXT NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  state INTEGER NOT NULL," // enum ledger_payment_state or ledger_transfer_state
    "  from_account TEXT NOT NULL,"
    "  to_account TEXT NOT NULL,"
    "  amount_minor INTEGER NOT NULL,"
    "  currency TEXT NOT NULL,"
    "  entry_id TEXT NOT NULL,"
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

static const char all_entries_sql[] =
    "SELECT " ENTRY_COLUMNS " FROM entries WHERE number > ? ORDER BY number LIMIT ?";

static const char subject_entries_sql[] =
    "SELECT " ENTRY_COLUMNS " FROM entries WHERE number > ?1 AND subject = ?3"
    " ORDER BY number LIMIT ?2";

static const char lines_sql[] =
    "SELECT account_id, amount_minor, currency FROM lines WHERE entry = ? ORDER BY line";

static const char find_case_sql[] =
    "SELECT state, from_account, to_account, amount_minor, currency, entry_id FROM cases"
    " WHERE kind = ? AND subject = ?";

static const char save_case_sql[] =
    "INSERT OR REPLACE INTO cases (state, from_account, to_account, amount_minor, currency,"
    " entry_id, kind, subject) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

static struct money money_of(int64_t amount_minor, const char *currency)
{
    struct money money = {.amount_minor = amount_minor};
    snprintf(money.currency, sizeof money.currency, "%s", currency);
    return money;
}

// --- accounts

enum err ledger_store_open_account(struct store *store, const char *id, const char *kind,
                                   const char *currency)
{
    struct store_row *row = store_query(store, open_account_sql);
    store_bind_text(row, id);
    store_bind_text(row, kind);
    store_bind_text(row, currency);
    return store_run(row);
}

static struct ledger_account account_of(struct store_row *row)
{
    struct ledger_account account = {.balance = money_of(store_int(row, 2), store_text(row, 3)),
                                     .held_minor = store_int(row, 4)};
    snprintf(account.id, sizeof account.id, "%s", store_text(row, 0));
    snprintf(account.kind, sizeof account.kind, "%s", store_text(row, 1));
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

enum err ledger_store_list_accounts(struct store *store, const char *currency, const char *after,
                                    int64_t limit, cJSON *list)
{
    struct store_row *row = store_query(store, list_accounts_sql);
    store_bind_text(row, currency);
    store_bind_text(row, after);
    store_bind_int(row, limit);
    enum err err = ERR_OK;
    while ((err = store_next(row)) == ERR_OK) {
        const struct ledger_account account = account_of(row);
        cJSON_AddItemToArray(list, ledger_account_to_json(&account));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
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
    store_bind_text(row, id);
    store_bind_text(row, subject);
    store_bind_text(row, kind);
    store_bind_text(row, at);
    return store_run(row);
}

static enum err insert_line(struct store *store, int64_t entry, size_t line,
                            const struct ledger_line *content)
{
    struct store_row *row = store_query(store, insert_line_sql);
    store_bind_int(row, entry);
    store_bind_int(row, (int64_t)line);
    store_bind_text(row, content->account_id);
    store_bind_int(row, content->amount.amount_minor);
    store_bind_text(row, content->amount.currency);
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

static enum err list_lines(struct store *store, int64_t entry, cJSON *list)
{
    struct store_row *row = store_query(store, lines_sql);
    store_bind_int(row, entry);
    enum err err = ERR_OK;
    while ((err = store_next(row)) == ERR_OK) {
        struct ledger_line line = {.amount = money_of(store_int(row, 1), store_text(row, 2))};
        snprintf(line.account_id, sizeof line.account_id, "%s", store_text(row, 0));
        cJSON_AddItemToArray(list, ledger_line_to_json(&line));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err ledger_store_list_entries(struct store *store, const char *subject, int64_t after,
                                   int64_t limit, cJSON *list)
{
    struct store_row *row =
        store_query(store, subject == NULL ? all_entries_sql : subject_entries_sql);
    store_bind_int(row, after);
    store_bind_int(row, limit);
    if (subject != NULL) {
        store_bind_text(row, subject);
    }
    enum err err = ERR_OK;
    while ((err = store_next(row)) == ERR_OK) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddNumberToObject(json, "number", (double)store_int(row, 0));
        cJSON_AddStringToObject(json, "entry_id", store_text(row, 1));
        cJSON_AddStringToObject(json, "subject", store_text(row, 2));
        cJSON_AddStringToObject(json, "kind", store_text(row, 3));
        cJSON_AddStringToObject(json, "posted_at", store_text(row, 4));
        cJSON_AddItemToArray(list, json);
        err = list_lines(store, store_int(row, 0), cJSON_AddArrayToObject(json, "lines"));
        if (err != ERR_OK) {
            store_done(row);
            return err;
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

// --- payments and transfers

enum err ledger_store_find_case(struct store *store, const char *kind, const char *subject,
                                struct ledger_case *out)
{
    *out = (struct ledger_case){0};
    struct store_row *row = store_query(store, find_case_sql);
    store_bind_text(row, kind);
    store_bind_text(row, subject);
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        out->state = (int)store_int(row, 0);
        snprintf(out->from_account, sizeof out->from_account, "%s", store_text(row, 1));
        snprintf(out->to_account, sizeof out->to_account, "%s", store_text(row, 2));
        out->amount = money_of(store_int(row, 3), store_text(row, 4));
        snprintf(out->entry_id, sizeof out->entry_id, "%s", store_text(row, 5));
        store_done(row);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err ledger_store_save_case(struct store *store, const char *kind, const char *subject,
                                const struct ledger_case *in)
{
    struct store_row *row = store_query(store, save_case_sql);
    store_bind_int(row, in->state);
    store_bind_text(row, in->from_account);
    store_bind_text(row, in->to_account);
    store_bind_int(row, in->amount.amount_minor);
    store_bind_text(row, in->amount.currency);
    store_bind_text(row, in->entry_id);
    store_bind_text(row, kind);
    store_bind_text(row, subject);
    return store_run(row);
}

// --- as the interface shows them

cJSON *ledger_account_to_json(const struct ledger_account *account)
{
    struct money held = account->balance;
    struct money available = account->balance;
    held.amount_minor = account->held_minor;
    available.amount_minor -= account->held_minor;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "account_id", account->id);
    cJSON_AddStringToObject(json, "kind", account->kind);
    cJSON_AddItemToObject(json, "balance", money_to_json(account->balance));
    cJSON_AddItemToObject(json, "held", money_to_json(held));
    cJSON_AddItemToObject(json, "available", money_to_json(available));
    return json;
}

cJSON *ledger_line_to_json(const struct ledger_line *line)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "account", line->account_id);
    cJSON_AddNumberToObject(json, "amount_minor", (double)line->amount.amount_minor);
    cJSON_AddStringToObject(json, "currency", line->amount.currency);
    return json;
}
