#!/usr/bin/env bash
# Every operation of every service gives every answer that contracts/openapi says it can
# give. That the answers are what the contract says is for tests/contracts/traffic.js, which
# reads what is recorded here and in the other stories, and misses what nobody provokes.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh
export SYNC_TIMEOUT_MS=3000 FRAUD_LIMIT_MINOR=100000
house_up

# ask STATUS METHOD URL [CURL ARGUMENTS]: what came is in $folder/body.
ask() {
  local wanted=$1 method=$2 url=$3 got
  shift 3
  got=$(curl -s -g -X "$method" -o "$folder/body" -w '%{http_code}' --max-time 30 "$url" "$@") || true
  [[ $got == "$wanted" ]] || fail "$method $url $* answers $wanted, not $got: $(cat "$folder/body")"
}
# post STATUS URL BODY [CURL ARGUMENTS]
post() {
  local wanted=$1 url=$2 body=$3
  shift 3
  ask "$wanted" POST "$url" -H 'Content-Type: application/json' -d "$body" "$@"
}
answer() { jq -r "$1" "$folder/body"; }
uuid() { cat /proc/sys/kernel/random/uuid; }

euro='{"amount_minor":1200,"currency":"EUR"}'
order() { echo "{\"customer_id\":\"${2:-alice}\",\"payment_token\":\"${1:-tok_visa}\",\"items\":[{\"sku\":\"${3:-espresso-cup}\",\"quantity\":${4:-1}}]}"; }
reservation() { echo "{\"order_id\":\"$1\",\"items\":[{\"sku\":\"${2:-milk-jug}\",\"quantity\":${3:-1}}]}"; }
charge() { echo "{\"order_id\":\"$1\",\"customer_id\":\"${3:-alice}\",\"payment_token\":\"${2:-tok_visa}\",\"amount\":$euro}"; }
refund() { echo "{\"order_id\":\"$1\"}"; }
screening() { echo "{\"subject\":\"$1\",\"customer_id\":\"${2:-alice}\",\"amount\":$euro}"; }
posting() { echo "{\"subject\":\"$1\",\"amount\":${2:-$euro}}"; }
reversal() { echo "{\"subject\":\"$1\"}"; }
message() { echo "{\"subject\":\"$1\",\"template\":\"order-confirmed\",\"recipient\":\"alice\"}"; }
transfer() { echo "{\"from_account\":\"${1:-alice}\",\"to_account\":\"${2:-bob}\",\"amount\":${3:-$euro}}"; }

story "orders, by events and over the chain"
post 202 "$order_url/orders" "$(order)" -H 'Idempotency-Key: once' -H 'X-Request-Id: mine' \
  -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
id=$(answer .order_id)
post 202 "$order_url/orders" "$(order)" -H 'Idempotency-Key: once'
[[ $(answer .order_id) == "$id" ]] || fail "the key gives the first answer"
post 422 "$order_url/orders" "$(order tok_visa bob)" -H 'Idempotency-Key: once'
becomes confirmed order_status "$id"
post 202 "$order_url/orders?mode=async" "$(order tok_declined)"
declined=$(answer .order_id)
becomes cancelled order_status "$declined"
ask 200 GET "$order_url/orders/$declined"
post 202 "$order_url/orders" "$(order tok_visa mallory)"
becomes cancelled order_status "$(answer .order_id)"
post 201 "$order_url/orders?mode=sync" "$(order)"
ask 200 GET "$order_url/orders/$(answer .order_id)"
post 402 "$order_url/orders?mode=sync" "$(order tok_declined)" -H 'Idempotency-Key: declined'
post 402 "$order_url/orders?mode=sync" "$(order tok_declined)" -H 'Idempotency-Key: declined'
post 403 "$order_url/orders?mode=sync" "$(order tok_visa mallory)"
post 409 "$order_url/orders?mode=sync" "$(order tok_visa alice rare-print 4)"
ask 200 GET "$order_url/orders?status=confirmed&limit=1"
ask 200 GET "$order_url/orders?limit=1&after=$(answer .next)"
ask 200 HEAD "$order_url/orders/$id" -I
ask 200 GET "$order_url/products"

story "payments"
paid=$(uuid) odd=$(uuid)
post 201 "$payment_url/charges" "$(charge "$paid")"
ask 200 GET "$payment_url/payments/$paid"
post 201 "$payment_url/refunds" "$(refund "$paid")"
post 409 "$payment_url/charges" "$(charge "$paid")" -H 'Idempotency-Key: again'
post 409 "$payment_url/charges" "$(charge "$paid")" -H 'Idempotency-Key: again'
post 201 "$payment_url/refunds" "$(refund "$(uuid)")"
post 402 "$payment_url/charges" "$(charge "$odd" tok_declined)"
post 201 "$payment_url/refunds" "$(refund "$odd")"
post 403 "$payment_url/charges" "$(charge "$(uuid)" tok_visa mallory)"
post 503 "$payment_url/charges" "$(charge "$(uuid)" tok_poison)"

story "goods"
ask 200 GET "$inventory_url/stock?limit=2"
ask 200 GET "$inventory_url/stock?limit=2&after=$(answer .next)"
ask 200 GET "$inventory_url/stock/grinder"
post 200 "$inventory_url/stock/grinder/restock" '{"quantity":5}'
post 404 "$inventory_url/stock/nothing/restock" '{"quantity":5}'
taken=$(uuid)
post 201 "$inventory_url/reservations" "$(reservation "$taken")"
ask 200 DELETE "$inventory_url/reservations/$taken"
post 409 "$inventory_url/reservations" "$(reservation "$taken")"
post 409 "$inventory_url/reservations" "$(reservation "$(uuid)" rare-print 4)"
ask 200 DELETE "$inventory_url/reservations/$(uuid)"
ask 422 DELETE "$inventory_url/reservations/no-uuid"

story "the bank"
post 202 "$transfer_url/transfers" "$(transfer)"
moved=$(answer .transfer_id)
becomes completed transfer_status "$moved"
post 202 "$transfer_url/transfers?mode=async" "$(transfer alice nobody)"
refused=$(answer .transfer_id)
becomes cancelled transfer_status "$refused"
ask 200 GET "$transfer_url/transfers/$refused"
post 202 "$transfer_url/transfers" "$(transfer bob carol '{"amount_minor":100500,"currency":"EUR"}')"
flagged=$(answer .transfer_id)
becomes cancelled transfer_status "$flagged"
becomes 0 lag_in_all
ask 200 GET "$ledger_url/accounts?limit=2"
ask 200 GET "$ledger_url/accounts?limit=2&after=$(answer .next)"
ask 200 GET "$ledger_url/accounts/alice"
ask 200 GET "$ledger_url/entries?subject=$moved"
ask 200 GET "$ledger_url/entries?limit=1"
ask 200 GET "$ledger_url/entries?limit=1&after=$(answer .next)"
ask 200 GET "$ledger_url/trial-balance?currency=EUR"
posted=$(uuid) stopped=$(uuid)
post 201 "$ledger_url/postings" "$(posting "$posted")"
post 409 "$ledger_url/postings" "$(posting "$posted" '{"amount_minor":1,"currency":"EUR"}')"
post 201 "$ledger_url/reversals" "$(reversal "$posted")"
post 201 "$ledger_url/reversals" "$(reversal "$stopped")"
post 409 "$ledger_url/postings" "$(posting "$stopped")"

story "fraud and notification"
seen=$(uuid)
post 200 "$fraud_url/screenings" "$(screening "$seen")"
ask 200 GET "$fraud_url/decisions/$seen"
flagged=$(uuid)
post 200 "$fraud_url/screenings" "$(screening "$flagged" mallory)"
ask 200 GET "$fraud_url/decisions/$flagged"
post 201 "$notification_url/messages" "$(message "$seen")"
ask 200 GET "$notification_url/notifications?subject=$seen"
ask 200 GET "$notification_url/notifications?limit=1"
ask 200 GET "$notification_url/notifications?limit=1&after=$(answer .next)"

# Every POST, as SERVICE URL BODY.
posts() {
  local id
  id=$(uuid)
  echo "order $order_url/orders $(order)"
  echo "payment $payment_url/charges $(charge "$id")"
  echo "payment $payment_url/refunds $(refund "$id")"
  echo "inventory $inventory_url/reservations $(reservation "$id")"
  echo "inventory $inventory_url/stock/grinder/restock {\"quantity\":1}"
  echo "notification $notification_url/messages $(message "$id")"
  echo "fraud $fraud_url/screenings $(screening "$id")"
  echo "ledger $ledger_url/postings $(posting "$id")"
  echo "ledger $ledger_url/reversals $(reversal "$id")"
  echo "transfer $transfer_url/transfers $(transfer)"
}
# Every list, and one of everything, as SERVICE URL.
lists() {
  echo "order $order_url/orders"
  echo "inventory $inventory_url/stock"
  echo "notification $notification_url/notifications"
  echo "ledger $ledger_url/accounts"
  echo "ledger $ledger_url/entries"
}
things() {
  echo "order $order_url/orders/$id"
  echo "payment $payment_url/payments/$paid"
  echo "inventory $inventory_url/stock/grinder"
  echo "fraud $fraud_url/decisions/$seen"
  echo "ledger $ledger_url/accounts/alice"
  echo "transfer $transfer_url/transfers/$moved"
}

story "what is wrong with a request is told"
head -c 70000 /dev/zero | tr '\0' x >"$folder/large"
while read -r _ url body; do
  post 400 "$url" '{'
  post 413 "$url" "@$folder/large"
  ask 415 POST "$url" -H 'Content-Type: text/plain' -d "$body"
  post 422 "$url" '{}'
  ask 405 PUT "$url" -H 'Content-Type: application/json' -d "$body"
done < <(posts)
while read -r _ url; do ask 400 GET "$url?limit=0"; done < <(lists)
while read -r _ url; do
  ask 404 GET "${url%/*}/00000000-0000-4000-8000-000000000000"
  ask 400 GET "${url%/*}/%ff"
done < <(things)
ask 400 DELETE "$inventory_url/reservations/%ff"
ask 404 GET "$order_url/nothing"
ask 405 TRACE "$order_url/orders"

story "a service of the chain is dead, or slow"
while_dead() { # SERVICE COMMAND...
  faultline kill "$1" >/dev/null
  "${@:2}"
  faultline start "$1" >/dev/null
}
while_paused() {
  faultline pause "$1" >/dev/null
  "${@:2}"
  faultline resume "$1" >/dev/null
}
# The same request twice at once: one is at work, whichever came first.
slow_chain() {
  local n pids=()
  for n in 1 2; do
    curl -s -o "$folder/body-$n" -w '%{http_code}\n' --max-time 30 "$order_url/orders?mode=sync" -H 'Content-Type: application/json' \
      -H 'Idempotency-Key: slow' -d "$(order)" >"$folder/slow-$n" &
    pids+=($!)
  done
  wait "${pids[@]}"
  [[ $(sort "$folder"/slow-? | xargs) == "409 504" ]] || fail "one is slow, one told so: $(cat "$folder"/slow-? "$folder"/body-?)"
}
refund_odd() {
  post 202 "$order_url/orders" "$(order)"
  local id=$(answer .order_id)
  post 202 "$order_url/orders" "$(order tok_visa alice rare-print 4)" # its payment will be voided
  local other=$(answer .order_id)
  payment_status() { curl -sf "$payment_url/payments/$1" | jq -r .status; }
  becomes authorized payment_status "$id"
  becomes authorized payment_status "$other"
  ask 200 GET "$order_url/orders/$id"
  post 409 "$payment_url/refunds" "$(refund "$id")" # it is authorized: nothing was charged yet
}
put_back_reserved() {
  post 202 "$order_url/orders" "$(order)"
  local id=$(answer .order_id)
  reserved() { curl -sf "$order_url/orders/$id" | jq -r .answers.inventory; }
  becomes good reserved
  ask 409 DELETE "$inventory_url/reservations/$id" # it is not sold yet
}
while_dead payment post 503 "$order_url/orders?mode=sync" "$(order)"
while_paused payment slow_chain
while_dead ledger post 503 "$payment_url/charges" "$(charge "$(uuid)")"
while_dead ledger post 503 "$payment_url/refunds" "$(refund "$(uuid)")"
while_paused fraud post 504 "$payment_url/charges" "$(charge "$(uuid)")"
while_paused ledger post 504 "$payment_url/refunds" "$(refund "$(uuid)")"
while_dead inventory refund_odd
while_dead payment put_back_reserved
becomes 0 pending_orders

story "the broker shows what it has"
restart_payment() { faultline kill payment >/dev/null && faultline start payment --set "$1" >/dev/null; }
restart_payment BUS_RETRIES=1000
faultline order --token tok_poison >/dev/null
failing() { curl -sf "$broker_url/status" | jq '[.groups[].failing | length] | add'; }
becomes 1 failing
restart_payment BUS_RETRIES=0
becomes 1 dead_letters
faultline order --token tok_poison >/dev/null
becomes 2 dead_letters
ask 200 GET "$broker_url/dead-letters?group=payment&limit=1"
letter=$(answer '.dead_letters[0].offset')
ask 200 GET "$broker_url/dead-letters?limit=1&after=$(answer .next)"
ask 200 GET "$broker_url/dead-letters/$letter"
ask 404 GET "$broker_url/dead-letters/99999999"
ask 400 GET "$broker_url/dead-letters/%00"
ask 404 GET "$broker_url/dead-letters?group=nobody"
ask 400 GET "$broker_url/dead-letters?limit=0"
ask 400 GET "$broker_url/dead-letters?limits=1"
ask 404 GET "$broker_url/nothing"
ask 405 POST "$broker_url/status" -d x
faultline dead-letters redrive --all >/dev/null
becomes 2 dead_letters
faultline kill broker >/dev/null
SEGMENT_BYTES=1048576 RETENTION_BYTES=1048576 faultline start broker >/dev/null
pad=$(head -c 60000 /dev/zero | tr '\0' x)
for n in $(seq 20); do # data that order-created does not have: four groups give each up
  subject=$(uuid)
  echo "e-$n-$$ $subject {\"specversion\":\"1.0\",\"id\":\"e-$n-$$\",\"source\":\"/tests/contracts\",\"type\":\"order-created\",\"subject\":\"$subject\",\"partitionkey\":\"$subject\",\"time\":\"2026-01-01T00:00:00.000000Z\",\"datacontenttype\":\"application/json\",\"dataschema\":\"urn:faultline:order-created:2\",\"correlationid\":\"$subject\",\"causationid\":\"test\",\"data\":{\"pad\":\"$pad\"}}"
done | examples/python/publish.py "tcp://127.0.0.1:$bus_port" order-created >"$folder/published"
held_back() { curl -sf "$broker_url/status" | jq '.log.held_back_by.dead_letter'; }
becomes true held_back

story "health and metrics"
for port in 0 1 2 3 4 5 6 7; do
  for path in healthz readyz metrics; do ask 200 GET "$(url $port)/$path"; done
done
faultline kill broker >/dev/null
not_ready() { curl -s "$(url $1)/readyz" | jq .ready; }
for port in 1 2 3 4 5 6 7; do becomes false not_ready $port; done
faultline start broker >/dev/null

story "a database that is damaged under a service"
damage() { # SERVICE: its tables are renamed, and back again
  python3 - "$FAULTLINE_DIR/data/$1/$1.db" "$2" <<'PY'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30)
for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall():
    new = name + "_gone" if sys.argv[2] == "away" else name.removesuffix("_gone")
    if name not in ("inbox", "outbox", "requests", "answers") and new != name:
        database.execute(f'ALTER TABLE "{name}" RENAME TO "{new}"')
database.commit()
PY
}
while read -r _ url; do ask 200 GET "$url"; done < <(lists; things; echo "ledger $ledger_url/trial-balance")
while read -r _ url body; do curl -s -o "$folder/body" "$url" -H 'Content-Type: application/json' -d "$body"; done < <(posts)
becomes 0 lag_in_all
for service in order payment inventory notification fraud ledger transfer; do damage $service away; done
while read -r _ url; do ask 500 GET "$url"; done < <(lists; things; echo "ledger $ledger_url/trial-balance")
while read -r _ url body; do post 503 "$url" "$body"; done < <(posts | grep -v '/charges\|/refunds' )
for service in order payment inventory notification fraud ledger transfer; do damage $service back; done

story "a database that forbids what its service writes"
forbid() { # SERVICE HOW: each change of its own tables fails, or does no more
  local data=$FAULTLINE_DIR/data/$1/$1.db table change
  for table in $(sql "$data" "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT IN ('inbox', 'outbox')"); do
    for change in INSERT UPDATE; do
      sql "$data" "DROP TRIGGER IF EXISTS forbid_${change}_$table"
      [[ $2 == no ]] || sql "$data" "CREATE TRIGGER forbid_${change}_$table BEFORE $change ON $table BEGIN SELECT raise(ABORT, 'no'); END"
    done
  done
}
taken=$(uuid)
post 201 "$inventory_url/reservations" "$(reservation "$taken")"
for service in order payment inventory notification fraud ledger transfer; do
  forbid $service yes
  while read -r _ url body; do post 500 "$url" "$body"; done < <(posts | grep "^$service ")
  [[ $service != inventory ]] || ask 500 DELETE "$inventory_url/reservations/$taken"
  forbid $service no
done
ask 200 DELETE "$inventory_url/reservations/$taken"

story "what waits for a service when it stops is told so"
state() { { faultline ps --json || true; } | jq -r ".[] | select(.name == \"$1\") | .state"; }
pid() { faultline ps --json | jq -r ".[] | select(.name == \"$1\") | .pid"; }
path_of() { echo "/${1#http://*/}"; }
# What there is to ask a service, a POST first.
questions() {
  posts | while read -r whose url body; do [[ $whose != "$1" ]] || echo "POST $(path_of "$url") $body"; done | tac
  posts | while read -r whose url body; do [[ $whose != "$1" ]] || echo "POST $(path_of "$url") $body"; done
  { lists; things; echo "ledger $ledger_url/trial-balance"; echo "order $order_url/products"; } |
    while read -r whose url; do [[ $whose != "$1" ]] || echo "GET $(path_of "$url")"; done
  [[ $1 != inventory ]] || echo "DELETE /reservations/$(uuid)"
  printf 'GET /%s\n' healthz readyz metrics
}
index=0
for service in order payment inventory notification fraud ledger transfer; do
  index=$((index + 1)) flood=0
  [[ $service != fraud ]] || flood=1100 # 1024 may wait
  questions $service | tests/e2e/stop_while_asked.py "$(pid $service)" $((http_port + index)) \
    "$FAULTLINE_DIR/data/$service/$service.db" $flood >"$folder/stopped" || fail "$service is stopped: $(cat "$folder/stopped")"
  ! grep -v '^503' "$folder/stopped" || fail "each is answered 503"
done
# The broker has no such lock: it may be gone before it has read a request.
for ((tries = 0; tries < 20; tries++)); do
  printf 'GET /%s\n' healthz readyz metrics status dead-letters "dead-letters/$letter" |
    tests/e2e/stop_while_asked.py "$(pid broker)" "$http_port" >"$folder/stopped"
  becomes dead state broker
  SEGMENT_BYTES=1048576 RETENTION_BYTES=1048576 faultline start broker >/dev/null
  grep -v '^503' "$folder/stopped" >/dev/null || break
done
faultline start >/dev/null
becomes 2 pending_orders # the poisoned ones
the_books_add_up
