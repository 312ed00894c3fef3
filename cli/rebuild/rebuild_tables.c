#include "cli/rebuild/rebuild_tables.h"

#include <string.h>

#include "common/mem.h"

// No event of this subject ever went to the service.
#define UNHEARD(column) column " NOT IN (SELECT key FROM plan.deliveries)"

// When something was done: an output has that time, and gives it back.
#define TIME_OF_HANDLING                                                                           \
    "the time of handling: of what emitted no event, the time when its cause was stored"
#define ORDER_OF_HANDLING "counts in the order of handling"

static const struct rebuild_table payment_tables[] = {
    {.name = "payments",
     .from = "$.payments t",
     .key = "t.order_id",
     .columns = {{.name = "payment_id"},
                 {.name = "status"},
                 {.name = "reason"},
                 {.name = "amount_minor"},
                 {.name = "currency"},
                 {.name = "updated_at", .may_differ = TIME_OF_HANDLING}},
     .carry = "INSERT OR IGNORE INTO main.payments SELECT * FROM living.payments"
              " WHERE " UNHEARD("order_id"),
     .from_http = "payments of orders placed with ?mode=sync (POST /charges, POST /refunds)"},
};

// The identity of inventory.h gives the stock back from the reservations.
static const struct rebuild_table inventory_tables[] = {
    {.name = "reservations",
     .from = "$.reservations t",
     .key = "t.order_id",
     .columns = {{.name = "status"},
                 {.name = "items"},
                 {.name = "updated_at", .may_differ = TIME_OF_HANDLING}},
     .carry = "INSERT OR IGNORE INTO main.reservations SELECT * FROM living.reservations"
              " WHERE " UNHEARD("order_id"),
     .from_http = "reservations of orders placed with ?mode=sync (POST, DELETE /reservations)"},
    {.name = "stock",
     .from = "$.stock t",
     .key = "t.sku",
     .columns = {{.name = "initial"},
                 {.name = "restocked"},
                 {.name = "available"},
                 {.name = "reserved"},
                 {.name = "sold"}},
     .carry =
         "WITH goods AS (SELECT json_extract(i.value, '$.sku') AS sku, r.status AS status,"
         "  sum(json_extract(i.value, '$.quantity')) AS quantity"
         "  FROM main.reservations r, json_each(r.items) i GROUP BY 1, 2),"
         " counts AS (SELECT s.sku AS sku, max(s.restocked, l.restocked) AS restocked,"
         "  (SELECT quantity FROM goods WHERE sku = s.sku AND status = 'reserved') AS reserved,"
         "  (SELECT quantity FROM goods WHERE sku = s.sku AND status = 'sold') AS sold"
         "  FROM main.stock s JOIN living.stock l ON l.sku = s.sku)"
         " UPDATE main.stock AS s SET restocked = c.restocked, reserved = coalesce(c.reserved, 0),"
         "  sold = coalesce(c.sold, 0), available = s.initial + c.restocked"
         "  - coalesce(c.reserved, 0) - coalesce(c.sold, 0)"
         " FROM counts c WHERE c.sku = s.sku AND (s.restocked, s.sold) IS NOT"
         "  (c.restocked, coalesce(c.sold, 0))",
     .from_http = "products that were restocked (POST /stock/{sku}/restock), or sold to such "
                  "orders"},
};

static const struct rebuild_table ledger_tables[] = {
    {.name = "cases",
     .from = "$.cases t",
     .key = "t.kind || ' ' || t.subject",
     .columns = {{.name = "state"},
                 {.name = "from_account"},
                 {.name = "to_account"},
                 {.name = "amount_minor"},
                 {.name = "currency"},
                 {.name = "entry_id"}},
     .carry = "INSERT OR IGNORE INTO main.cases SELECT * FROM living.cases"
              " WHERE " UNHEARD("subject"),
     .from_http = "payments of orders placed with ?mode=sync (POST /postings, POST /reversals)"},
    {.name = "entries",
     .from = "$.entries t",
     .key = "t.id",
     .columns = {{.name = "subject"},
                 {.name = "kind"},
                 {.name = "number", .may_differ = ORDER_OF_HANDLING},
                 {.name = "posted_at",
                  .may_differ = TIME_OF_HANDLING "; of the opening entries, of the first start"}},
     .carry = "INSERT OR IGNORE INTO main.entries (id, subject, kind, posted_at)"
              " SELECT id, subject, kind, posted_at FROM living.entries"
              " WHERE kind <> 'opening' AND " UNHEARD("subject") " ORDER BY number",
     .from_http = "postings and reversals of such orders"},
    {.name = "lines",
     .from = "$.lines t LEFT JOIN $.entries e ON e.number = t.entry",
     .key = "coalesce(e.id, 'of no entry: ' || t.entry) || ' ' || t.line",
     .columns = {{.name = "account_id"},
                 {.name = "amount_minor"},
                 {.name = "currency"},
                 {.name = "entry", .may_differ = "the number of the entry"}},
     .carry = "INSERT OR IGNORE INTO main.lines (entry, line, account_id, amount_minor, currency)"
              " SELECT m.number, l.line, l.account_id, l.amount_minor, l.currency"
              " FROM living.entries e JOIN living.lines l ON l.entry = e.number"
              " JOIN main.entries m ON m.id = e.id"
              " WHERE e.kind <> 'opening' AND " UNHEARD("e.subject"),
     .from_http = "their lines"},
    {.name = "accounts",
     .from = "$.accounts t",
     .key = "t.id",
     .columns = {{.name = "kind"},
                 {.name = "currency"},
                 {.name = "balance_minor"},
                 {.name = "held_minor"}},
     .carry = "WITH sums AS (SELECT account_id, sum(amount_minor) AS balance FROM main.lines"
              "  GROUP BY account_id)"
              " UPDATE main.accounts AS a SET balance_minor = s.balance FROM sums s"
              " WHERE s.account_id = a.id AND s.balance <> a.balance_minor",
     .from_http = "accounts that these postings moved"},
};

static const struct rebuild_table notification_tables[] = {
    {.name = "notifications",
     .from = "$.notifications t",
     .key = "t.subject || ' ' || t.template",
     .columns = {{.name = "id"},
                 {.name = "recipient"},
                 {.name = "text"},
                 {.name = "is_end"},
                 {.name = "number", .may_differ = ORDER_OF_HANDLING},
                 {.name = "sent_at", .may_differ = TIME_OF_HANDLING}},
     .carry = "INSERT OR IGNORE INTO main.notifications"
              " (id, subject, template, recipient, text, sent_at, is_end)"
              " SELECT id, subject, template, recipient, text, sent_at, is_end"
              " FROM living.notifications WHERE " UNHEARD("subject") " ORDER BY number",
     .from_http = "what was said of orders placed with ?mode=sync (POST /messages)"},
};

static const struct rebuild_table fraud_tables[] = {
    {.name = "decisions",
     .from = "$.decisions t",
     .key = "t.subject",
     .columns = {{.name = "customer_id"},
                 {.name = "time_us"},
                 {.name = "reason"},
                 {.name = "decided_at", .may_differ = TIME_OF_HANDLING}},
     .carry = "INSERT OR IGNORE INTO main.decisions SELECT * FROM living.decisions"
              " WHERE " UNHEARD("subject"),
     .from_http = "decisions about orders placed with ?mode=sync (POST /screenings)"},
};

const struct rebuild_table rebuild_common_tables[] = {
    {.name = "inbox",
     .from = "$.inbox t",
     .key = "t.handler || ' ' || t.id",
     .columns = {{.name = "request_hash"},
                 {.name = "status"},
                 {.name = "answer"},
                 {.name = "location"},
                 {.name = "member"},
                 {.name = "number", .may_differ = ORDER_OF_HANDLING},
                 {.name = "at", .may_differ = TIME_OF_HANDLING}},
     .carry = "INSERT OR IGNORE INTO main.inbox"
              " (handler, id, at, member, request_hash, status, answer, location)"
              " SELECT handler, id, at, member, request_hash, status, answer, location"
              " FROM living.inbox WHERE request_hash IS NOT NULL",
     .from_http = "requests with an Idempotency-Key, and their answers"},
    {.name = "outbox",
     .from = "(SELECT * FROM $.outbox WHERE id NOT IN (SELECT id FROM plan.outputs)) t",
     .key = "t.topic || ' ' || t.key",
     .columns = {{.name = "id"},
                 {.name = "seq", .may_differ = ORDER_OF_HANDLING},
                 {.name = "at_ms", .may_differ = TIME_OF_HANDLING},
                 {.name = "refused",
                  .may_differ = "what the broker refused is offered to it again"},
                 {.name = "body", .may_differ = "its time and its trace"}}},
};
const size_t rebuild_common_tables_count = ARRAY_LEN(rebuild_common_tables);

static const struct rebuild_service services[] = {
    {.name = "payment", .tables = payment_tables, .tables_count = ARRAY_LEN(payment_tables)},
    {.name = "inventory", .tables = inventory_tables, .tables_count = ARRAY_LEN(inventory_tables)},
    {.name = "notification",
     .tables = notification_tables,
     .tables_count = ARRAY_LEN(notification_tables)},
    {.name = "fraud", .tables = fraud_tables, .tables_count = ARRAY_LEN(fraud_tables)},
    {.name = "ledger", .tables = ledger_tables, .tables_count = ARRAY_LEN(ledger_tables)},
    {.name = "order",
     .cannot = "an order is born by POST /orders, not by an event that order hears: a replay "
               "finds no order that the answers belong to, and those placed with ?mode=sync "
               "never came to the log"},
    {.name = "transfer",
     .cannot = "a transfer is born by POST /transfers, not by an event that transfer hears: a "
               "replay finds no transfer that the answers belong to"},
    {.name = "broker",
     .cannot = "the broker's log is what the others are rebuilt from: keep a copy of its folder"},
};

const struct rebuild_service *rebuild_service_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        if (strcmp(services[i].name, name) == 0) {
            return &services[i];
        }
    }
    return NULL;
}
