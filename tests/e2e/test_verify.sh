#!/usr/bin/env bash
# verify finds nothing while a stack is worked and killed, nor when it is stopped, and says
# what it cannot tell. What it does find is test_verify_damage.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh
FRAUD_LIMIT_MINOR=100000 house_up

# holds WORDS [ARGUMENT...]: verify exits with 0.
holds() {
  local words=$1
  shift
  faultline verify "$@" >"$folder/verify" 2>&1 || fail "$words: $(cat "$folder/verify")"
}

place() { # ARGUMENT...: an order; prints its id
  faultline order --json "$@" | jq -r .id
}

no_members_of() { curl -sf "$broker_url/status" | jq "[.groups[] | select(.name == \"$1\").members[]] | length"; }
payment_of() { curl -sf "$payment_url/payments/$1" | jq -r .status; }
goods_held() { curl -sf "$inventory_url/stock/moka-pot" | jq .reserved; }
held_of() { curl -sf "$ledger_url/accounts/$1" | jq .held.amount_minor; }

story "an empty stack holds"
holds "there is nothing yet"

story "orders and transfers of every kind, both ways"
faultline load 40 --record "$folder/record" --timeout 60 >/dev/null || fail "orders have their ends"
faultline load 10 --mode sync --record "$folder/record" >/dev/null || fail "orders over HTTP as well"
place --token tok_declined >/dev/null
place --token tok_flaky >/dev/null
place --item rare-print=4 >/dev/null
place --token tok_poison >/dev/null
place --customer mallory >/dev/null
faultline transfer --from bob --to alice --amount 5.00 --wait >/dev/null || fail "a transfer is completed"
faultline transfer --from bob --to alice --amount 5000.00 >/dev/null
faultline order --mode sync >/dev/null || fail "one more over HTTP"
faultline order --mode sync --token tok_declined >/dev/null 2>&1 || true
becomes 1 dead_letters

story "what is flagged when all the others have answered is undone"
faultline pause fraud >/dev/null
id=$(place --customer mallory --item moka-pot=2)
faultline transfer --from alice --to carol --amount 1003.00 >/dev/null
becomes authorized payment_of "$id"
becomes 2 goods_held
becomes 100300 held_of alice
holds "what waits is not broken"
grep -q 'waiting for fraud: ' "$folder/verify" || fail "it says what they wait for: $(cat "$folder/verify")"
faultline resume fraud >/dev/null
becomes cancelled order_status "$id"
becomes voided payment_of "$id"
becomes 0 held_of alice

story "nothing is ever broken while parts are killed under load, verified all the time"
faultline load 240 --rate 30 --record "$folder/record" --timeout 60 >"$folder/load" 2>&1 &
load=$!
faultline load 40 --rate 6 --mode sync --record "$folder/record" >"$folder/load.sync" 2>&1 &
chain=$!
for service in payment ledger inventory notification transfer fraud broker; do
  faultline kill "$service" >/dev/null
  holds "without $service"
  faultline start "$service" >/dev/null
  holds "with $service back"
done
wait "$load" || fail "every order has its end: $(cat "$folder/load")"
wait "$chain" || true # some of them fail, that is the point
becomes 0 lag_in_all
holds "when all is done" --record "$folder/record"
grep -q '330 answers of --record' "$folder/verify" || fail "it read the record: $(cat "$folder/verify")"
! grep -q 'waiting for' "$folder/verify" || fail "nothing waits any more: $(cat "$folder/verify")"
grep -q 'given up by payment' "$folder/verify" || fail "the poison is named: $(cat "$folder/verify")"

story "a replay and a redrive break nothing"
faultline dead-letters redrive --all >/dev/null
for group in payment notification ledger; do faultline replay "$group" --from earliest >/dev/null; done
holds "while they read again"
becomes 0 lag_in_all
holds "when they have"

story "what strangers publish, and give up themselves, is not the house's"
letters_of() { curl -sf "$broker_url/status" | jq "[.groups[] | select(.name == \"$1\").dead_letters] | add"; }
bus=tcp://127.0.0.1:$bus_port
printf '%s\n' 'e-1 order-1 {"n":1}' "$(</proc/sys/kernel/random/uuid) $(</proc/sys/kernel/random/uuid) {}" | examples/python/publish.py "$bus" order-created >/dev/null
becomes 2 letters_of fraud
known=$(curl -sf "$order_url/orders?status=confirmed&limit=1" | jq -r '.orders[0].order_id')
for topic in fraud-cleared order-cancelled order-created; do # rubbish about what there is
  echo "$(</proc/sys/kernel/random/uuid) $known {}" | examples/python/publish.py "$bus" "$topic" >/dev/null
done
becomes 1 letters_of order
becomes 3 letters_of fraud
examples/python/member.py "$bus" audit audit-1 transfer-created false &
member=$!
given_up() { [[ $(letters_of audit) -gt 0 ]] && echo yes; }
becomes yes given_up
kill "$member"
wait "$member" || true
holds "with letters of theirs"
becomes 0 no_members_of audit
faultline groups delete audit >/dev/null
holds "without their group"

story "a client may call its request what it likes, the id of an event as well"
event=$(sql "$FAULTLINE_DIR/data/order/order.db" "SELECT ended_event FROM orders WHERE order_id = '$known'")
curl -sf "$order_url/orders" -H 'Content-Type: application/json' -H "X-Request-Id: $event" \
  -d '{"customer_id":"alice","payment_token":"tok_visa","items":[{"sku":"espresso-cup","quantity":1}]}' >/dev/null
becomes 0 lag_in_all
holds "with such an order"

story "the order service dies in the middle of a chain: a finding about that path, no violation"
faultline pause payment >/dev/null
faultline order --mode sync --item moka-pot=1 >"$folder/chain" 2>&1 &
chain=$!
taken() { curl -sf "$inventory_url/stock/moka-pot" | jq .sold; }
becomes 1 taken
faultline kill order >/dev/null
wait "$chain" || true
faultline resume payment >/dev/null
holds "while the order service is dead" --json
jq -e '.chain_running == 0 and (.chain[] | select(.name == "interrupted") | .found == 1)' "$folder/verify" >/dev/null ||
  fail "nobody runs its chain any more: $(jq -c .chain "$folder/verify")"
faultline start order >/dev/null
holds "the path by events has nothing to do with it" --json
jq -e '.chain[] | select(.name == "interrupted") | .found == 1' "$folder/verify" >/dev/null ||
  fail "it is found and named: $(jq -c .chain "$folder/verify")"
jq -e '.chain[] | select(.name == "reserved-but-failed") | .found >= 1' "$folder/verify" >/dev/null ||
  fail "its goods are gone: $(jq -c .chain "$folder/verify")"

story "without a broker orders wait in the outbox; a stopped stack is verified as it lies there"
faultline kill broker >/dev/null
place >/dev/null
place >/dev/null
holds "while the broker is dead"
grep -q 'waiting in the outbox of order' "$folder/verify" || fail "it says where: $(cat "$folder/verify")"
faultline down >/dev/null
holds "stopped" --record "$folder/record"
grep -q 'waiting in the outbox of order' "$folder/verify" || fail "still there: $(cat "$folder/verify")"
cat "$folder/verify"

story "what cannot be told is not told"
told() { # WORDS ARGUMENT...
  local code=0 words=$1
  shift
  faultline verify "$@" >"$folder/out" 2>&1 || code=$?
  [[ $code == 2 ]] && grep -q -- "$words" "$folder/out" || fail "'$*' ends with 2 and says '$words', not $code: $(cat "$folder/out")"
}
data=$FAULTLINE_DIR/data
told 'nothing runs here' --dir "$folder/nowhere"
told 'cannot read' --record "$folder/nothing"
echo 'no json' >"$folder/rubbish"
told 'line 1 of' --record "$folder/rubbish"
told 'name that as well' --bus tcp://127.0.0.1:1
told 'does not answer' --data "$data" --bus "tcp://127.0.0.1:$bus_port"
cp -r "$data" "$folder/copy"
rm "$folder/copy/ledger/ledger.db"
told 'ledger has no database' --data "$folder/copy"
cp "$data/payment/payment.db" "$folder/copy/ledger/ledger.db"
python3 -c "import sqlite3; sqlite3.connect('$folder/copy/ledger/ledger.db').execute('PRAGMA user_version = 1')"
told 'its schema is 1' --data "$folder/copy"
rm -r "$folder/copy/broker"
told 'no log to read' --data "$folder/copy"
! grep -rl "AddressSanitizer\|LeakSanitizer\|runtime error:" "$FAULTLINE_DIR/logs" || fail "no sanitizer spoke"

story "what retention has dropped cannot be told, and that is said"
faultline down --data >/dev/null 2>&1 || true
SEGMENT_BYTES=1048576 RETENTION_BYTES=1048576 house_up
faultline load 400 --timeout 60 >/dev/null || fail "orders have their ends"
dropped() { curl -sf "$broker_url/status" | jq '.log.first_offset > 0'; }
becomes true dropped
becomes 0 lag_in_all
told 'retention has dropped the log below offset'
told '"verdict":"unknown"' --json

story "an end that was given up, and whose event retention has dropped, may still be carried out"
faultline kill payment >/dev/null
given=$(place)
sql "$data/payment/payment.db" "CREATE TRIGGER forbidden BEFORE UPDATE ON payments WHEN NEW.order_id = '$given' AND NEW.status = 'captured' BEGIN SELECT raise(ABORT, 'no'); END"
faultline start payment --set BUS_RETRIES=1000 >/dev/null
failing() { curl -sf "$broker_url/status" | jq '[.groups[].failing | length] | add'; }
becomes 1 failing
faultline kill payment >/dev/null
faultline load 600 --timeout 1 >/dev/null 2>&1 || true # so many events between that one and its letter
faultline start payment --set BUS_RETRIES=0 >/dev/null
becomes 1 letters_of payment
becomes 0 lag_in_all
faultline load 600 --timeout 60 >/dev/null || fail "orders have their ends"
sql "$data/payment/payment.db" "DROP TRIGGER forbidden"
original=$(curl -sf "$broker_url/dead-letters" | jq '.dead_letters[0].original_offset')
end_is_dropped() { curl -sf "$broker_url/status" | jq ".log.first_offset > $original"; }
becomes true end_is_dropped
becomes 0 lag_in_all
told 'as far as can be told 30 checks hold'
faultline dead-letters redrive --all >/dev/null
becomes captured payment_of "$given"
becomes 0 lag_in_all
told 'as far as can be told 30 checks hold'

story "what the databases say of each other can be told all the same"
faultline kill payment >/dev/null
sql "$data/payment/payment.db" "DELETE FROM payments WHERE order_id = (SELECT min(order_id) FROM payments)"
faultline start payment >/dev/null
code=0
faultline verify >"$folder/verify" || code=$?
[[ $code == 1 ]] || fail "it is broken: $(cat "$folder/verify")"
grep -q 'it is confirmed, and its payment is not there' "$folder/verify" || fail "it says what: $(cat "$folder/verify")"
