#!/usr/bin/env bash
# The log gives the databases of payment, inventory, notification, fraud and ledger back:
# compared with the living ones row by row, and in the place of those that are lost, while
# everything that was placed meanwhile has its end.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh

export FRAUD_LIMIT_MINOR=50000
house_up

# rebuilds CODE ARGUMENTS...: it ends with the code; the report is in $folder/report.
rebuilds() {
  local code=0 wanted=$1
  shift
  faultline rebuild "$@" >"$folder/report" 2>"$folder/errors" || code=$?
  [[ $code == "$wanted" ]] ||
    fail "'rebuild $*' ends with $wanted, not $code: $(cat "$folder/report" "$folder/errors")"
}

says() { grep -q -- "$1" "$folder/report" "$folder/errors" || fail "it says '$1': $(cat "$folder/report" "$folder/errors")"; }

report() { jq -r "$1" "$folder/report"; }

# rows TABLE COLUMN: what the report has there.
rows() { report ".tables[] | select(.table == \"$1\") | .$2"; }

database() { echo "$FAULTLINE_DIR/data/$1/$1.db"; }
sql() { sqlite3 -cmd '.timeout 10000' "$(database "$1")" "$2"; }

quietly() { "$@" >/dev/null; }

rebuildable=(payment inventory notification fraud ledger)

# identical [SERVICE...]: what has their living databases is what the log says.
identical() {
  local service
  becomes 0 lag_in_all
  (($#)) || set -- "${rebuildable[@]}"
  for service in "$@"; do
    rebuilds 0 "$service" --dry-run --json
    [[ $(report '[.identical, .odd, .left, .under_way] | @csv') == true,0,0,0 ]] ||
      fail "$service is what the log says: $(cat "$folder/report")"
  done
}

verified() { faultline verify >"$folder/verify" 2>&1 || fail "verify is content: $(cat "$folder/verify")"; }

order_of() { faultline order "$@" --json >"$folder/order" && jq -r .id "$folder/order"; }

# A little of everything that can happen to an order or a transfer.
place_a_mix() {
  local token
  for token in tok_visa tok_visa tok_declined tok_flaky; do order_of --token $token >/dev/null; done
  order_of --item rare-print=9 >/dev/null
  order_of --customer mallory >/dev/null
  faultline transfer --amount 1.00 --json >/dev/null
  faultline transfer --from carol --amount 600.00 --json >/dev/null # over fraud's limit here
  faultline transfer --from bob --to carol --amount 9.00 --json >/dev/null
}

sync_order() { curl -s -o /dev/null -w '%{http_code}\n' "$order_url/orders?mode=sync" -H 'Content-Type: application/json' -H "Idempotency-Key: $1" \
  -d "{\"customer_id\":\"alice\",\"payment_token\":\"$2\",\"items\":[{\"sku\":\"${3:-milk-jug}\",\"quantity\":${4:-1}}]}"; }

restock() { curl -sf -o /dev/null "$inventory_url/stock/$1/restock" -H 'Content-Type: application/json' -d "{\"quantity\":$2}"; }

all_but_poison_ended() { echo $(($(pending_orders) - poison)); }

story "orders and transfers of every kind, by events alone"
poison=0
place_a_mix
faultline load 40 --timeout 60 >/dev/null || fail "the load has its ends"
becomes 0 all_but_poison_ended
identical
[[ $(report '.from_http | map(.rows) | add') == 0 ]] || fail "nothing came over HTTP: $(cat "$folder/report")"

story "poison is dead-lettered, and one that died is redriven"
order_of --token tok_poison >/dev/null
poison=1
becomes 1 dead_letters
quietly faultline kill payment && BUS_RETRIES=0 quietly faultline start payment
order_of --token tok_flaky >/dev/null
becomes 2 dead_letters
offset=$(faultline dead-letters list --json | jq '.dead_letters[-1].offset')
quietly faultline kill payment && BUS_RETRIES=3 quietly faultline start payment
identical # the one is given up, the other is too, for now
rebuilds 0 payment --dry-run --json
[[ $(report .given_up) == 2 ]] || fail "both are given up: $(cat "$folder/report")"
faultline dead-letters redrive "$offset" >/dev/null
becomes 1 dead_letters
becomes 0 all_but_poison_ended
identical
rebuilds 0 payment --dry-run --json
[[ $(report .given_up) == 1 ]] || fail "the redriven one had its effect: $(cat "$folder/report")"

story "orders over the chain, and restocks, are named and taken over"
order_of --item rare-print=2 >/dev/null
becomes 0 all_but_poison_ended
[[ $(sync_order sync-1 tok_visa) == 201 ]] || fail "an order over the chain is confirmed"
[[ $(sync_order sync-2 tok_declined) == 402 ]] || fail "another is declined, and undone"
[[ $(sync_order sync-3 tok_visa rare-print 1) == 201 ]] || fail "one takes the last print"
order_of --item rare-print=1 >/dev/null # none is left: the log alone cannot tell why
becomes 0 all_but_poison_ended
restock rare-print 5
order_of --item rare-print=4 >/dev/null # more than there ever were, by the log alone
becomes 0 all_but_poison_ended
identical
rebuilds 0 inventory --dry-run
says "restocked (POST /stock"
says "reservations, 3 rows: reservations of orders placed with ?mode=sync"
rebuilds 0 ledger --dry-run
says "payments of orders placed with ?mode=sync"
says "entries.posted_at"

story "replicas commit beside each other, and what they decided comes out all the same"
quietly faultline down
house_up --scale ledger=3 --scale inventory=2
place_a_mix
for i in 1 2 3 4 5 6 7 8 9 10; do
  faultline transfer --from alice --to bob --amount "$((i * 30)).00" --json >/dev/null
  faultline transfer --from bob --to alice --amount "$((i * 40)).00" --json >/dev/null
done
faultline load 40 --rate 400 --timeout 60 >/dev/null || fail "the load has its ends"
becomes 0 all_but_poison_ended
identical

story "on a running stack it tells what is not handled yet"
quietly faultline pause inventory && quietly faultline pause inventory-2
order_of >/dev/null
under_way() { faultline rebuild inventory --dry-run --json | jq '[.under_way, .identical] | @csv'; }
becomes '"1,true"' under_way
quietly faultline resume inventory
identical inventory

story "a row that was changed by hand is told, with its table and key"
print=$(sql inventory "SELECT available FROM stock WHERE sku = 'espresso-cup'")
sql inventory "UPDATE stock SET available = available - 1, sold = sold + 1 WHERE sku = 'espresso-cup'"
rebuilds 1 inventory --dry-run
says "stock espresso-cup: available is $((print - 1)), rebuilt $print; sold is"
sql inventory "UPDATE stock SET available = available + 1, sold = sold - 1 WHERE sku = 'espresso-cup'"
key=$(sql payment "SELECT order_id FROM payments WHERE status = 'captured' LIMIT 1")
sql payment "UPDATE payments SET status = 'authorized' WHERE order_id = '$key'"
rebuilds 1 payment --dry-run
says "payments $key: status is \"authorized\", rebuilt \"captured\""
sql payment "UPDATE payments SET status = 'captured' WHERE order_id = '$key'"
key=$(sql notification "SELECT subject || ' ' || template FROM notifications WHERE number = 7")
sql notification "CREATE TABLE aside AS SELECT * FROM notifications WHERE number = 7;
  DELETE FROM notifications WHERE number = 7"
rebuilds 1 notification --dry-run
says "notifications $key: only in the rebuilt one"
sql notification "INSERT INTO notifications SELECT * FROM aside; DROP TABLE aside"
entry=$(sql ledger "SELECT max(entry) FROM lines")
sql ledger "UPDATE lines SET amount_minor = amount_minor + 1 WHERE entry = $entry AND line = 0"
rebuilds 1 ledger --dry-run --json
[[ $(rows lines differing) == 1 ]] || fail "one line of the ledger differs: $(cat "$folder/report")"
sql ledger "UPDATE lines SET amount_minor = amount_minor - 1 WHERE entry = $entry AND line = 0"
sql ledger "INSERT INTO lines VALUES (999999, 0, 'alice', 100, 'EUR')"
rebuilds 1 ledger --dry-run
says "lines of no entry: 999999 0: only in the living one"
sql ledger "DELETE FROM lines WHERE entry = 999999"
handled=$(sql payment "SELECT id FROM inbox WHERE handler = 'order-created' LIMIT 1")
sql payment "UPDATE inbox SET member = 'nobody', location = '/nowhere' WHERE id = '$handled'"
rebuilds 1 payment --dry-run
says "inbox order-created $handled: location is \"/nowhere\", rebuilt null; member is \"nobody\""
sql payment "UPDATE inbox SET member = NULL, location = NULL WHERE id = '$handled'"
sql payment "DELETE FROM inbox WHERE id = '$handled'"
rebuilds 1 payment --dry-run
says "inbox order-created $handled: only in the rebuilt one"
sql payment "INSERT INTO inbox (handler, id, at) VALUES ('order-created', '$handled', 'now')"
identical

story "what cannot be done is refused, with the reason"
rebuilds 2 order --dry-run
says "an order is born by POST /orders"
rebuilds 2 transfer
says "a transfer is born by POST /transfers"
rebuilds 2 broker
rebuilds 2 nobody
says "there is no service 'nobody'"
rebuilds 2 ledger
says "ledger lives"
quietly faultline pause payment
rebuilds 2 payment
says "payment lives"
quietly faultline resume payment

# What there is of effects, for a comparison before and after.
effects() {
  becomes 0 all_but_poison_ended
  becomes 0 lag_in_all
  curl -sf "$ledger_url/trial-balance" | jq -c .
  curl -sf "$ledger_url/entries?limit=500" | jq -c '[.entries[].entry_id] | sort'
  curl -sf "$notification_url/notifications?limit=500" | jq -c '[.notifications[].notification_id] | sort'
  curl -sf "$inventory_url/stock?limit=500" | jq -c .
  sql payment "SELECT order_id, payment_id, status, amount_minor FROM payments ORDER BY 1"
}

kill_all_of() {
  while faultline kill "$1" >/dev/null 2>&1; do :; done
}

story "a database is replaced by what the log says, HTTP's rows and all"
effects >"$folder/before"
for service in "${rebuildable[@]}"; do
  kill_all_of "$service"
  rebuilds 0 "$service" --json
  [[ $(report .differing) == 0 ]] || fail "nothing differs: $(cat "$folder/report")"
  [[ -s $(report .kept) ]] || fail "the old database is kept: $(cat "$folder/report")"
  faultline start "$service" >/dev/null
done
effects >"$folder/after"
diff "$folder/before" "$folder/after" || fail "nobody notices"
identical
verified

story "nobody's database is taken away under him"
# by_hand SERVICE: it runs as the stack has it, but the stack does not know.
by_hand() {
  DATA_DIR=$(dirname "$(database "$1")") BUS_URL=tcp://127.0.0.1:$bus_port HTTP_PORT=0 LOG_LEVEL=warn \
    "$FAULTLINE_BIN/faultline-$1" 2>"$folder/by-hand" &
  hand=$!
  trap 'ended=$?; set +e; kill -KILL $hand 2>/dev/null; (exit $ended); house_end' EXIT
}
members() { curl -sf "$broker_url/status" | jq --arg group "$1" '[.groups[] | select(.name == $group) | .members[]] | length'; }
kill_all_of payment
becomes 0 members payment
by_hand payment
becomes 1 members payment
before=$(sql payment "SELECT count(*) FROM payments")
rebuilds 2 payment
says "somebody has .*/payment.db open"
kill -KILL $hand
wait $hand 2>/dev/null || true
trap house_end EXIT
# A reader with a transaction, beside what kill -9 left of the write-ahead log.
python3 - "$(database payment)" "$folder/calm" >"$folder/reader" <<'END' &
import os, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN")
print(db.execute("SELECT count(*) FROM payments").fetchone()[0], flush=True)
while os.path.exists(sys.argv[1]) and not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
print(db.execute("SELECT count(*) FROM payments").fetchone()[0], flush=True)
END
reader=$!
becomes "$before" cat "$folder/reader"
rebuilds 2 payment
says "somebody has .*/payment.db open"
touch "$folder/calm"
wait $reader || fail "the reader reads on: $(cat "$folder/reader")"
[[ $(sql payment "SELECT count(*) FROM payments") == "$before" ]] || fail "all is there still"
rebuilds 0 payment
faultline start payment >/dev/null
identical payment

story "it dies on the way, and the service finds the old database or the new one"
for point in before-exchange kept after-exchange; do
  for damage in none lost; do
    kill_all_of ledger
    [[ $damage == none ]] || rm -f "$(database ledger)"*
    FAULTLINE_CRASH_AT=rebuild-$point rebuilds 86 ledger
    says "died at crash point rebuild-$point"
    if [[ $damage == lost && $point != after-exchange ]]; then
      rebuilds 2 ledger --dry-run
      says "there is no database"
      rebuilds 0 ledger
    fi
    faultline start ledger >/dev/null
    identical ledger
  done
done
rm -rf "$FAULTLINE_DIR"/data/rebuild-*
the_books_add_up

story "a comparison changes nothing, and a crash point of a process of the stack is not for its helpers"
kill_all_of inventory
kill_all_of order
files() { (cd "$FAULTLINE_DIR/data" && sha256sum {inventory,order}/*.db {inventory,order}/*.db-wal); }
files >"$folder/before"
FAULTLINE_CRASH_AT=order-chain-begun rebuilds 0 inventory --dry-run
files >"$folder/after"
diff "$folder/before" "$folder/after" || fail "the databases and their logs are as they were"
faultline start order >/dev/null

story "a full disk is not taken for a damaged database"
(
  trap '' XFSZ
  ulimit -f 64
  rebuilds 2 inventory
)
says "there is no room for a copy of .*/inventory.db, 1 MB, in .*/rebuild-inventory-"
! grep -q lose-http "$folder/errors" || fail "it does not advise to lose anything"

story "a database of another version is replaced only without what came over HTTP"
# other_version SERVICE SQL WORDS
other_version() {
  kill_all_of "$1"
  sql "$1" "$2" >/dev/null
  for arguments in "" --dry-run; do
    rebuilds 2 "$1" $arguments
    says "$3"
  done
  rebuilds 2 "$1"
  says "--lose-http"
  rebuilds 0 "$1" --lose-http
  faultline start "$1" >/dev/null
  identical "$1"
}
other_version inventory "CREATE TABLE old (handler, id); DROP TABLE inbox; ALTER TABLE old RENAME TO inbox;
  PRAGMA user_version = 1" "its schema is 1, not 2"
other_version notification "DROP TABLE inbox" "has no inbox as this version has"
other_version fraud "ALTER TABLE decisions DROP COLUMN reason" "the living database is not as this version makes it"
other_version ledger "DROP TABLE outbox" "no such table: living.outbox"
[[ -z $(ls -d "$FAULTLINE_DIR"/data/rebuild-* 2>/dev/null) ]] || fail "no folder is left behind"
the_books_add_up

story "a lost database comes back, while orders wait for it"
for service in "${rebuildable[@]}"; do
  kill_all_of "$service"
  rm -f "$(database "$service")"*
  faultline load 5 --timeout 0 >/dev/null || true
  place_a_mix
  rebuilds 2 "$service" --dry-run
  says "there is no database"
  rebuilds 0 "$service"
  says "Not taken over, since it came over HTTP"
  faultline start "$service" >/dev/null
  becomes 0 all_but_poison_ended
  identical "$service"
done
identical
verified
[[ $(dead_letters) == 1 ]] || fail "nothing new is dead-lettered: $(faultline dead-letters list)"
the_books_add_up

story "events that were never published are published by the rebuilt database"
kill_all_of ledger
faultline transfer --amount 2.00 --json >"$folder/transfer"
transfer=$(jq -r .id "$folder/transfer")
rm -f "$(database ledger)"*
held() { faultline tail --from 0 --once --json | jq -r "select(.event.type == \"funds-held\" and .event.subject == \"$transfer\") | .event.id" | wc -l; }
created() { faultline tail --from 0 --once --json | jq -r "select(.event.type == \"transfer-created\" and .event.subject == \"$transfer\") | .event.id" | wc -l; }
becomes 1 created
rebuilds 0 ledger --json
[[ $(rows outbox rebuilt) == 1 ]] || fail "one event waits in the outbox: $(cat "$folder/report")"
[[ $(held) == 0 ]] || fail "nothing is published yet"
faultline start ledger >/dev/null
becomes completed transfer_status "$transfer"
[[ $(held) == 1 ]] || fail "it is published once: $(held)"
identical ledger

story "a damaged database is not thrown away without a word"
kill_all_of inventory
sql inventory "PRAGMA wal_checkpoint(TRUNCATE)" >/dev/null
dd if=/dev/zero of="$(database inventory)" bs=1 seek=4096 count=8192 conv=notrunc status=none
rebuilds 2 inventory
says "cannot be read whole"
says "--lose-http"
rebuilds 0 inventory --lose-http
faultline start inventory >/dev/null
identical inventory

story "with the broker dead as well, its log is read all the same"
quietly faultline kill broker
kill_all_of payment
rebuilds 0 payment --dry-run
rm -f "$(database payment)"*
rebuilds 0 payment
faultline start broker payment >/dev/null
place_a_mix
becomes 0 all_but_poison_ended
identical
the_books_add_up

story "and when the whole stack is down"
faultline down >/dev/null
FAULTLINE_CRASH_AT=broker-recovered rebuilds 0 ledger --dry-run
rm -f "$(database ledger)"*
rebuilds 0 ledger
FAULTLINE_CRASH_AT=broker-recovered verified
house_up
identical
the_books_add_up
verified
[[ -z $(ls -d "$FAULTLINE_DIR"/data/rebuild-* 2>/dev/null) ]] || fail "no folder is left behind"
! grep -rl "AddressSanitizer\|LeakSanitizer\|runtime error:" "$FAULTLINE_DIR/logs" || fail "no sanitizer spoke"
