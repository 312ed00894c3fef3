// What orders over HTTP leave behind when parts of their chain die. Nothing promises more,
// so these are findings about that path, no violations.
#include "cli/verify/verify_checks.h"
#include "common/mem.h"

// An order that failed. One that is pending while nobody runs any more was cut in the
// middle; its service will say so when it starts.
#define FAILED                                                                                     \
    "kind = 'chain' AND (status = 'cancelled'"                                                     \
    "  OR status = 'pending' AND NOT (SELECT is_running FROM look))"

const struct verify_check verify_checks_chain[] = {
    {
        .name = "charged-but-failed",
        .sentence = "the order failed, and its money was taken and not given back",
        .noun = VERIFY_CHAIN,
        .sql = "SELECT subject, 'is ' || status || ' (' || coalesce(reason, 'no reason') || '),"
               " and ' || iif(payment = 'captured', 'the payment is captured',"
               "  'the ledger has booked a payment') FROM story"
               " WHERE " FAILED " AND (payment = 'captured' OR posted > reversed)",
    },
    {
        .name = "reserved-but-failed",
        .sentence = "the order failed, and its goods were taken and not put back",
        .noun = VERIFY_CHAIN,
        .sql = "SELECT subject, 'is ' || status || ' (' || coalesce(reason, 'no reason') || '),"
               " and its goods are ' || goods FROM story"
               " WHERE " FAILED " AND goods IN ('reserved', 'sold')",
    },
    {
        .name = "told-but-failed",
        .sentence = "the order failed, and its customer was told that it is confirmed",
        .noun = VERIFY_CHAIN,
        .sql = "SELECT subject, 'is ' || status || ' (' || coalesce(reason, 'no reason') || '),"
               " and order-confirmed was sent' FROM story WHERE " FAILED " AND told_good > 0",
    },
    {
        .name = "confirmed-in-part",
        .sentence = "the order is confirmed, and a part of it is missing",
        .noun = VERIFY_CHAIN,
        .sql = "SELECT subject, 'is confirmed, and ' || CASE"
               "  WHEN goods IS NOT 'sold' THEN 'its goods are ' || coalesce(goods, 'not there')"
               "  WHEN payment IS NOT 'captured' OR paid <> amount"
               "   THEN 'its payment is ' || coalesce(payment || ' with ' || paid, 'not there')"
               "  WHEN posted <> 1 OR reversed > 0 OR posted_minor <> amount"
               "   THEN 'the ledger has it ' || (posted - reversed) || ' times'"
               "  ELSE 'nobody was told' END FROM story"
               " WHERE kind = 'chain' AND status = 'confirmed' AND (goods IS NOT 'sold'"
               "  OR payment IS NOT 'captured' OR paid <> amount OR posted <> 1 OR reversed > 0"
               "  OR posted_minor <> amount OR told_good = 0)",
    },
    {
        .name = "interrupted",
        .sentence = "the chain was cut when the order service died",
        .noun = VERIFY_CHAIN,
        .sql = "SELECT subject, iif(status = 'pending', 'is pending, and its process is dead',"
               "  'is cancelled: interrupted') FROM story"
               " WHERE " FAILED " AND (status = 'pending' OR reason = 'interrupted')",
    },
    {
        .name = "of-no-order",
        .sentence = "something was done over HTTP for an order that is not there",
        .noun = VERIFY_CHAIN,
        .sql = "SELECT subject, CASE WHEN payment = 'captured' THEN 'a payment is captured'"
               "  WHEN posted > reversed THEN 'the ledger has booked a payment'"
               "  WHEN goods = 'sold' THEN 'goods are sold' ELSE 'somebody was told' END ||"
               "  ' for an order that is not there' FROM story"
               " WHERE kind IS NULL AND is_early AND said = 0"
               "  AND (payment = 'captured' OR posted > reversed OR goods = 'sold' OR told > 0)",
    },
    {
        .name = "unknown-after-a-timeout",
        .sentence = "the client got no answer in time and cannot know what became of the order",
        .noun = VERIFY_ACCEPTED,
        .sql = "SELECT a.id, 'the client was answered ' || a.status || ' at ' || a.at || '; ' ||"
               "  iif(a.id IS NULL, 'it never learned which order that is', 'the order is ' ||"
               "   coalesce(o.status, 'not there')) FROM accepted a"
               " LEFT JOIN orders o ON o.order_id = a.id"
               " WHERE a.mode = 'sync' AND a.status IN ('504', 'timeout', 'no-answer')",
    },
};

const size_t verify_checks_chain_count = ARRAY_LEN(verify_checks_chain);
