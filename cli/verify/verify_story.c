#include "cli/verify/verify_story.h"

#include <stdlib.h>
#include <string.h>

#include "cli/verify/verify_house.h"
#include "common/bytes.h"
#include "common/mem.h"

// The columns that are stored. Those behind them are computed when they are asked for.
static const char stored[] =
    "CREATE TABLE story (subject TEXT,"
    " said INTEGER, before INTEGER, sent INTEGER, sent_before INTEGER, given_up INTEGER,"
    " posted INTEGER, posted_minor INTEGER, reversed INTEGER, moved INTEGER,"
    " told_received INTEGER, told_good INTEGER, told_bad INTEGER,"
    " is_early INTEGER, said_minor INTEGER, said_currency TEXT,"
    " heard_order INTEGER, heard_payment INTEGER, heard_inventory INTEGER,"
    " heard_notification INTEGER, heard_fraud INTEGER, heard_ledger INTEGER,"
    " heard_transfer INTEGER,"
    " kind TEXT, is_whole INTEGER,"
    " status TEXT, state TEXT, reason TEXT, amount INTEGER, currency TEXT, created_event TEXT,"
    " ended_event TEXT, ended_at TEXT, fraud_says INTEGER,"
    " inventory_says INTEGER, payment_says INTEGER, goods TEXT,"
    " payment TEXT, paid INTEGER, paid_currency TEXT, decision TEXT,"
    " books INTEGER, booked INTEGER, booked_currency TEXT,"
    " told AS (told_received + told_good + told_bad),"
    " end_is_dropped AS (NOT is_whole AND (status = 'confirmed' AND NOT said_order_confirmed"
    "  OR status = 'completed' AND NOT said_transfer_completed"
    "  OR status = 'cancelled' AND NOT said_order_cancelled AND NOT said_transfer_cancelled))";

// Run once for each subject, with the parameters of verify_subjects_each. An effect can
// be newer than the snapshot of the order it belongs to, when the order is.
static const char fill_sql[] =
    "INSERT INTO story"
    " SELECT s.*,"
    "  CASE WHEN o.mode = 'sync' THEN 'chain' WHEN o.order_id IS NOT NULL THEN 'order'"
    "   WHEN t.id IS NOT NULL THEN 'transfer' END,"
    "  l.first_offset = 0 OR (?2 & l.beginnings) <> 0 OR coalesce(o.mode = 'sync', 0),"
    "  coalesce(o.status, CASE WHEN t.state IN ('created', 'cleared', 'held') THEN 'pending'"
    "   ELSE t.state END),"
    "  t.state, coalesce(o.reason, t.reason), coalesce(o.amount_minor, t.amount_minor),"
    "  coalesce(o.currency, t.currency), o.created_event, o.ended_event, o.ended_at,"
    "  o.fraud, o.inventory, o.payment, r.status, p.status, p.amount_minor, p.currency,"
    "  d.reason, c.state, c.amount_minor, c.currency"
    " FROM (SELECT ?1 AS subject, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
    "   ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23) s"
    " JOIN look l"
    " LEFT JOIN orders o ON o.order_id = ?1"
    " LEFT JOIN transfers t ON t.id = ?1"
    " LEFT JOIN reservations r ON r.order_id = ?1"
    " LEFT JOIN payments p ON p.order_id = ?1"
    " LEFT JOIN decisions d ON d.subject = ?1"
    " LEFT JOIN cases c ON c.subject = ?1"
    "  AND c.kind = iif(t.id IS NOT NULL OR (?2 & l.bank) <> 0, 'transfer', 'payment')";

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
    buf_put_text(&sql, ")");
    buf_put_u8(&sql, 0);
    return (char *)sql.data;
}

enum err verify_story_build(struct verify_db *db, const struct verify_subjects *subjects)
{
    char *sql = create_sql();
    enum err err = verify_db_run(db, sql);
    free(sql);
    struct verify_row *row = err == ERR_OK ? verify_db_query(db, fill_sql) : NULL;
    if (row == NULL) {
        return ERR_IO;
    }
    err = verify_subjects_each(subjects, row);
    verify_row_done(&row);
    return err == ERR_OK ? verify_db_run(db, "CREATE INDEX story_of ON story (subject)") : err;
}
