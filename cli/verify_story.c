#include "cli/verify_story.h"

#include <stdlib.h>
#include <string.h>

#include "cli/verify_house.h"
#include "common/bytes.h"
#include "common/mem.h"

// The columns that are stored. Those behind them are computed when they are asked for.
static const char stored[] =
    "CREATE TABLE story (subject TEXT PRIMARY KEY, kind TEXT, is_whole INTEGER, is_there INTEGER,"
    " said INTEGER, before INTEGER, sent INTEGER, sent_before INTEGER, given_up INTEGER,"
    " heard_order INTEGER, heard_payment INTEGER, heard_inventory INTEGER,"
    " heard_notification INTEGER, heard_fraud INTEGER, heard_ledger INTEGER,"
    " heard_transfer INTEGER,"
    " status TEXT, state TEXT, reason TEXT, amount INTEGER, currency TEXT, created_event TEXT,"
    " ended_event TEXT, created_at TEXT, ended_at TEXT, fraud_says INTEGER,"
    " inventory_says INTEGER, payment_says INTEGER,"
    " goods TEXT, payment TEXT, paid INTEGER, decision TEXT, books INTEGER, booked INTEGER,"
    " posted INTEGER, posted_minor INTEGER, reversed INTEGER, moved INTEGER,"
    " told INTEGER, told_received INTEGER, told_good INTEGER, told_bad INTEGER";

// An effect can be newer than the snapshot of the order it belongs to, when the order is.
static const char fill_sql[] =
    "INSERT INTO story"
    " SELECT s.subject,"
    "  CASE WHEN o.mode = 'async' THEN 'order' WHEN o.mode IS NOT NULL THEN 'chain'"
    "   WHEN t.id IS NOT NULL THEN 'transfer' END,"
    "  ?1 OR (s.said & ?2) <> 0 OR o.mode = 'sync',"
    "  o.order_id IS NOT NULL OR t.id IS NOT NULL"
    "   OR min(coalesce(r.updated_at, '~'), coalesce(p.updated_at, '~'),"
    "          coalesce(d.decided_at, '~'),"
    "          coalesce((SELECT min(posted_at) FROM entries WHERE subject = s.subject), '~'),"
    "          coalesce((SELECT min(sent_at) FROM notifications WHERE subject = s.subject), '~'))"
    "      < ?3,"
    "  s.said, s.before, s.sent, s.sent_before, s.given_up, s.heard_order, s.heard_payment,"
    "  s.heard_inventory, s.heard_notification, s.heard_fraud, s.heard_ledger, s.heard_transfer,"
    "  coalesce(o.status, CASE WHEN t.state IN ('created', 'cleared', 'held') THEN 'pending'"
    "   ELSE t.state END),"
    "  t.state, coalesce(o.reason, t.reason), coalesce(o.amount_minor, t.amount_minor),"
    "  coalesce(o.currency, t.currency), o.created_event, o.ended_event, o.created_at,"
    "  o.ended_at, o.fraud, o.inventory, o.payment,"
    "  r.status, p.status, p.amount_minor, d.reason, c.state, c.amount_minor,"
    "  (SELECT count(*) FROM entries WHERE subject = s.subject AND kind = 'payment'),"
    "  (SELECT sum(amount_minor) FROM entries JOIN lines ON entry = number"
    "    WHERE subject = s.subject AND kind = 'payment' AND account_id = 'cash'),"
    "  (SELECT count(*) FROM entries WHERE subject = s.subject AND kind = 'reversal'),"
    "  (SELECT count(*) FROM entries WHERE subject = s.subject AND kind = 'transfer'),"
    "  n.told, n.received, n.good, n.bad"
    " FROM seen s"
    " LEFT JOIN orders o ON o.order_id = s.subject"
    " LEFT JOIN transfers t ON t.id = s.subject"
    " LEFT JOIN reservations r ON r.order_id = s.subject"
    " LEFT JOIN payments p ON p.order_id = s.subject"
    " LEFT JOIN decisions d ON d.subject = s.subject"
    " LEFT JOIN cases c ON c.subject = s.subject"
    "  AND c.kind = CASE WHEN t.id IS NULL THEN 'payment' ELSE 'transfer' END"
    " LEFT JOIN (SELECT subject, count(*) AS told, sum(template LIKE '%-received') AS received,"
    "   sum(template IN ('order-confirmed', 'transfer-completed')) AS good,"
    "   sum(template LIKE '%-cancelled') AS bad FROM notifications GROUP BY subject) n"
    "  ON n.subject = s.subject";

static void put_column(struct buf *sql, const char *name, const char *topic, const char *mask,
                       size_t bit)
{
    buf_printf(sql, ", %s%s", name, topic == NULL ? "" : "_");
    for (; topic != NULL && *topic != '\0'; topic++) {
        buf_put_u8(sql, *topic == '-' ? '_' : (uint8_t)*topic);
    }
    buf_printf(sql, " AS (%s >> %zu & 1)", mask, bit);
}

static char *create_sql(void)
{
    struct buf sql = {0};
    buf_put_text(&sql, stored);
    for (size_t topic = 0; topic < VERIFY_TOPICS; topic++) {
        put_column(&sql, "said", verify_topic(topic), "said", topic);
        put_column(&sql, "was", verify_topic(topic), "before", topic);
    }
    for (size_t service = 0; service < VERIFY_SERVICES; service++) {
        const char *name = verify_service(service);
        char *given_up = mem_format("given_up_%s", name);
        char *heard = mem_format("%s_heard", name);
        char *mask = mem_format("heard_%s", name);
        put_column(&sql, given_up, NULL, "given_up", service);
        for (size_t topic = 0; topic < VERIFY_TOPICS; topic++) {
            if ((verify_topics_heard(service) & 1U << topic) != 0) {
                put_column(&sql, heard, verify_topic(topic), mask, topic);
            }
        }
        free(mask);
        free(heard);
        free(given_up);
    }
    buf_put_text(&sql, ") WITHOUT ROWID");
    buf_put_u8(&sql, 0);
    return (char *)sql.data;
}

static int64_t bit_of(const char *topic)
{
    return INT64_C(1) << verify_topic_find(bytes_of_text(topic));
}

enum err verify_story_build(struct verify_db *db, const char *looked_at, bool is_whole)
{
    char *sql = create_sql();
    enum err err = verify_db_run(db, sql);
    free(sql);
    if (err != ERR_OK) {
        return err;
    }
    struct verify_row *row = verify_db_query(db, fill_sql);
    if (row == NULL) {
        return ERR_IO;
    }
    verify_row_bind_int(row, is_whole);
    verify_row_bind_int(row, bit_of("order-created") | bit_of("transfer-created"));
    verify_row_bind_text(row, looked_at);
    err = verify_row_next(row);
    verify_row_done(&row);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
