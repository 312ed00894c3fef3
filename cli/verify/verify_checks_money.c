// Money neither appears nor vanishes.
#include "cli/verify/verify_checks.h"
#include "common/mem.h"

// An entry with its two lines, and the case that it belongs to.
#define ENTRIES                                                                                    \
    "(SELECT e.subject, e.kind, e.id, l.*, c.state, c.amount_minor AS amount,"                     \
    "  c.currency AS wanted,"                                                                      \
    "  iif(e.kind = 'reversal', c.to_account, c.from_account) AS from_wanted,"                     \
    "  iif(e.kind = 'reversal', c.from_account, c.to_account) AS to_wanted"                        \
    " FROM entries e LEFT JOIN (SELECT entry, count(*) AS lines, min(currency) AS currency,"       \
    "   max(iif(amount_minor < 0, account_id, NULL)) AS from_account,"                             \
    "   max(iif(amount_minor > 0, account_id, NULL)) AS to_account,"                               \
    "   max(amount_minor) AS moved FROM lines GROUP BY entry) l ON l.entry = e.number"             \
    " LEFT JOIN cases c ON c.subject = e.subject"                                                  \
    "  AND c.kind = iif(e.kind = 'reversal', 'payment', e.kind))"

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
        .name = "entries-match-their-cases",
        .sentence =
            "every entry moves what its payment or transfer says, from whom to whom it says",
        .noun = VERIFY_ENTRIES,
        .sql =
            "SELECT subject, kind || ' entry ' || id || ' ' || CASE"
            "  WHEN kind NOT IN ('opening', 'payment', 'reversal', 'transfer')"
            "   THEN 'is of a kind that there is not'"
            "  WHEN lines <> 2 THEN 'has ' || lines || ' lines'"
            "  WHEN kind = 'opening' THEN iif(from_account = 'equity'"
            "    AND subject = 'opening-' || to_account, NULL,"
            "    'goes from ' || from_account || ' to ' || to_account)"
            "  WHEN state IS NULL THEN 'belongs to nothing that the ledger knows'"
            "  WHEN from_account <> from_wanted OR to_account <> to_wanted"
            "   OR moved <> amount OR currency <> wanted"
            "   THEN 'moves ' || moved || ' ' || currency || ' from ' || from_account || ' to '"
            "    || to_account || ', not ' || amount || ' ' || wanted || ' from '"
            "    || from_wanted || ' to ' || to_wanted"
            "  WHEN kind = 'reversal' AND state <> 2 THEN 'takes back what is not taken back'"
            "  WHEN kind IN ('payment', 'reversal') AND 'revenue' NOT IN (from_wanted, to_wanted)"
            "   THEN 'has nothing to do with revenue' END AS detail"
            " FROM " ENTRIES " WHERE detail IS NOT NULL"
            " UNION ALL SELECT subject, 'the ledger notes its ' || kind || ' as ' ||"
            "   iif(state = 1, 'booked', 'taken back') || ', and has no entry of that'"
            "  FROM cases c WHERE state IN (1, 2) AND NOT EXISTS (SELECT 1 FROM entries e"
            "   WHERE e.subject = c.subject AND e.kind = iif(state = 1, c.kind, 'reversal'))",
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
               "  FROM accounts) WHERE held_minor <> holds"
               " UNION ALL SELECT NULL, account_id || ' has postings in ' || l.currency ||"
               "  iif(id IS NULL, ', and is not there', ', and is an account in ' || a.currency)"
               " FROM (SELECT DISTINCT account_id, currency FROM lines) l"
               " LEFT JOIN accounts a ON id = account_id WHERE a.currency IS NOT l.currency",
    },
    {
        .name = "money-agrees",
        .sentence = "what is captured is what the order costs and what the ledger has booked, once",
        .noun = VERIFY_ORDERS,
        .sql = "SELECT subject, CASE"
               "  WHEN said_currency IS NOT NULL AND (said_minor <> amount"
               "    OR said_currency <> currency) THEN 'it costs ' || amount || ' ' || currency ||"
               "    ', and its events say ' || said_minor || ' ' || said_currency"
               "  WHEN posted > 1 THEN 'the ledger has booked its payment ' || posted || ' times'"
               "  WHEN payment IN ('authorized', 'captured', 'refunded')"
               "    AND (paid <> amount OR paid_currency <> currency) THEN 'it costs ' || amount ||"
               "    ' ' || currency || ', and the payment is ' || paid || ' ' || paid_currency"
               "  WHEN posted = 1 AND posted_minor <> amount"
               "   THEN 'it costs ' || amount || ', and the ledger has booked ' || posted_minor"
               "  WHEN posted = 1 AND booked_currency <> currency THEN 'it costs ' || amount || ' '"
               "    || currency || ', and the ledger has it in ' || booked_currency"
               "  WHEN ledger_heard_payment_completed AND posted = 0 AND books IN (1, 2)"
               "   THEN 'the ledger has handled the payment, and has no entry of it'"
               "  WHEN is_whole AND posted = 1 AND NOT said_payment_completed"
               "   THEN 'the ledger has booked a payment that was never completed'"
               "  WHEN reversed > posted THEN 'the ledger has taken back what it had not booked'"
               "  WHEN payment = 'captured' AND reversed > 0"
               "   THEN 'the payment is captured, and the ledger has taken it back'"
               "  WHEN payment = 'refunded' AND posted > reversed"
               "   THEN 'the payment is refunded, and the ledger has not taken it back'"
               "  WHEN books IN (1, 2) AND booked <> posted_minor"
               "   THEN 'the ledger has noted ' || booked || ' and booked ' || posted_minor END"
               "  AS detail"
               " FROM story WHERE kind = 'order' AND detail IS NOT NULL",
    },
    {
        .name = "orders-cost-their-items",
        .sentence = "an order costs the sum of what its items cost",
        .noun = VERIFY_GOODS,
        .sql = "SELECT order_id, iif(json_valid(items), 'it costs ' || amount_minor || ' ' ||"
               "   currency || ', and its items ' || coalesce(sum, 0), 'its items are no JSON')"
               " FROM (SELECT order_id, items, amount_minor, currency, (SELECT"
               "   sum(json_extract(value, '$.quantity')"
               "    * json_extract(value, '$.unit_price.amount_minor')"
               "    * (json_extract(value, '$.unit_price.currency') = currency))"
               "   FROM json_each(iif(json_valid(items), items, '[]'))) AS sum FROM orders)"
               " WHERE sum IS NOT amount_minor",
    },
    {
        .name = "transfers-conserve",
        .sentence = "transfers move what they say, once, and the bank's customers have as much as"
                    " before",
        .noun = VERIFY_BANK,
        .sql =
            "SELECT subject, CASE"
            "  WHEN said_currency IS NOT NULL AND (said_minor <> amount"
            "    OR said_currency <> currency) THEN 'it is about ' || amount || ' ' || currency ||"
            "    ', and its events say ' || said_minor || ' ' || said_currency"
            "  WHEN moved > 1 THEN 'its money was moved ' || moved || ' times'"
            "  WHEN moved > 0 AND books <> 1"
            "   THEN 'its money was moved, and the ledger does not note it as booked'"
            "  WHEN is_whole AND moved > 0 AND NOT said_transfer_completed"
            "   THEN 'its money was moved, and it was never completed' END AS detail"
            " FROM story WHERE kind = 'transfer' AND detail IS NOT NULL"
            " UNION ALL SELECT t.id, 'it moves ' || t.amount_minor || ' ' || t.currency || ' from '"
            "  || t.from_account || ' to ' || t.to_account || ', and the ledger has it as ' ||"
            "  c.amount_minor || ' ' || c.currency || ' from ' || c.from_account || ' to ' ||"
            "  c.to_account"
            " FROM transfers t JOIN cases c ON c.subject = t.id AND c.kind = 'transfer'"
            " WHERE c.state <> 6 AND (c.amount_minor <> t.amount_minor OR c.currency <> t.currency"
            "  OR c.from_account <> t.from_account OR c.to_account <> t.to_account)"
            " UNION ALL SELECT NULL, 'the customers were given ' || given || ' and have ' || has"
            " FROM (SELECT (SELECT coalesce(sum(l.amount_minor), 0) FROM lines l"
            "   JOIN entries e ON e.number = l.entry AND e.kind = 'opening'"
            "   JOIN accounts a ON a.id = l.account_id AND a.kind = 'customer') AS given,"
            "  (SELECT coalesce(sum(balance_minor), 0) FROM accounts WHERE kind = 'customer')"
            "   AS has) WHERE given <> has",
    },
    {
        .name = "no-account-below-its-limit",
        .sentence = "no customer has or had less than nothing, or less than what is held",
        .noun = VERIFY_ACCOUNTS,
        .sql =
            "SELECT NULL, id || ' has a balance of ' || balance_minor || ' and ' || held_minor ||"
            "  ' of it held'"
            " FROM accounts WHERE held_minor < 0"
            "  OR kind = 'customer' AND balance_minor - held_minor < 0"
            " UNION ALL SELECT NULL, id || ' had a balance of ' || had || ' after entry ' || entry"
            " FROM (SELECT id, entry, sum(amount_minor) OVER (PARTITION BY id ORDER BY entry) AS "
            "had"
            "  FROM lines JOIN accounts ON id = account_id WHERE kind = 'customer') WHERE had < 0",
    },
};

const size_t verify_checks_money_count = ARRAY_LEN(verify_checks_money);
