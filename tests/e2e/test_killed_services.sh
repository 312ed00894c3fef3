#!/usr/bin/env bash
# Whichever service is killed, orders and transfers go on being accepted; once it is
# back, all of them have their end and the books add up.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh
house_up

# What is placed while a service is dead: five orders, of which one is declined and
# one out of stock, and a transfer.
place() {
  faultline load 3 --timeout 0 --json >"$folder/load" || true
  [[ $(jq .accepted "$folder/load") == 3 ]] || fail "three orders are accepted: $(cat "$folder/load")"
  faultline order --token tok_declined --json >"$folder/order" || fail "an order is accepted"
  jq -r .id "$folder/order" >>"$folder/declined"
  faultline order --item rare-print=4 --json >"$folder/order" || fail "an order is accepted"
  jq -r .id "$folder/order" >>"$folder/too_many"
  faultline transfer --amount 1.00 --json >"$folder/transfer" || fail "a transfer is accepted"
  jq -r .id "$folder/transfer" >>"$folder/transfers"
}

newest_order() { curl -sf "$order_url/orders?limit=1" | jq -r '.orders[0].order_id'; }
load_began() { [[ $(newest_order) != "$1" ]] && echo yes; }

for service in payment inventory notification fraud ledger transfer order broker; do
  story "$service is killed under load, and started again"
  before=$(newest_order)
  faultline load 40 --rate 200 --timeout 60 --json >"$folder/under_load" &
  load=$!
  becomes yes load_began "$before"
  faultline kill "$service"
  case $service in
    order) ;;    # it takes the orders: nothing can be placed
    transfer)    # it takes the transfers
      faultline load 3 --timeout 0 --json >"$folder/load" || true
      [[ $(jq .accepted "$folder/load") == 3 ]] || fail "orders go on without transfer" ;;
    *) place ;;
  esac
  faultline start "$service"
  wait "$load" || [[ $service == order ]] || fail "the load has all its ends: $(cat "$folder/under_load")"
  [[ $(jq .unfinished "$folder/under_load") == 0 ]] ||
    fail "every accepted order has its end: $(cat "$folder/under_load")"
  becomes 0 pending_orders
  becomes 0 lag_in_all
done

story "each had the end that it should have"
while read -r id; do becomes cancelled order_status "$id"; done <"$folder/declined"
while read -r id; do becomes cancelled order_status "$id"; done <"$folder/too_many"
while read -r id; do becomes completed transfer_status "$id"; done <"$folder/transfers"
[[ $(dead_letters) == 0 ]] || fail "nothing was dead-lettered: $(curl -sf "$broker_url/dead-letters")"
the_books_add_up

story "SIGTERM ends every process with 0 and leaves nothing behind"
faultline down
faultline logs --json | jq -c 'select(.msg == "stopped" and .service != "broker")' >"$folder/stopped"
[[ $(wc -l <"$folder/stopped") -ge 7 ]] || fail "each service stopped cleanly: $(cat "$folder/stopped")"
jq -es 'all(.outbox == 0)' "$folder/stopped" >/dev/null || fail "the outboxes are empty: $(cat "$folder/stopped")"
! grep -rl 'AddressSanitizer\|LeakSanitizer\|runtime error:\|ThreadSanitizer' "$FAULTLINE_DIR/logs" || fail "no sanitizer spoke"
