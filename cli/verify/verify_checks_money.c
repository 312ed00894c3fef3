// Money neither appears nor vanishes.
#include "cli/verify/verify_checks.h"
#include "common/mem.h"

const struct verify_check verify_checks_money[] = {
    {
        .name = "postings-sum-to-zero",
        .sentence = "every entry sums to zero in each currency",
        .noun = VERIFY_ENTRIES,
        .sql = "SELECT e.subject, coalesce(e.kind || ' entry ' || e.id, 'entry number ' || l.entry"
               "   || ', which is not there,') || ' sums to ' || l.total || ' ' || l.currency"
               " FROM (SELECT entry, currency, sum(amount_minor) AS total FROM lines"
               "   GROUP BY entry, currency) l"
               " LEFT JOIN entries e ON e.number = l.entry WHERE l.total <> 0 OR e.id IS NULL"
               " UNION ALL SELECT subject, kind || ' entry ' || id || ' has no lines' FROM entries"
               "  WHERE NOT EXISTS (SELECT 1 FROM lines WHERE entry = number)",
    },
    {
        .name = "accounts-match-the-postings",
        .sentence = "each balance is the sum of its postings, what is held the sum of its holds",
        .noun = VERIFY_ACCOUNTS,
        .sql = "SELECT NULL, id || ' has a balance of ' || balance_minor || ', and its postings sum"
               " to ' || posted"
               " FROM (SELECT id, balance_minor, coalesce(total, 0) AS posted FROM accounts"
               "  LEFT JOIN (SELECT account_id, sum(amount_minor) AS total FROM lines"
               "   GROUP BY account_id) ON account_id = id) WHERE balance_minor <> posted"
               " UNION ALL SELECT NULL, id || ' has ' || held_minor || ' held, and its transfers"
               " hold ' || holds"
               " FROM (SELECT id, held_minor, (SELECT coalesce(sum(amount_minor), 0) FROM cases"
               "  WHERE kind = 'transfer' AND state = 3 AND from_account = accounts.id) AS holds"
               "  FROM accounts) WHERE held_minor <> holds",
    },
    {
        .name = "money-agrees",
        .sentence = "what is captured is what the order costs and what the ledger has booked, once",
        .noun = VERIFY_ORDERS,
        .sql = "SELECT subject, CASE"
               "  WHEN posted > 1 THEN 'the ledger has booked its payment ' || posted || ' times'"
               "  WHEN payment IN ('authorized', 'captured', 'refunded') AND paid <> amount"
               "   THEN 'it costs ' || amount || ', and the payment is ' || paid"
               "  WHEN posted = 1 AND posted_minor <> amount"
               "   THEN 'it costs ' || amount || ', and the ledger has booked ' || posted_minor"
               "  WHEN ledger_heard_payment_completed AND posted = 0 AND books IN (1, 2)"
               "   THEN 'the ledger has handled the payment, and has no entry of it'"
               "  WHEN posted = 1 AND NOT said_payment_completed"
               "   THEN 'the ledger has booked a payment that was never completed'"
               "  WHEN reversed > posted THEN 'the ledger has taken back what it had not booked'"
               "  WHEN payment = 'captured' AND reversed > 0"
               "   THEN 'the payment is captured, and the ledger has taken it back'"
               "  WHEN books IN (1, 2) AND booked <> posted_minor"
               "   THEN 'the ledger has noted ' || booked || ' and booked ' || posted_minor END"
               "  AS detail"
               " FROM story WHERE is_whole AND kind = 'order' AND detail IS NOT NULL",
    },
    {
        .name = "transfers-conserve",
        .sentence = "transfers move what they say, once, and the bank's customers have as much as"
                    " before",
        .noun = VERIFY_BANK,
        .sql =
            "SELECT subject, CASE"
            "  WHEN moved > 1 THEN 'its money was moved ' || moved || ' times'"
            "  WHEN books = 1 AND moved = 0 THEN 'the ledger notes it as booked, and has no entry'"
            "  WHEN moved > 0 AND books <> 1"
            "   THEN 'its money was moved, and the ledger does not note it as booked'"
            "  WHEN moved > 0 AND NOT said_transfer_completed"
            "   THEN 'its money was moved, and it was never completed'"
            "  WHEN books IN (1, 3, 5) AND booked <> amount"
            "   THEN 'it is about ' || amount || ', and the ledger has it as ' || booked END"
            "  AS detail"
            " FROM story WHERE is_whole AND kind = 'transfer' AND detail IS NOT NULL"
            " UNION ALL SELECT t.id, 'its entry does not move ' || t.amount_minor || ' from ' ||"
            "  t.from_account || ' to ' || t.to_account"
            " FROM transfers t JOIN entries e ON e.subject = t.id AND e.kind = 'transfer'"
            " WHERE (SELECT count(*) FROM lines l WHERE l.entry = e.number"
            "  AND (l.account_id = t.to_account AND l.amount_minor = t.amount_minor"
            "   OR l.account_id = t.from_account AND l.amount_minor = -t.amount_minor)) <> 2"
            " UNION ALL SELECT NULL, 'the customers were given ' || given || ' and have ' || has"
            " FROM (SELECT (SELECT coalesce(sum(l.amount_minor), 0) FROM lines l"
            "   JOIN entries e ON e.number = l.entry AND e.kind = 'opening'"
            "   JOIN accounts a ON a.id = l.account_id AND a.kind = 'customer') AS given,"
            "  (SELECT coalesce(sum(balance_minor), 0) FROM accounts WHERE kind = 'customer')"
            "   AS has) WHERE given <> has",
    },
    {
        .name = "no-account-below-its-limit",
        .sentence = "no customer has less than nothing, or less than what is held",
        .noun = VERIFY_ACCOUNTS,
        .sql =
            "SELECT NULL, id || ' has a balance of ' || balance_minor || ' and ' || held_minor ||"
            "  ' of it held'"
            " FROM accounts WHERE held_minor < 0"
            "  OR kind = 'customer' AND balance_minor - held_minor < 0",
    },
};

const size_t verify_checks_money_count = ARRAY_LEN(verify_checks_money);
