#!/usr/bin/env python3
"""damage.py DATA RECORD [NAME...]: copies the data of a stopped stack, breaks one thing in each
copy, and expects just those findings of `faultline verify` that the table below names.

What to break is looked for in the data itself; test_verify.sh makes a stack that has it all.
"""
import glob, json, os, re, shutil, sqlite3, struct, subprocess, sys, uuid

DAMAGES = []  # name, checks that find it, findings about the chain, whether the log is broken, function


def damage(*checks, chain=(), log=False):  # log: it breaks the log as well
    def add(function):
        DAMAGES.append((function.__name__, set(checks), set(chain), log, function))
        return function
    return add


class Copy:
    """The data of a stack, with its databases open for writing, checks and constraints off."""

    def __init__(self, folder, record):
        self.folder, self.record, self.open = folder, record, {}

    def __getattr__(self, service):
        if service not in self.open:
            path = f"{self.folder}/{service}/{service}.db"
            self.open[service] = sqlite3.connect(path, isolation_level=None)
            self.open[service].execute("PRAGMA ignore_check_constraints = ON")
        return self.open[service]

    def close(self):
        for connection in self.open.values():
            connection.close()

    def one(self, service, sql, *values):
        row = getattr(self, service).execute(sql, values).fetchone()
        assert row is not None, f"the stack has nothing to break: {sql}"
        return row if len(row) > 1 else row[0]

    def change(self, service, sql, *values):
        changed = getattr(self, service).execute(sql, values).rowcount
        assert changed != 0, f"nothing was changed: {sql}"

    # What there is to break.
    def a_confirmed(self):
        with open(self.record) as lines:
            accepted = [json.loads(line)["order_id"] for line in lines if '"status":202' in line]
        marks = ",".join("?" * len(accepted))
        return self.one("order", "SELECT order_id FROM orders WHERE status = 'confirmed' AND"
                        f" mode = 'async' AND order_id IN ({marks})", *accepted)

    def a_voided(self):  # a cancelled order whose payment was authorized, and whose goods were reserved
        for order, in self.payment.execute("SELECT order_id FROM payments WHERE status = 'voided' AND amount_minor > 0"):
            if self.inventory.execute("SELECT 1 FROM reservations WHERE order_id = ? AND status = 'released'"
                                      " AND items <> '[]'", (order,)).fetchone():
                return order
        raise AssertionError("the stack has no cancelled order to break")

    def a_chain(self):  # confirmed over HTTP; no record tells of it
        with open(self.record) as lines:
            recorded = {json.loads(line)["order_id"] for line in lines}
        for order, in self.order.execute("SELECT order_id FROM orders WHERE status = 'confirmed' AND mode = 'sync'"):
            if order not in recorded:
                return order
        raise AssertionError("the stack has no order over HTTP to break")

    def a_transfer(self, state):
        return self.one("transfer", "SELECT id FROM transfers WHERE state = ?", state)

    def event_of(self, order, column="created_event"):
        return self.one("order", f"SELECT {column} FROM orders WHERE order_id = ?", order)

    def without_unique(self, service, table):
        """Makes the table anew without its constraints, so that rows can be doubled."""
        db = getattr(self, service)
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        db.execute(f"CREATE TABLE other AS SELECT * FROM {table}")
        db.execute(f"DROP TABLE {table}")
        db.execute(f"ALTER TABLE other RENAME TO {table}")
        return columns

    def double(self, service, table, where, *values, **changes):
        columns = self.without_unique(service, table)
        wanted = ", ".join(str(changes.get(column, column)) for column in columns)
        self.change(service, f"INSERT INTO {table} SELECT {wanted} FROM {table} WHERE {where}", *values)


# --- what was accepted, and what the log has of it

@damage("accepted-are-there")
def an_accepted_order_is_nowhere(copy):
    with open(copy.record, "a") as record:
        record.write('{"order_id":"%s","mode":"async","status":202,"at":"now"}\n' % uuid.uuid4())


@damage("accepted-are-there", "created-are-there")
def an_order_is_deleted(copy):
    copy.change("order", "DELETE FROM orders WHERE order_id = ?", copy.a_confirmed())


@damage("accepted-are-there", chain=("charged-but-failed", "reserved-but-failed", "told-but-failed", "interrupted"))
def an_order_over_http_is_not_confirmed_any_more(copy):
    with open(copy.record) as lines:
        order = [json.loads(line)["order_id"] for line in lines if '"status":201' in line][0]
    copy.change("order", "UPDATE orders SET status = 'pending', ended_at = NULL WHERE order_id = ?", order)


@damage("created-are-there")
def a_transfer_is_deleted(copy):
    transfer = copy.a_transfer("completed")
    copy.change("transfer", "DELETE FROM transfers WHERE id = ?", transfer)
    copy.change("transfer", "DELETE FROM steps WHERE transfer_id = ?", transfer)


@damage("outbox-reaches-the-log", "pending-has-a-reason")
def an_event_is_deleted_from_the_outbox(copy):
    copy.change("order", "DELETE FROM outbox WHERE seq = (SELECT min(seq) FROM outbox)")


@damage("outbox-reaches-the-log")
def an_event_of_an_end_is_another(copy):
    copy.change("order", "UPDATE orders SET ended_event = ? WHERE order_id = ?", str(uuid.uuid4()), copy.a_confirmed())


@damage("outbox-reaches-the-log")
def a_step_of_a_transfer_names_no_event(copy):
    copy.change("transfer", "UPDATE steps SET event_id = ? WHERE transfer_id = ? AND step = 2",
                str(uuid.uuid4()), copy.a_transfer("completed"))


@damage("outbox-reaches-the-log")
def an_event_was_refused(copy):
    copy.change("order", "UPDATE outbox SET refused = 'too-large' WHERE seq = (SELECT min(seq) FROM outbox)")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(topic, key, id, body, headers=""):
    parts = [part.encode() for part in (topic, key, id, headers)]
    checked = struct.pack("<4H", *map(len, parts)) + b"".join(parts) + body.encode()
    return struct.pack("<II", len(checked) + 8, crc32c(checked)) + checked


def batches(data):
    """Where each batch of the log begins, and where it ends."""
    at = 24
    while at + 32 <= len(data) and data[at:at + 4] == data[12:16]:
        end = at + struct.unpack_from("<I", data, at + 8)[0]
        yield at, end
        at = end


def records(data, at, end):
    """Where each record of a batch begins, and its topic, key, id, headers and body."""
    at += 32
    while at < end:
        whole, _, *sizes = struct.unpack_from("<II4H", data, at)
        parts, part_at = [], at + 16
        for size in (*sizes, whole - 16 - sum(sizes)):
            parts.append(data[part_at:part_at + size].decode())
            part_at += size
        yield at, parts
        at += whole


def signed(batch, mark):
    """The batch behind its mark, with the CRC of both."""
    return mark + struct.pack("<I", crc32c(mark + batch)) + batch


def the_log(copy):
    path = sorted(glob.glob(f"{copy.folder}/broker/log/*.log"))[-1]
    with open(path, "rb") as file:
        return path, bytearray(file.read())


def append(copy, topic, change):
    """Appends a batch to the log: one event of a topic that it has already, as change makes it."""
    path, data = the_log(copy)
    found = None
    for at, end in batches(data):
        _, count, base, time_us = struct.unpack_from("<IIQQ", data, at + 8)
        for _, parts in records(data, at, end):
            found = parts if parts[0] == topic else found
        next_offset = base + count
    topic, key, id, headers, body = change(*found)
    event = record(topic, key, id, body, headers)
    batch = struct.pack("<IIQQ", 32 + len(event), 1, next_offset, time_us) + event
    with open(path, "r+b") as file:
        file.truncate(end)
        file.seek(end)
        file.write(signed(batch, bytes(data[12:16])))


def rewrite(copy, topic, change):
    """Changes the body of the first event of a topic; it stays as long as it was."""
    path, data = the_log(copy)
    for at, end in batches(data):
        for record_at, parts in records(data, at, end):
            if parts[0] == topic:
                body = change(parts[4])
                assert len(body) == len(parts[4]) and body != parts[4]
                changed = record(*parts[:3], body, parts[3])
                data[record_at:record_at + len(changed)] = changed
                data[at:end] = signed(bytes(data[at + 8:end]), bytes(data[12:16]))
                with open(path, "wb") as file:
                    file.write(data)
                return
    raise AssertionError(f"the log has no {topic} to break")


@damage("log-holds-each-event-once", log=True)
def an_event_is_in_the_log_twice(copy):
    append(copy, "order-confirmed", lambda *parts: parts)


@damage("log-holds-each-event-once", log=True)
def an_order_is_confirmed_twice(copy):
    other = str(uuid.uuid4())
    append(copy, "order-confirmed", lambda topic, key, id, headers, body: (topic, key, other, headers, body.replace(id, other)))


@damage("created-are-there", log=True)
def an_order_was_created_that_is_not_there(copy):
    order, other = str(uuid.uuid4()), str(uuid.uuid4())
    append(copy, "order-created", lambda topic, key, id, headers, body:
           (topic, order, other, headers, body.replace(id, other).replace(key, order)))


@damage("events-are-what-they-say", log=True)
def an_event_names_a_cause_that_there_is_not(copy):
    rewrite(copy, "order-confirmed", lambda body: re.sub('(?<="causationid":")[^"]*', str(uuid.uuid4()), body))


@damage("events-are-what-they-say", log=True)
def an_event_belongs_to_another_story(copy):
    rewrite(copy, "payment-completed", lambda body: re.sub('(?<="correlationid":")[^"]*', str(uuid.uuid4()), body))


@damage("events-are-what-they-say", log=True)
def an_event_tells_another_amount(copy):
    rewrite(copy, "payment-completed", lambda body: re.sub('(?<="amount_minor":)[0-9]', "7", body))


@damage("events-are-what-they-say", log=True)
def the_body_of_an_event_is_garbage(copy):
    rewrite(copy, "ledger-posted", lambda body: "x" * len(body))


@damage("dead-letters-are-listed", log=True)
def a_dead_letter_is_not_on_the_list(copy):
    event = copy.event_of(copy.a_confirmed())
    copy.change("payment", "DELETE FROM inbox WHERE id = ?", event)
    append(copy, "order-created", lambda topic, key, id, headers, body:
           ("dead-letter.payment", copy.a_confirmed(), event, '{"group":"payment","error":"who knows"}', body))


# --- what was handled

@damage("handled-once-by-each-group")
def a_row_of_an_inbox_is_missing(copy):
    copy.change("payment", "DELETE FROM inbox WHERE id = ?", copy.event_of(copy.a_confirmed()))


@damage("handled-once-by-each-group")
def an_event_was_handled_twice(copy):
    copy.double("payment", "inbox", "id = ?", copy.event_of(copy.a_confirmed()), number="number + 1000000")


@damage("log-has-what-was-handled")
def an_event_was_handled_that_is_not_in_the_log(copy):
    copy.change("ledger", "INSERT INTO inbox (handler, id, at) VALUES ('payment-completed', ?, 'now')", str(uuid.uuid4()))


@damage("log-has-what-was-handled", "handled-once-by-each-group")
def an_event_was_handled_as_another(copy):
    copy.change("payment", "UPDATE inbox SET handler = 'order-cancelled' WHERE id = ?", copy.event_of(copy.a_confirmed()))


@damage("in-log-order-per-key")
def two_events_of_one_order_were_handled_the_other_way_round(copy):
    order = copy.a_confirmed()
    first, second = copy.event_of(order), copy.event_of(order, "ended_event")
    numbers = [copy.one("payment", "SELECT number FROM inbox WHERE id = ?", id) for id in (first, second)]
    for id, number in ((first, -1), (second, numbers[0]), (first, numbers[1])):
        copy.change("payment", "UPDATE inbox SET number = ? WHERE id = ?", number, id)


# --- ends and their causes

@damage("one-end-each", "ends-have-their-answers", "outbox-reaches-the-log")
def a_confirmed_order_is_cancelled(copy):
    copy.change("order", "UPDATE orders SET status = 'cancelled', reason = 'why-not' WHERE order_id = ?", copy.a_confirmed())


@damage("one-end-each", "ends-have-their-answers", "pending-has-a-reason")
def an_order_forgets_its_end(copy):
    copy.change("order", "UPDATE orders SET status = 'pending', ended_at = NULL, ended_event = NULL"
                " WHERE order_id = ?", copy.a_confirmed())


@damage("ends-have-their-answers")
def an_order_is_confirmed_without_payment(copy):
    copy.change("order", "UPDATE orders SET payment = 0 WHERE order_id = ?", copy.a_confirmed())


@damage("captured-means-confirmed")
def a_payment_of_a_cancelled_order_is_captured(copy):
    copy.change("payment", "UPDATE payments SET status = 'captured' WHERE order_id = ?", copy.a_voided())


@damage("cancelled-holds-nothing")
def a_payment_of_a_cancelled_order_is_still_authorized(copy):
    copy.change("payment", "UPDATE payments SET status = 'authorized' WHERE order_id = ?", copy.a_voided())


@damage("cancelled-holds-nothing")
def a_cancelled_order_still_has_its_goods(copy):
    order, items = copy.one("inventory", "SELECT order_id, items FROM reservations WHERE order_id = ?", copy.a_voided())
    copy.change("inventory", "UPDATE reservations SET status = 'reserved' WHERE order_id = ?", order)
    for item in json.loads(items):
        copy.change("inventory", "UPDATE stock SET available = available - ?1, reserved = reserved + ?1 WHERE sku = ?2",
                    item["quantity"], item["sku"])


@damage("cancelled-holds-nothing")
def the_money_of_a_cancelled_transfer_is_still_held(copy):
    transfer, account, amount = copy.one("ledger", "SELECT subject, from_account, amount_minor FROM cases"
                                         " WHERE kind = 'transfer' AND state = 5")
    copy.change("ledger", "UPDATE cases SET state = 3 WHERE subject = ?", transfer)
    copy.change("ledger", "UPDATE accounts SET held_minor = held_minor + ? WHERE id = ?", amount, account)


@damage("good-ends-are-carried-out")
def a_confirmed_order_is_not_captured(copy):
    copy.change("payment", "UPDATE payments SET status = 'authorized' WHERE order_id = ?", copy.a_confirmed())


@damage("good-ends-are-carried-out", "stock-matches-the-orders")
def a_confirmed_order_is_not_sold(copy):
    copy.change("inventory", "UPDATE reservations SET status = 'reserved' WHERE order_id = ?", copy.a_confirmed())


@damage("events-have-their-effect")
def a_payment_is_deleted(copy):
    copy.change("payment", "DELETE FROM payments WHERE order_id = ?", copy.a_confirmed())


@damage("events-have-their-effect")
def a_decision_is_deleted(copy):
    copy.change("fraud", "DELETE FROM decisions WHERE subject = ?", copy.a_confirmed())


@damage("events-have-their-effect", "entries-match-their-cases")
def the_ledger_forgets_a_payment(copy):
    copy.change("ledger", "DELETE FROM cases WHERE subject = ?", copy.a_confirmed())


@damage("moves-are-allowed", "outbox-reaches-the-log")
def a_completed_transfer_moves_on(copy):
    transfer = copy.a_transfer("completed")
    copy.change("transfer", "INSERT INTO steps SELECT transfer_id, 3, 'pending', at, event_id FROM steps"
                " WHERE transfer_id = ? AND step = 2", transfer)


@damage("outbox-reaches-the-log")
def the_events_of_an_order_are_swapped(copy):
    order = copy.a_confirmed()
    copy.change("order", "UPDATE orders SET created_event = ?, ended_event = ? WHERE order_id = ?",
                copy.event_of(order, "ended_event"), copy.event_of(order), order)


@damage("outbox-reaches-the-log")
def an_order_names_the_event_of_another(copy):
    order = copy.a_confirmed()
    other = copy.one("order", "SELECT created_event FROM orders WHERE mode = 'async' AND order_id <> ?"
                     " AND status = 'cancelled' LIMIT 1", order)
    copy.change("order", "UPDATE orders SET created_event = ? WHERE order_id = ?", other, order)


@damage("outbox-reaches-the-log")
def an_event_waits_that_nobody_committed(copy):
    copy.change("order", "INSERT INTO outbox (id, topic, key, body, at_ms) VALUES (?, 'order-created', ?, '{}', 1)",
                str(uuid.uuid4()), str(uuid.uuid4()))


@damage("moves-are-allowed")
def an_order_by_events_passes_for_one_over_http(copy):
    copy.change("order", "UPDATE orders SET mode = 'sync' WHERE order_id = ?", copy.a_confirmed())


@damage("moves-are-allowed")
def a_transfer_has_no_history(copy):
    copy.change("transfer", "DELETE FROM steps WHERE transfer_id = ?", copy.a_transfer("completed"))


@damage("events-have-their-effect")
def a_pending_order_forgets_an_answer(copy):
    order = copy.one("order", "SELECT order_id FROM orders WHERE status = 'pending' AND mode = 'async' AND fraud = 1")
    copy.change("order", "UPDATE orders SET fraud = 0 WHERE order_id = ?", order)


@damage("one-notification-per-thing")
def somebody_else_is_told(copy):
    copy.change("notification", "UPDATE notifications SET recipient = 'eve' WHERE subject = ? AND is_end", copy.a_confirmed())


@damage("one-notification-per-thing")
def somebody_is_told_what_there_is_not(copy):
    copy.change("notification", "INSERT INTO notifications SELECT number + 1000000, ?, subject, 'you-won', recipient, text,"
                " sent_at, 0 FROM notifications WHERE subject = ? AND is_end", str(uuid.uuid4()), copy.a_confirmed())


# --- for nobody

@damage("nothing-for-nobody")
def goods_are_reserved_for_no_order(copy):
    copy.change("inventory", "INSERT INTO reservations VALUES (?, 'reserved', '[{\"sku\":\"espresso-cup\",\"quantity\":7}]', 'then')",
                str(uuid.uuid4()))
    copy.change("inventory", "UPDATE stock SET available = available - 7, reserved = reserved + 7 WHERE sku = 'espresso-cup'")


@damage("nothing-for-nobody")
def a_payment_is_authorized_for_no_order(copy):
    copy.change("payment", "INSERT INTO payments VALUES (?, ?, 'authorized', '', 500, 'EUR', 'then')",
                str(uuid.uuid4()), str(uuid.uuid4()))


@damage("nothing-for-nobody")
def money_is_held_for_no_transfer(copy):
    copy.change("ledger", "INSERT INTO cases VALUES ('transfer', ?, 3, 'alice', 'bob', 100, 'EUR', '')", str(uuid.uuid4()))
    copy.change("ledger", "UPDATE accounts SET held_minor = held_minor + 100 WHERE id = 'alice'")


def post(copy, subject, kind, *lines):
    """A new entry of the ledger, which adds up, balances and all."""
    copy.change("ledger", "INSERT INTO entries (number, id, subject, kind, posted_at) VALUES (777777, ?, ?, ?, 'then')",
                str(uuid.uuid4()), subject, kind)
    for number, (account, amount) in enumerate(lines):
        copy.change("ledger", "INSERT INTO lines VALUES (777777, ?, ?, ?, 'EUR')", number, account, amount)
        copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + ? WHERE id = ?", amount, account)


@damage("nothing-for-nobody", "entries-match-their-cases")
def money_is_moved_for_no_transfer(copy):
    post(copy, str(uuid.uuid4()), "transfer", ("bob", -500), ("carol", 500))


@damage("one-notification-per-thing", "answers-reach-the-log")
def somebody_is_told_twice(copy):
    copy.double("notification", "notifications", "subject = ? AND is_end", copy.a_confirmed(), number="number + 1000000")


@damage("one-notification-per-thing")
def somebody_is_not_told(copy):
    copy.change("notification", "DELETE FROM notifications WHERE subject = ? AND is_end", copy.a_confirmed())


# --- stock and money

@damage("goods-are-what-was-ordered")
def more_is_sold_than_was_ordered(copy):
    order = copy.a_confirmed()
    items = json.loads(copy.one("inventory", "SELECT items FROM reservations WHERE order_id = ?", order))
    items[0]["quantity"] += 1
    copy.change("inventory", "UPDATE reservations SET items = ? WHERE order_id = ?",
                json.dumps(items, separators=(",", ":")), order)
    copy.change("inventory", "UPDATE stock SET available = available - 1, sold = sold + 1 WHERE sku = ?", items[0]["sku"])


@damage("goods-are-what-was-ordered")
def something_else_is_sold_than_was_ordered(copy):
    copy.change("order", "UPDATE orders SET items = replace(items, 'espresso-cup', 'moka-pot') WHERE order_id = ?",
                copy.a_confirmed())


@damage("goods-are-what-was-ordered", "stock-matches-the-orders")
def the_goods_of_a_reservation_are_garbage(copy):
    copy.change("inventory", "UPDATE reservations SET items = 'garbage' WHERE order_id = ?", copy.a_confirmed())


@damage("stock-adds-up")
def a_cup_is_gone(copy):
    copy.change("inventory", "UPDATE stock SET available = available - 1 WHERE sku = 'espresso-cup'")


@damage("stock-matches-the-orders")
def a_cup_more_is_sold(copy):
    copy.change("inventory", "UPDATE stock SET available = available - 1, sold = sold + 1 WHERE sku = 'espresso-cup'")


@damage("postings-sum-to-zero", "accounts-match-the-postings", "entries-match-their-cases")
def a_posting_is_deleted(copy):
    number = copy.one("ledger", "SELECT number FROM entries WHERE kind = 'payment' AND subject = ?", copy.a_confirmed())
    copy.change("ledger", "DELETE FROM lines WHERE entry = ? AND account_id = 'revenue'", number)


@damage("money-agrees", "accounts-match-the-postings", "entries-match-their-cases")
def an_entry_is_deleted(copy):
    number = copy.one("ledger", "SELECT number FROM entries WHERE kind = 'payment' AND subject = ?", copy.a_confirmed())
    copy.change("ledger", "DELETE FROM lines WHERE entry = ?", number)
    copy.change("ledger", "DELETE FROM entries WHERE number = ?", number)


@damage("accounts-match-the-postings")
def a_balance_is_another(copy):
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE id = 'cash'")


@damage("accounts-match-the-postings")
def money_is_held_for_nothing(copy):
    copy.change("ledger", "UPDATE accounts SET held_minor = held_minor + 100 WHERE id = 'bob'")


@damage("money-agrees")
def an_order_is_charged_twice(copy):
    order = copy.a_confirmed()
    number, amount = copy.one("ledger", "SELECT entry, amount_minor FROM lines JOIN entries ON number = entry"
                              " WHERE account_id = 'cash' AND kind = 'payment' AND subject = ?", order)
    copy.double("ledger", "entries", "number = ?", number, number="number + 1000000")
    copy.change("ledger", "INSERT INTO lines SELECT entry + 1000000, line, account_id, amount_minor, currency"
                " FROM lines WHERE entry = ?", number)
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + ? WHERE id = 'cash'", amount)
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor - ? WHERE id = 'revenue'", amount)


@damage("money-agrees")
def a_payment_is_about_another_amount(copy):
    copy.change("payment", "UPDATE payments SET amount_minor = amount_minor + 100 WHERE order_id = ?", copy.a_confirmed())


@damage("money-agrees")
def a_payment_is_in_another_currency(copy):
    copy.change("payment", "UPDATE payments SET currency = 'USD' WHERE order_id = ?", copy.a_confirmed())


@damage("money-agrees", "orders-cost-their-items")
def an_order_costs_something_else(copy):
    order = copy.a_confirmed()
    number = copy.one("ledger", "SELECT number FROM entries WHERE kind = 'payment' AND subject = ?", order)
    copy.change("order", "UPDATE orders SET amount_minor = amount_minor + 100 WHERE order_id = ?", order)
    copy.change("payment", "UPDATE payments SET amount_minor = amount_minor + 100 WHERE order_id = ?", order)
    copy.change("ledger", "UPDATE cases SET amount_minor = amount_minor + 100 WHERE subject = ?", order)
    for account, sign in (("cash", 1), ("revenue", -1)):
        copy.change("ledger", "UPDATE lines SET amount_minor = amount_minor + ? WHERE entry = ? AND account_id = ?",
                    100 * sign, number, account)
        copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + ? WHERE id = ?", 100 * sign, account)


@damage("accounts-match-the-postings", "entries-match-their-cases")
def an_entry_is_in_another_currency(copy):
    copy.change("ledger", "UPDATE lines SET currency = 'JPY' WHERE entry = (SELECT number FROM entries"
                " WHERE kind = 'payment' AND subject = ?)", copy.a_confirmed())


@damage("entries-match-their-cases")
def a_payment_is_no_revenue(copy):
    number, amount = copy.one("ledger", "SELECT entry, amount_minor FROM lines JOIN entries ON number = entry"
                              " WHERE account_id = 'revenue' AND subject = ?", copy.a_confirmed())
    copy.change("ledger", "UPDATE lines SET account_id = 'equity' WHERE entry = ? AND account_id = 'revenue'", number)
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + ? WHERE id = 'equity'", amount)
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor - ? WHERE id = 'revenue'", amount)


@damage("entries-match-their-cases")
def an_entry_is_of_another_kind(copy):
    post(copy, str(uuid.uuid4()), "gift", ("cash", -500), ("revenue", 500))


@damage("entries-match-their-cases")
def a_customer_gets_a_second_opening(copy):
    post(copy, "carol-again", "opening", ("equity", -1), ("carol", 1))


@damage("transfers-conserve", "one-notification-per-thing")
def a_transfer_is_between_others(copy):
    copy.change("transfer", "UPDATE transfers SET from_account = 'carol', to_account = 'bob' WHERE id = ?",
                copy.a_transfer("completed"))


@damage("entries-match-their-cases")
def a_transfer_moves_more_than_it_says(copy):
    transfer, number = copy.one("ledger", "SELECT subject, number FROM entries WHERE kind = 'transfer'")
    for account, amount in copy.ledger.execute("SELECT account_id, amount_minor FROM lines WHERE entry = ?", (number,)).fetchall():
        copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + ? WHERE id = ?", amount, account)
    copy.change("ledger", "UPDATE lines SET amount_minor = 2 * amount_minor WHERE entry = ?", number)


@damage("transfers-conserve", "accounts-match-the-postings")
def a_customer_has_more_than_before(copy):
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE id = 'carol'")


@damage("no-account-below-its-limit", "accounts-match-the-postings")
def a_customer_owes_money(copy):
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor - 500000 WHERE id = 'carol'")
    copy.change("ledger", "UPDATE accounts SET balance_minor = balance_minor + 500000 WHERE id = 'bob'")


# --- what the chain leaves behind is found and named, and no violation

@damage(chain=("charged-but-failed", "reserved-but-failed", "told-but-failed", "interrupted"))
def a_chain_was_cut_behind_all_its_calls(copy):
    copy.change("order", "UPDATE orders SET status = 'cancelled', reason = 'interrupted' WHERE order_id = ?", copy.a_chain())


@damage(chain=("charged-but-failed", "reserved-but-failed", "told-but-failed", "interrupted"))
def a_chain_has_nobody_who_ends_it(copy):
    copy.change("order", "UPDATE orders SET status = 'pending', ended_at = NULL WHERE order_id = ?", copy.a_chain())


@damage(chain=("confirmed-in-part",))
def a_chain_was_never_paid(copy):
    copy.change("payment", "DELETE FROM payments WHERE order_id = ?", copy.a_chain())


@damage(chain=("of-no-order",))
def a_chain_has_no_order(copy):
    copy.change("order", "DELETE FROM orders WHERE order_id = ?", copy.a_chain())


@damage(chain=("unknown-after-a-timeout",))
def a_client_waited_in_vain(copy):
    with open(copy.record, "a") as record:
        record.write('{"order_id":null,"mode":"sync","status":"timeout","at":"now"}\n')


# --- the run

def serve(data):
    """One broker for all copies whose log is whole, so that not each verify starts its own."""
    shutil.copytree(f"{data}/broker", f"{data}.log")
    url = f"ipc://{data}.log/bus"
    broker = subprocess.Popen([os.environ["FAULTLINE_BIN"] + "/faultline-broker"], stdout=subprocess.DEVNULL,
                              env={**os.environ, "BROKER_BIND": url, "DATA_DIR": f"{data}.log", "HTTP_PORT": "0"})
    return broker, url


def verify(folder, record, url):
    command = [os.environ["FAULTLINE_BIN"] + "/faultline", "verify", "--json", "--data", folder, "--record", record]
    command += ["--bus", url] if url else []
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        return done.returncode, None, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def counts(found):
    return {one["name"]: one["found"] for one in found}


def news(found, before):
    """The names of what is found and was not before."""
    return {name for name, count in counts(found).items() if count > counts(before).get(name, 0)}


def run(data, record, url, before, checks, chain, function):
    folder = f"{data}.damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(data, folder, ignore=shutil.ignore_patterns("broker") if url else None)
    copy = Copy(folder, shutil.copy(record, f"{folder}/record"))
    function(copy)
    copy.close()
    code, found, errors = verify(folder, copy.record, url)
    if found is None:
        return f"it could not be told: {errors}"
    got, got_chain = news(found["checks"], before["checks"]), news(found["chain"], before["chain"])
    if got != checks or got_chain != chain:
        details = [one["list"] for one in found["checks"] if one["name"] in got - checks]
        return f"found {sorted(got)} and {sorted(got_chain)}, not {sorted(checks)} and {sorted(chain)} {details}"
    if code != (1 if checks else 0):
        return f"the exit code is {code}"
    subjects = {one["subject"] for check in found["checks"] for one in check["list"]} - {None}
    if subjects != {lineage["subject"] for lineage in found["lineages"]}:
        return f"there are no lineages of {subjects}"
    return None


def run_all(data, record, url, wanted):
    code, before, errors = verify(data, record, url)
    assert code == 0, f"undamaged it holds: {errors} {before}"
    failed, proven = 0, set()
    for name, checks, chain, log, function in DAMAGES:
        if wanted and name not in wanted:
            continue
        problem = run(data, record, None if log else url, before, checks, chain, function)
        proven |= checks | chain
        what = name.replace("_", " ")
        print(f"FAILED {what}: {problem}" if problem else f"found  {what}: {', '.join(sorted(checks | chain))}")
        failed += problem is not None
    unproven = {one["name"] for one in before["checks"] + before["chain"]} - proven
    if unproven and not wanted:
        print(f"FAILED no damage proves {sorted(unproven)}")
        failed += 1
    return failed


def main(data, record, *wanted):
    broker, url = serve(data)
    try:
        return run_all(data, record, url, wanted)
    finally:
        broker.terminate()
        broker.wait()


sys.exit(1 if main(*sys.argv[1:]) else 0)
