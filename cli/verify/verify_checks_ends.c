// Orders and transfers reach one end, for its reasons, and it is carried out.
#include "cli/verify/verify_checks.h"
#include "common/mem.h"

const struct verify_check verify_checks_ends[] = {
    {
        .name = "one-end-each",
        .sentence =
            "each order and transfer has one end at most, the same in the log and in its row",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN said_order_confirmed AND said_order_cancelled"
               "   THEN 'has two ends: order-confirmed and order-cancelled'"
               "  WHEN said_transfer_completed AND said_transfer_cancelled"
               "   THEN 'has two ends: transfer-completed and transfer-cancelled'"
               "  WHEN was_order_confirmed AND status <> 'confirmed'"
               "   OR was_transfer_completed AND status <> 'completed'"
               "   THEN 'its end in the log is good, and here it is ' || status"
               "  WHEN (was_order_cancelled OR was_transfer_cancelled) AND status <> 'cancelled'"
               "   THEN 'its end in the log is cancelled, and here it is ' || status"
               "  WHEN status = 'confirmed' AND said_order_cancelled"
               "   OR status = 'completed' AND said_transfer_cancelled"
               "   OR status = 'cancelled' AND (said_order_confirmed OR said_transfer_completed)"
               "   THEN 'is ' || status || ' here, and its event tells another end' END AS detail"
               " FROM story WHERE kind IN ('order', 'transfer') AND detail IS NOT NULL",
    },
    {
        .name = "pending-has-a-reason",
        .sentence = "what has no end yet waits for something",
        .noun = VERIFY_SUBJECTS,
        .sql =
            "SELECT subject, 'is pending, and nothing that would end it is on its way' FROM story"
            " WHERE status = 'pending' AND kind IN ('order', 'transfer')"
            "  AND (is_whole OR given_up = 0)" // the event of a dead letter may be dropped
            "  AND NOT EXISTS (SELECT 1 FROM missing m WHERE m.subject = story.subject"
            "   AND m.grp IN ('fraud', iif(kind = 'order', 'order', 'transfer'),"
            "    iif(kind = 'order', 'inventory', 'ledger'),"
            "    iif(kind = 'order', 'payment', 'ledger')))"
            "  AND NOT EXISTS (SELECT 1 FROM waiting w WHERE w.subject = story.subject)",
    },
    {
        .name = "ends-have-their-answers",
        .sentence =
            "a good end has all its good answers, a bad one a bad answer, and each was given",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN kind = 'order' AND status = 'confirmed'"
               "   AND (fraud_says <> 1 OR inventory_says <> 1 OR payment_says <> 1)"
               "   THEN 'is confirmed without a good answer of ' || CASE WHEN fraud_says <> 1"
               "    THEN 'fraud' WHEN inventory_says <> 1 THEN 'inventory' ELSE 'payment' END"
               "  WHEN kind = 'order' AND status = 'cancelled'"
               "   AND fraud_says <> 2 AND inventory_says <> 2 AND payment_says <> 2"
               "   THEN 'is cancelled, and nobody gave a bad answer'"
               "  WHEN kind = 'order' AND status = 'pending'"
               "   AND (fraud_says = 2 OR inventory_says = 2 OR payment_says = 2"
               "    OR fraud_says = 1 AND inventory_says = 1 AND payment_says = 1)"
               "   THEN 'is pending with answers that end it'"
               "  WHEN NOT is_whole THEN NULL"
               "  WHEN kind = 'order' AND (fraud_says = 1 AND NOT said_fraud_cleared"
               "    OR fraud_says = 2 AND NOT said_fraud_flagged)"
               "   THEN 'notes an answer that fraud has not given'"
               "  WHEN kind = 'order' AND (inventory_says = 1 AND NOT said_inventory_reserved"
               "    OR inventory_says = 2 AND NOT said_inventory_rejected)"
               "   THEN 'notes an answer that inventory has not given'"
               "  WHEN kind = 'order' AND (payment_says = 1 AND NOT said_payment_authorized"
               "    OR payment_says = 2 AND NOT said_payment_declined)"
               "   THEN 'notes an answer that payment has not given'"
               "  WHEN kind = 'transfer' AND status = 'completed'"
               "   AND NOT (said_fraud_cleared AND said_funds_held)"
               "   THEN 'is completed without a good answer of ' ||"
               "    iif(said_fraud_cleared, 'the ledger', 'fraud')"
               "  WHEN kind = 'transfer' AND status = 'cancelled'"
               "   AND NOT (said_fraud_flagged OR said_funds_rejected)"
               "   THEN 'is cancelled, and nobody gave a bad answer' END AS detail"
               " FROM story WHERE kind IN ('order', 'transfer') AND detail IS NOT NULL",
    },
    {
        .name = "events-have-their-effect",
        .sentence = "what a service has handled or said is in its database",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN decision IS NULL AND (fraud_heard_order_created"
               "    OR fraud_heard_transfer_created OR was_fraud_cleared OR was_fraud_flagged)"
               "   THEN 'fraud has no decision about it'"
               "  WHEN goods IS NULL AND (inventory_heard_order_created"
               "    OR inventory_heard_order_confirmed OR inventory_heard_order_cancelled"
               "    OR was_inventory_reserved OR was_inventory_rejected)"
               "   THEN 'inventory has no reservation of it'"
               "  WHEN payment IS NULL AND (payment_heard_order_created"
               "    OR payment_heard_order_confirmed OR payment_heard_order_cancelled"
               "    OR was_payment_authorized OR was_payment_declined)"
               "   THEN 'payment has no payment of it'"
               "  WHEN books IS NULL AND (ledger_heard_payment_completed"
               "    OR ledger_heard_transfer_created OR ledger_heard_transfer_completed"
               "    OR ledger_heard_transfer_cancelled OR was_ledger_posted OR was_funds_held"
               "    OR was_funds_rejected)"
               "   THEN 'the ledger knows nothing of it'"
               "  WHEN kind = 'order' AND status = 'pending'"
               "   AND (order_heard_fraud_cleared AND fraud_says <> 1"
               "    OR order_heard_fraud_flagged AND fraud_says <> 2"
               "    OR order_heard_inventory_reserved AND inventory_says <> 1"
               "    OR order_heard_inventory_rejected AND inventory_says <> 2"
               "    OR order_heard_payment_authorized AND payment_says <> 1"
               "    OR order_heard_payment_declined AND payment_says <> 2)"
               "   THEN 'order has handled an answer, and does not have it'"
               "  WHEN was_fraud_cleared AND decision <> '' OR was_fraud_flagged AND decision = ''"
               "   THEN 'fraud decided other than it said'"
               "  WHEN was_inventory_reserved AND goods = 'rejected'"
               "    OR was_inventory_rejected AND goods <> 'rejected'"
               "   THEN 'the goods are ' || goods || ' at inventory, which said otherwise'"
               "  WHEN was_payment_authorized AND payment = 'declined'"
               "    OR was_payment_declined AND payment <> 'declined'"
               "   THEN 'the payment is ' || payment || ' at payment, which said otherwise'"
               "  WHEN kind = 'transfer' AND (was_funds_held AND books = 4"
               "    OR was_funds_rejected AND books <> 4)"
               "   THEN 'the ledger held or rejected the money other than it said' END AS detail"
               " FROM story WHERE kind IS NOT 'chain' AND detail IS NOT NULL",
    },
    {
        .name = "captured-means-confirmed",
        .sentence = "no payment is captured and nothing is sold without a confirmation",
        .noun = VERIFY_ORDERS,
        .sql = "SELECT subject, CASE"
               "  WHEN said_order_confirmed OR NOT is_whole AND status = 'confirmed' THEN NULL"
               "  WHEN payment IN ('captured', 'refunded')"
               "   THEN 'the payment is ' || payment || ', and the order was never confirmed'"
               "  WHEN goods = 'sold'"
               "   THEN 'the goods are sold, and the order was never confirmed' END AS detail"
               " FROM story WHERE kind = 'order' AND detail IS NOT NULL",
    },
    {
        .name = "cancelled-holds-nothing",
        .sentence = "what is cancelled holds no goods and no money",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN inventory_heard_order_cancelled AND goods = 'reserved'"
               "   THEN 'inventory has handled the cancellation, and the goods are still reserved'"
               "  WHEN payment_heard_order_cancelled AND payment = 'authorized'"
               "   THEN 'payment has handled the cancellation, and it is still authorized'"
               "  WHEN ledger_heard_transfer_cancelled AND books = 3"
               "   THEN 'the ledger has handled the cancellation, and the money is still held'"
               "  WHEN ledger_heard_transfer_cancelled AND (books = 1 OR moved > 0)"
               "   THEN 'the transfer is cancelled, and the ledger has moved the money'"
               "  WHEN NOT end_is_dropped OR status <> 'cancelled' THEN NULL"
               "  WHEN goods = 'reserved' AND NOT given_up_inventory"
               "   THEN 'it is cancelled, and its goods are still reserved'"
               "  WHEN payment = 'authorized' AND NOT given_up_payment"
               "   THEN 'it is cancelled, and its payment is still authorized'"
               "  WHEN kind = 'transfer' AND (books IN (1, 3) OR moved > 0) AND NOT given_up_ledger"
               "   THEN 'it is cancelled, and the ledger holds or has moved its money' END"
               "  AS detail"
               " FROM story WHERE kind IN ('order', 'transfer') AND detail IS NOT NULL",
    },
    {
        .name = "good-ends-are-carried-out",
        .sentence = "what is confirmed is paid and sold, what is completed is booked",
        .noun = VERIFY_SUBJECTS,
        .sql = "SELECT subject, CASE"
               "  WHEN inventory_heard_order_confirmed AND goods <> 'sold'"
               "   THEN 'inventory has handled the confirmation, and the goods are ' || goods"
               "  WHEN payment_heard_order_confirmed AND payment NOT IN ('captured', 'refunded')"
               "   THEN 'payment has handled the confirmation, and it is ' || payment"
               "  WHEN ledger_heard_transfer_completed AND books <> 1"
               "   THEN 'the ledger has handled the completion, and has not booked it'"
               "  WHEN NOT is_whole AND payment = 'captured' AND NOT said_payment_completed"
               "    AND posted = 0 AND NOT given_up_ledger"
               "   THEN 'its payment is captured, and the ledger has not booked it'"
               "  WHEN NOT end_is_dropped THEN NULL"
               "  WHEN status = 'confirmed' AND goods IS NOT 'sold' AND NOT given_up_inventory"
               "   THEN 'it is confirmed, and its goods are ' || coalesce(goods, 'not there')"
               "  WHEN status = 'confirmed'"
               "    AND coalesce(payment, '') NOT IN ('captured', 'refunded')"
               "    AND NOT given_up_payment"
               "   THEN 'it is confirmed, and its payment is ' || coalesce(payment, 'not there')"
               "  WHEN status = 'completed' AND books IS NOT 1 AND NOT given_up_ledger"
               "   THEN 'it is completed, and the ledger has not booked it' END"
               "  AS detail"
               " FROM story WHERE kind IN ('order', 'transfer') AND detail IS NOT NULL",
    },
    {
        .name = "moves-are-allowed",
        .sentence = "every history makes only moves that are allowed",
        .noun = VERIFY_SUBJECTS,
        .sql =
            "SELECT subject, CASE"
            "  WHEN kind <> 'transfer' AND status NOT IN ('pending', 'confirmed', 'cancelled')"
            "   THEN 'has the status ' || status || ', which there is not'"
            "  WHEN kind = 'transfer' AND state NOT IN ('created', 'cleared', 'held',"
            "   'completed', 'cancelled') THEN 'has the state ' || state || ', which there is not'"
            "  WHEN kind <> 'transfer' AND (status = 'pending') <> (ended_at IS NULL)"
            "   THEN 'is ' || status || ', and its history says otherwise'"
            "  WHEN kind = 'order' AND (ended_event IS NULL) <> (ended_at IS NULL)"
            "   THEN 'has ended without an event, or not and with one'"
            "  WHEN kind = 'chain' AND (created_event IS NOT NULL OR ended_event IS NOT NULL"
            "    OR said_order_created OR said_order_confirmed OR said_order_cancelled)"
            "   THEN 'is an order over HTTP, and events tell of it'"
            "  WHEN goods NOT IN ('reserved', 'rejected', 'sold', 'released')"
            "   THEN 'its reservation is ' || goods || ', which there is not'"
            "  WHEN payment NOT IN ('authorized', 'declined', 'captured', 'voided', 'refunded')"
            "   THEN 'its payment is ' || payment || ', which there is not'"
            "  WHEN kind = 'transfer' AND books NOT IN (1, 3, 4, 5, 6)"
            "    OR kind <> 'transfer' AND books NOT IN (1, 2, 6)"
            "   THEN 'the ledger has it in state ' || books || ', which there is not' END"
            "  AS detail"
            " FROM story WHERE kind IS NOT NULL AND detail IS NOT NULL"
            " UNION ALL SELECT order_id, 'its mode is ' || mode || ', which there is not'"
            "  FROM orders WHERE mode NOT IN ('async', 'sync')"
            " UNION ALL SELECT subject, 'its history is ' || coalesce(moves, 'empty') ||"
            "  ', and it is ' || status"
            " FROM story LEFT JOIN (SELECT transfer_id, group_concat(status, ', ') AS moves,"
            "   min(step) AS first, max(step) AS last, count(*) AS steps"
            "  FROM (SELECT * FROM steps ORDER BY transfer_id, step) GROUP BY transfer_id)"
            "  ON transfer_id = subject"
            " WHERE kind = 'transfer' AND (moves IS NULL OR first <> 1 OR last <> steps"
            "  OR moves <> iif(status = 'pending', 'pending', 'pending, ' || status))",
    },
    {
        .name = "nothing-for-nobody",
        .sentence = "nothing is reserved, authorized, held or moved for what is not there",
        .noun = VERIFY_SUBJECTS,
        // What comes of an event has it in the log, or in the snapshot of an outbox.
        .sql = "SELECT subject, CASE WHEN goods = 'reserved' THEN 'goods are reserved for it'"
               "  WHEN payment = 'authorized' THEN 'a payment is authorized for it'"
               "  WHEN moved > 0 THEN 'the ledger has moved money for it' END"
               "  || ', and there is no such order or transfer' AS detail"
               " FROM story WHERE kind IS NULL AND said = 0 AND detail IS NOT NULL"
               " UNION ALL SELECT c.subject, 'the ledger has ' || c.amount_minor || ' of ' ||"
               "   c.from_account || ' held for it, and there is no such transfer'"
               "  FROM cases c JOIN story s ON s.subject = c.subject"
               "  WHERE c.kind = 'transfer' AND c.state = 3 AND s.kind IS NULL AND s.said = 0",
    },
    {
        .name = "one-notification-per-thing",
        .sentence = "everybody was told each thing once, and nothing that did not happen",
        .noun = VERIFY_MESSAGES,
        .sql =
            "SELECT subject, template || ' was sent ' || count(*) || ' times' FROM notifications"
            " GROUP BY subject, template HAVING count(*) > 1"
            " UNION ALL SELECT subject, detail FROM (SELECT subject, CASE"
            "  WHEN (notification_heard_order_confirmed OR notification_heard_transfer_completed)"
            "   AND told_good = 0"
            "   THEN 'notification has handled its good end, and told nobody'"
            "  WHEN (notification_heard_order_cancelled OR notification_heard_transfer_cancelled)"
            "   AND told_bad = 0"
            "   THEN 'notification has handled its cancellation, and told nobody'"
            "  WHEN (notification_heard_order_created OR notification_heard_transfer_created)"
            "   AND told_received = 0 AND NOT given_up_notification"
            "   THEN 'notification has handled its beginning, and told nobody'"
            "  WHEN NOT is_whole THEN NULL"
            "  WHEN told_good > 0 AND NOT (said_order_confirmed OR said_transfer_completed)"
            "   THEN 'somebody was told of a good end that it does not have'"
            "  WHEN told_bad > 0 AND NOT (said_order_cancelled OR said_transfer_cancelled)"
            "   THEN 'somebody was told of a cancellation that was none'"
            "  WHEN sent_before > told THEN 'notification-sent is in the log ' ||"
            "   sent_before || ' times, and ' || told || ' messages were sent' END"
            "  AS detail"
            " FROM story WHERE kind IN ('order', 'transfer') AND detail IS NOT NULL)"
            " UNION ALL SELECT subject, 'somebody was told ' || template || ', which there is not'"
            "  FROM notifications WHERE template NOT IN ('order-received', 'order-confirmed',"
            "   'order-cancelled', 'transfer-received', 'transfer-completed', 'transfer-cancelled')"
            " UNION ALL SELECT subject, template || ' went to ' || recipient || ', and the order is"
            " of ' || customer_id"
            "  FROM notifications JOIN orders ON order_id = subject WHERE recipient <> customer_id"
            " UNION ALL SELECT subject, template || ' went to ' || recipient || ', and the transfer"
            " is of ' || from_account"
            "  FROM notifications JOIN transfers t ON t.id = subject WHERE recipient <> "
            "from_account",
    },
};

const size_t verify_checks_ends_count = ARRAY_LEN(verify_checks_ends);
