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
        .sentence = "each order and transfer that the log tells of is in its service's database",
        .noun = VERIFY_SUBJECTS,
        // What a stranger published, and nobody could make anything of, is in the dead letters.
        .sql = "SELECT subject, CASE"
               "  WHEN was_order_created"
               "   THEN 'order-created is in the log, and order has no such order'"
               "  WHEN was_transfer_created"
               "   THEN 'transfer-created is in the log, and transfer has no such transfer'"
               "  ELSE 'events in the log are about it, and neither order nor transfer has it' END"
               " FROM story WHERE kind IS NULL AND before <> 0 AND NOT (given_up <> 0"
               "  AND (heard_order | heard_payment | heard_inventory | heard_notification"
               "   | heard_fraud | heard_ledger | heard_transfer) = 0)",
    },
    {
        .name = "outbox-reaches-the-log",
        .sentence = "each event that a service committed is in the log, or in its outbox",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT n.subject, service || ' committed ' || topic || ', event ' ||"
               "  coalesce(id, '(none)') || iif(offset_of_event(id) IS NULL, ', which" LOST
               "  , ', which is another event')"
               " FROM (SELECT order_id AS subject, 'order' AS service, 'order-created' AS topic,"
               "   created_event AS id FROM orders WHERE mode <> 'sync'"
               "  UNION ALL SELECT order_id, 'order', 'order-' || status, ended_event"
               "   FROM orders WHERE mode <> 'sync' AND status <> 'pending'"
               "  UNION ALL SELECT transfer_id, 'transfer',"
               "   'transfer-' || iif(step = 1, 'created', status), event_id FROM steps) n"
               " JOIN story ON story.subject = n.subject"
               " WHERE is_whole AND NOT event_is(id, topic, n.subject)"
               "  AND NOT EXISTS (SELECT 1 FROM waiting w WHERE w.id = n.id AND w.topic = n.topic"
               "   AND w.subject = n.subject)"
               " UNION ALL SELECT subject, topic || ', event ' || id || ', waits in the outbox of '"
               "  || service || ', which has committed no such event'"
               " FROM waiting w WHERE service = 'order' AND NOT EXISTS (SELECT 1 FROM orders o"
               "   WHERE o.order_id = w.subject AND w.id IN (o.created_event, o.ended_event))"
               "  OR service = 'transfer' AND NOT EXISTS (SELECT 1 FROM steps s"
               "   WHERE s.transfer_id = w.subject AND s.event_id = w.id)"
               " UNION ALL SELECT subject, 'the broker refused ' || topic || ' of ' || service ||"
               "  ', which stays in the outbox: ' || refused"
               " FROM waiting WHERE refused IS NOT NULL",
    },
    {
        .name = "answers-reach-the-log",
        .sentence = "what a service has decided it has said, in the log or in its outbox",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN (fraud_heard_order_created OR fraud_heard_transfer_created)"
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
               " FROM story WHERE is_whole AND kind IS NOT 'chain' AND detail IS NOT NULL",
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
        .name = "events-are-what-they-say",
        .sentence = "each event says what its record says, and its cause stands before it",
        .noun = VERIFY_EVENTS,
        .sql = "SELECT subject, topic || ', event ' || id || ' at offset ' || at || ', ' || what"
               " FROM odd WHERE NOT EXISTS (SELECT 1 FROM letter WHERE event = odd.at)",
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
        .name = "dead-letters-are-listed",
        .sentence = "what a group has given up is a dead letter that can be given back to it",
        .noun = VERIFY_HANDLED,
        // The broker told how many it lists before the log was read. What lies behind the
        // floor may be handled yet.
        .sql = "SELECT iif(dead_letters = 0, subject, NULL), iif(dead_letters = 0,"
               "  'was given up by ' || name || ', and the broker lists no dead letter of it',"
               "  name || ' has given up ' || given_up || ' events, and the broker lists only ' ||"
               "  dead_letters || ' dead letters of it')"
               " FROM (SELECT grp, subject, count(*) OVER (PARTITION BY grp) AS given_up,"
               "   row_number() OVER (PARTITION BY grp ORDER BY at) AS nth"
               "  FROM missing WHERE class = 'dead' AND at < floor"
               "   AND letter < (SELECT next_offset FROM look))"
               " JOIN grp ON name = grp"
               " WHERE given_up > dead_letters AND (dead_letters = 0 OR nth = 1)",
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
