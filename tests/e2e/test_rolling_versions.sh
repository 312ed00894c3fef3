#!/usr/bin/env bash
# The roll from version 1 of order-created and transfer-created to version 2 under load,
# process by process: consumers first, producers last, and nothing is lost. Then the wrong
# order: what an old consumer does not know becomes a dead letter, and comes back by redrive once
# it is upgraded. docs/versions.md tells the same to people.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh

# What plays the older release: producers say version 1, consumers know no other.
ORDER_EVENT_VERSION=1 TRANSFER_EVENT_VERSION=1 EVENT_VERSION_MAX=1 house_up --scale payment=2 --scale fraud=2

# versions TOPIC: which versions of it are in the log, "1 2".
versions() { faultline tail --from start --once --json "$1" | jq -r '.event.dataschema | split(":")[-1]' | sort -u | xargs; }
newest_order() { curl -sf "$order_url/orders?limit=1" | jq -r '.orders[0].order_id'; }
moves_on() { [[ $(newest_order) != "$1" ]] && echo yes; }
errors() { curl -sf "$broker_url/dead-letters?limit=500" | jq -r '.dead_letters[].error' | sort -u; }

# upgrade PROCESS SETTING...: it dies, and comes back as the newer release, for good.
upgrade() {
  local process=$1 setting
  local arguments=(--set EVENT_VERSION_MAX=2)
  shift
  for setting in "$@"; do arguments+=(--set "$setting"); done
  faultline kill "$process" >/dev/null
  faultline start "$process" "${arguments[@]}" >/dev/null
}

nothing_is_lost() {
  becomes 0 pending_orders
  becomes 0 dead_letters
  the_books_add_up
  faultline verify --record "$folder/accepted" >"$folder/verify" || fail "verify finds nothing: $(cat "$folder/verify")"
}

# Orders and transfers, until the file calm is there.
load() {
  until [[ -e $folder/calm ]]; do
    faultline load 20 --rate 100 --timeout 120 --record "$folder/accepted" --json >>"$folder/loads" 2>>"$folder/said" || true
    faultline transfer --amount 0.01 --json >>"$folder/transfers" 2>>"$folder/said" || true
  done
}

story "the older release: what it says is version 1"
faultline load 10 --timeout 60 --record "$folder/accepted" >/dev/null || fail "orders have their ends"
faultline transfer --amount 1.00 >/dev/null
[[ $(versions order-created) == 1 && $(versions transfer-created) == 1 ]] || fail "version 1 alone is in the log"

story "consumers first: each process is killed and comes back with version 2, under load"
load &
load=$!
for process in fraud fraud-2 inventory payment payment-2 notification ledger; do
  before=$(newest_order)
  upgrade "$process"
  becomes yes moves_on "$before"
done
[[ $(versions order-created) == 1 ]] || fail "the producers are as they were: $(versions order-created)"

story "the producers last: both versions are in one log"
before=$(newest_order)
upgrade order ORDER_EVENT_VERSION=2
upgrade transfer TRANSFER_EVENT_VERSION=2
becomes yes moves_on "$before"
faultline transfer --amount 1.00 >/dev/null
touch "$folder/calm"
wait "$load"
[[ $(versions order-created) == "1 2" && $(versions transfer-created) == "1 2" ]] ||
  fail "both versions are there: $(versions order-created), $(versions transfer-created)"
[[ $(jq -s 'map(.unfinished) | add' "$folder/loads") == 0 ]] || fail "every accepted order has its end: $(cat "$folder/loads")"
nothing_is_lost

story "a process that was upgraded stays so when it dies once more"
faultline kill order >/dev/null
faultline start order >/dev/null
faultline order --wait --json >"$folder/order" || fail "the order is confirmed: $(cat "$folder/order")"
[[ $(faultline tail --from start --once --json order-created | jq -r .event.dataschema | tail -n 1) == urn:faultline:order-created:2 ]] ||
  fail "order says version 2 still"

story "the wrong order: a consumer was forgotten. What it does not know is kept, and says what to do"
for process in payment payment-2; do
  faultline kill "$process" >/dev/null
  faultline start "$process" --set EVENT_VERSION_MAX=1 >/dev/null
done
faultline load 10 --timeout 0 --record "$folder/accepted" --json >"$folder/load" || true
[[ $(jq .accepted "$folder/load") == 10 ]] || fail "orders are accepted all the same: $(cat "$folder/load")"
becomes 10 dead_letters
[[ $(errors) == "dataschema: order-created version 2 is newer than this payment knows (1): upgrade it, then redrive" ]] ||
  fail "the dead letters say what to do: $(errors)"
[[ $(pending_orders) == 10 ]] || fail "the orders wait"

story "upgraded and redriven, nothing is lost"
upgrade payment
upgrade payment-2
faultline dead-letters redrive --all >/dev/null
nothing_is_lost

story "version 3, which nobody knows yet, is kept by everybody who would need it"
id=$(cat /proc/sys/kernel/random/uuid)
jq -nc --arg id "$id" '{specversion: "1.0", id: "newer-\($id)", source: "/tests/newer", type: "order-created", subject: $id,
  partitionkey: $id, time: "2026-01-01T00:00:00.000000Z", datacontenttype: "application/json",
  dataschema: "urn:faultline:order-created:3", correlationid: $id, causationid: "test", data: {order_id: $id}}' |
  sed "s/^/newer-$id $id /" | examples/python/publish.py "tcp://127.0.0.1:$bus_port" order-created >"$folder/published"
becomes 4 dead_letters
for service in fraud inventory notification payment; do
  errors | grep -qxF "dataschema: order-created version 3 is newer than this $service knows (1, 2): upgrade it, then redrive" ||
    fail "$service says what to do: $(errors)"
done

story "redriven without an upgrade, it comes back; others go on meanwhile"
letters() { curl -sf "$broker_url/dead-letters" | jq -c '[.dead_letters[] | select(.original_offset != .first_offset)] | length'; }
faultline dead-letters redrive --all >/dev/null
becomes 4 letters
faultline order --wait --json >"$folder/order" || fail "others go on: $(cat "$folder/order")"
the_books_add_up

story "what each has in its database is what the log says, read by the rules that each was upgraded to"
for service in payment inventory notification fraud ledger; do
  faultline rebuild "$service" --dry-run >"$folder/rebuild" 2>&1 || fail "$service is what the log says: $(cat "$folder/rebuild")"
done
! grep -rl "AddressSanitizer\|LeakSanitizer\|runtime error:" "$FAULTLINE_DIR/logs" || fail "no sanitizer spoke"
