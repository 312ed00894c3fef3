#include "services/notification/notification_store.h"

#include "services/row.h"

const char notification_store_schema[] = "CREATE TABLE IF NOT EXISTS notifications ("
                                         "  number INTEGER PRIMARY KEY,"
                                         "  id TEXT NOT NULL,"
                                         "  subject TEXT NOT NULL,"
                                         "  template TEXT NOT NULL,"
                                         "  recipient TEXT NOT NULL,"
                                         "  text TEXT NOT NULL,"
                                         "  sent_at TEXT NOT NULL,"
                                         "  is_end INTEGER NOT NULL,"
                                         "  UNIQUE (subject, template)"
                                         ");";

#define COLUMNS "number, id, subject, template, recipient, text, sent_at"

static const char find_sql[] =
    "SELECT " COLUMNS " FROM notifications WHERE subject = ? AND template = ?";

static const char has_end_sql[] = "SELECT 1 FROM notifications WHERE subject = ? AND is_end = 1";

static const char insert_sql[] =
    "INSERT INTO notifications (id, subject, template, recipient, text, sent_at, is_end)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)";

#define SHOWN                                                                                      \
    "json_object('notification_id', id, 'subject', subject, 'template', template,"                 \
    " 'recipient', recipient, 'text', text, 'sent_at', sent_at, 'number', number)"

static const char list_all_sql[] = "SELECT " SHOWN " FROM notifications WHERE ?1 IS NULL"
                                   " AND number > ?2 ORDER BY number LIMIT ?3";

static const char list_subject_sql[] = "SELECT " SHOWN " FROM notifications WHERE subject = ?1"
                                       " AND number > ?2 ORDER BY number LIMIT ?3";

static struct notification notification_of(struct store_row *row)
{
    struct notification read = {0};
    row_copy(row, 1, read.id, sizeof read.id);
    row_copy(row, 2, read.subject, sizeof read.subject);
    row_copy(row, 3, read.template_name, sizeof read.template_name);
    row_copy(row, 4, read.recipient, sizeof read.recipient);
    row_copy(row, 5, read.text, sizeof read.text);
    row_copy(row, 6, read.sent_at, sizeof read.sent_at);
    return read;
}

enum err notification_store_find(struct store *store, const char *subject,
                                 const char *template_name, struct notification *out)
{
    struct store_row *row = store_query(store, find_sql);
    store_bind_text(row, subject);
    store_bind_text(row, template_name);
    const enum err err = store_next(row);
    if (err == ERR_OK) {
        *out = notification_of(row);
        store_done(row);
    }
    return err;
}

enum err notification_store_has_end(struct store *store, const char *subject, bool *out)
{
    struct store_row *row = store_query(store, has_end_sql);
    store_bind_text(row, subject);
    const enum err err = store_next(row);
    *out = err == ERR_OK;
    if (err == ERR_OK) {
        store_done(row);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err notification_store_insert(struct store *store, const struct notification *notification,
                                   bool is_end)
{
    struct store_row *row = store_query(store, insert_sql);
    store_bind_text(row, notification->id);
    store_bind_text(row, notification->subject);
    store_bind_text(row, notification->template_name);
    store_bind_text(row, notification->recipient);
    store_bind_text(row, notification->text);
    store_bind_text(row, notification->sent_at);
    store_bind_int(row, is_end);
    return store_run(row);
}

cJSON *notification_to_json(const struct notification *notification)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "notification_id", notification->id);
    cJSON_AddStringToObject(json, "subject", notification->subject);
    cJSON_AddStringToObject(json, "template", notification->template_name);
    cJSON_AddStringToObject(json, "recipient", notification->recipient);
    cJSON_AddStringToObject(json, "text", notification->text);
    cJSON_AddStringToObject(json, "sent_at", notification->sent_at);
    return json;
}

enum err notification_store_list(struct store *store, const char *subject, const char *after,
                                 int64_t limit, cJSON *list)
{
    struct store_row *row = store_query(store, subject == NULL ? list_all_sql : list_subject_sql);
    ROW_BIND_TEXTS(row, subject, after);
    store_bind_int(row, limit);
    return row_list(row, list);
}
