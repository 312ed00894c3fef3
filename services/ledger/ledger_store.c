#include "services/ledger/ledger_store.h"

#include <assert.h>

#include "common/mem.h"
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

static const char find_account_sql[] =
    "SELECT id, kind, balance_minor, currency, held_minor FROM accounts WHERE id = ?";

// As the interface shows them.
#define SHOWN_ACCOUNT                                                                              \
    "json_object('account_id', id, 'kind', kind,"                                                  \
    " 'balance', json_object('amount_minor', balance_minor, 'currency', currency),"                \
    " 'held', json_object('amount_minor', held_minor, 'currency', currency),"                      \
    " 'available', json_object('amount_minor', balance_minor - held_minor, 'currency', currency))"

static const char show_account_sql[] = "SELECT " SHOWN_ACCOUNT " FROM accounts WHERE id = ?";

static const char list_accounts_sql[] =
    "SELECT " SHOWN_ACCOUNT " FROM accounts WHERE id > ? ORDER BY id LIMIT ?";

static const char trial_balance_sql[] =
    "SELECT json_object('currency', ?1, 'sum_minor', COALESCE(SUM(balance_minor), 0), 'accounts',"
    " json_group_array(" SHOWN_ACCOUNT "))"
    " FROM (SELECT * FROM accounts WHERE currency = ?1 ORDER BY id)";

static const char update_account_sql[] =
    "UPDATE accounts SET balance_minor = ?, held_minor = ? WHERE id = ?";

static const char insert_entry_sql[] =
    "INSERT INTO entries (id, subject, kind, posted_at) VALUES (?, ?, ?, ?)";

static const char insert_line_sql[] =
    "INSERT INTO lines (entry, line, account_id, amount_minor, currency) VALUES (?, ?, ?, ?, ?)";

// As the interface shows them.
#define SHOWN_LINES                                                                                \
    "(SELECT json_group_array(json_object('account', account_id, 'amount_minor', amount_minor,"    \
    " 'currency', currency)) FROM (SELECT * FROM lines WHERE entry = number ORDER BY line))"
#define SHOWN_ENTRY                                                                                \
    "json_object('number', number, 'entry_id', id, 'subject', subject, 'kind', kind,"              \
    " 'posted_at', posted_at, 'lines', json(" SHOWN_LINES "))"

static const char all_entries_sql[] = "SELECT " SHOWN_ENTRY " FROM entries WHERE ?1 IS NULL"
                                      " AND number > ?2 ORDER BY number LIMIT ?3";

// One text for both would not use the index: SQLite cannot tell that subject is no NULL.
static const char subject_entries_sql[] = "SELECT " SHOWN_ENTRY " FROM entries WHERE subject = ?1"
                                          " AND number > ?2 ORDER BY number LIMIT ?3";

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
    return ROW_RUN_TEXTS(store, open_account_sql, id, kind, currency);
}

enum err ledger_store_find_account(struct store *store, const char *id, struct ledger_account *out)
{
    struct store_row *row = store_query(store, find_account_sql);
    store_bind_text(row, id);
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        *out =
            (struct ledger_account){.balance = row_money(row, 2), .held_minor = store_int(row, 4)};
        row_copy(row, 0, out->id, sizeof out->id);
        row_copy(row, 1, out->kind, sizeof out->kind);
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

enum err ledger_store_show_account(struct store *store, const char *id, cJSON **out)
{
    struct store_row *row = store_query(store, show_account_sql);
    store_bind_text(row, id);
    return row_show(row, out);
}

enum err ledger_store_list_accounts(struct store *store, const char *filter, const char *after,
                                    int64_t limit, cJSON *list)
{
    assert(filter == NULL);
    struct store_row *row = store_query(store, list_accounts_sql);
    store_bind_text(row, after);
    store_bind_int(row, limit);
    return row_list(row, list);
}

enum err ledger_store_trial_balance(struct store *store, const char *currency, cJSON **out)
{
    struct store_row *row = store_query(store, trial_balance_sql);
    store_bind_text(row, currency);
    return row_show(row, out);
}

// --- entries

static enum err insert_line(struct store *store, int64_t entry, size_t number,
                            const struct ledger_line *line)
{
    struct store_row *row = store_query(store, insert_line_sql);
    store_bind_int(row, entry);
    store_bind_int(row, (int64_t)number);
    store_bind_text(row, line->account_id);
    row_bind_money(row, line->amount);
    return store_run(row);
}

enum err ledger_store_post(struct store *store, const char *subject, const char *kind,
                           struct ledger_origin origin, const struct ledger_entry *entry,
                           char id[UUID_SIZE])
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
        const char *const texts[] = {"/services/ledger", origin.cause, kind, subject};
        uuid_derive(texts, ARRAY_LEN(texts), id);
        err = ROW_RUN_TEXTS(store, insert_entry_sql, id, subject, kind, origin.at);
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

enum err ledger_store_list_entries(struct store *store, const char *subject, const char *after,
                                   int64_t limit, cJSON *list)
{
    struct store_row *row =
        store_query(store, subject == NULL ? all_entries_sql : subject_entries_sql);
    ROW_BIND_TEXTS(row, subject, after);
    store_bind_int(row, limit);
    return row_list(row, list);
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
