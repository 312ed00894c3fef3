// Nothing is lost on the way, and nothing goes that way twice.
#include "cli/verify/verify_checks.h"
#include "common/mem.h"

#define LOST " is neither in the log nor in the outbox'"

const struct verify_check verify_checks_delivery[] = {
    {
        .name = "accepted-are-there",
        .sentence = "what was accepted is there",
        .noun = VERIFY_ACCEPTED,
        .sql = "SELECT a.id, 'was answered ' || a.status || ' at ' || a.at || ', and ' || a.kind"
               "  || ' has no such ' || a.kind"
               " FROM accepted a"
               " LEFT JOIN orders o ON o.order_id = a.id AND a.kind = 'order'"
               " LEFT JOIN transfers t ON t.id = a.id AND a.kind = 'transfer'"
               " WHERE a.status IN ('201', '202') AND o.order_id IS NULL AND t.id IS NULL"
               " UNION ALL SELECT a.id, 'was answered 201, confirmed, and is ' || o.status"
               " FROM accepted a JOIN orders o ON o.order_id = a.id"
               " WHERE a.status = '201' AND o.status <> 'confirmed'",
    },
    {
        .name = "created-are-there",
        .sentence = "each order and transfer of the log is in its service's database",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN was_order_created THEN 'order-created is in the log, and order has no such"
               " order'"
               "  WHEN was_transfer_created THEN 'transfer-created is in the log, and transfer has"
               " no such transfer' END AS detail"
               " FROM story WHERE kind IS NULL AND detail IS NOT NULL",
    },
    {
        .name = "outbox-reaches-the-log",
        .sentence = "each event that a service committed is in the log, or in its outbox",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN kind = 'order' AND offset_of_event(created_event) IS NULL"
               "   AND created_event NOT IN (SELECT id FROM waiting)"
               "   THEN 'order committed order-created, event ' || created_event || ', which" LOST
               "  WHEN kind = 'order' AND ended_event IS NOT NULL"
               "   AND offset_of_event(ended_event) IS NULL"
               "   AND ended_event NOT IN (SELECT id FROM waiting)"
               "   THEN 'order committed its end, ' || status || ', event ' || ended_event || ', "
               "which" LOST "  WHEN (fraud_heard_order_created OR fraud_heard_transfer_created)"
               "   AND ((decision = '' AND NOT said_fraud_cleared)"
               "    OR (decision <> '' AND NOT said_fraud_flagged))"
               "   THEN 'fraud has decided, and its answer" LOST
               "  WHEN inventory_heard_order_created AND goods IN ('reserved', 'sold')"
               "   AND NOT said_inventory_reserved"
               "   THEN 'inventory has reserved the goods, and inventory-reserved" LOST
               "  WHEN inventory_heard_order_created AND goods = 'rejected'"
               "   AND NOT said_inventory_rejected"
               "   THEN 'inventory has rejected the order, and inventory-rejected" LOST
               "  WHEN goods = 'released' AND said_inventory_reserved <> said_inventory_released"
               "   THEN 'inventory has released the goods, and ' || iif(said_inventory_reserved,"
               "    'inventory-released', 'inventory-reserved') || '" LOST
               "  WHEN payment_heard_order_created AND payment IN ('authorized', 'captured')"
               "   AND NOT said_payment_authorized"
               "   THEN 'payment is ' || payment || ', and payment-authorized" LOST
               "  WHEN payment_heard_order_confirmed AND payment = 'captured'"
               "   AND NOT said_payment_completed"
               "   THEN 'payment is captured, and payment-completed" LOST
               "  WHEN payment_heard_order_created AND payment = 'declined'"
               "   AND NOT said_payment_declined"
               "   THEN 'payment is declined, and payment-declined" LOST
               "  WHEN kind = 'order' AND payment = 'voided'"
               "   AND said_payment_authorized <> said_payment_voided"
               "   THEN 'payment is voided, and ' || iif(said_payment_authorized,"
               "    'payment-voided', 'payment-authorized') || '" LOST
               "  WHEN ledger_heard_payment_completed AND books = 1 AND NOT said_ledger_posted"
               "   THEN 'the ledger has booked the payment, and ledger-posted" LOST
               "  WHEN kind = 'transfer' AND books IN (1, 3, 5) AND NOT said_funds_held"
               "   THEN 'the ledger has held the money, and funds-held" LOST
               "  WHEN kind = 'transfer' AND books = 1 AND NOT said_ledger_posted"
               "   THEN 'the ledger has moved the money, and ledger-posted" LOST
               "  WHEN kind = 'transfer' AND books = 4 AND NOT said_funds_rejected"
               "   THEN 'the ledger has rejected the transfer, and funds-rejected" LOST
               "  WHEN kind = 'transfer' AND books = 5 AND NOT said_funds_released"
               "   THEN 'the ledger has released the money, and funds-released" LOST
               "  WHEN kind IN ('order', 'transfer') AND sent < told"
               "   THEN 'notification has sent ' || told || ' messages, and only ' || sent ||"
               "    ' notification-sent are in the log or the outbox' END AS detail"
               " FROM story WHERE is_whole AND kind IS NOT 'chain' AND detail IS NOT NULL"
               " UNION ALL SELECT s.transfer_id, 'transfer committed its step ' || s.status ||"
               "  ', event ' || s.event_id || ', which" LOST
               " FROM steps s JOIN story ON subject = s.transfer_id"
               " WHERE is_whole AND offset_of_event(s.event_id) IS NULL"
               "  AND s.event_id NOT IN (SELECT id FROM waiting)"
               " UNION ALL SELECT subject, 'the broker refused ' || topic || ' of ' || service ||"
               "  ', which stays in the outbox: ' || refused"
               " FROM waiting WHERE refused IS NOT NULL",
    },
    {
        .name = "log-holds-each-event-once",
        .sentence = "no event is in the log twice",
        .noun = VERIFY_EVENTS,
        // Further apart than that the broker does not promise to know it again.
        .sql = "SELECT subject, topic || ', event ' || id || ', is at offset ' || first ||"
               "  ' and again at ' || at"
               " FROM twice WHERE at - first <= 1048576"
               " UNION ALL SELECT subject, topic || ' was said before, and again at offset ' ||"
               "  at || ' as event ' || id FROM again",
    },
    {
        .name = "log-has-what-was-handled",
        .sentence = "each event that was handled is in the log",
        .noun = VERIFY_HANDLED,
        .sql =
            "SELECT NULL, grp || ' has handled ' || topic || ', event ' || id ||"
            "  iif(known IS NULL, ', which is not in the log', ', which is ' || known || ' there')"
            " FROM stray WHERE known IS NOT NULL OR (SELECT first_offset FROM look) = 0",
    },
    {
        .name = "handled-once-by-each-group",
        .sentence =
            "each group has handled what it should, once; else it waits, or is a dead letter",
        .noun = VERIFY_HANDLED,
        .sql = "SELECT subject, grp || ' has not handled ' || topic || ', event ' || id ||"
               "  ' at offset ' || at || ', and goes on at ' || floor || ': lost, or passed over'"
               " FROM missing WHERE class = 'lost'"
               " UNION ALL SELECT subject, grp || ' has handled ' || topic || ', event ' || id ||"
               "  ', a second time' FROM repeated",
    },
    {
        .name = "in-log-order-per-key",
        .sentence = "of one subject each group has handled the events in the order of the log",
        .noun = VERIFY_HANDLED,
        .sql = "SELECT subject, grp || ' has handled ' || later || ' at offset ' || later_at ||"
               "  ' before ' || topic || ' at offset ' || at FROM disorder",
    },
};

const size_t verify_checks_delivery_count = ARRAY_LEN(verify_checks_delivery);
