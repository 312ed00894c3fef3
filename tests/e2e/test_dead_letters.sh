#!/usr/bin/env bash
# What a service gave up goes back to it and has its end, also when it dies again on the
# way; groups read the log again, begin anew and end, and no effect happens twice.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh
house_up

# fails_with CODE WORDS COMMAND...: it ends with the code and says the words.
fails_with() {
  local code=0 wanted=$1 words=$2
  shift 2
  "$@" >"$folder/out" 2>&1 || code=$?
  [[ $code == "$wanted" ]] && grep -q -- "$words" "$folder/out" ||
    fail "'$*' ends with $wanted and says '$words', not $code and '$(cat "$folder/out")'"
}

restart_payment() { # with settings in the environment
  faultline kill payment
  faultline start payment
}

# The newest dead letter, as JSON, and what is in it.
letter() { faultline dead-letters list --json | jq '.dead_letters[-1]'; }
letter_offset() { letter | jq .offset; }
letter_is_new() { [[ $(letter_offset) -gt $1 ]] && echo yes; }

# died_again OFFSET: waits for a dead letter behind that one, which keeps the first offset.
died_again() {
  becomes yes letter_is_new "$1"
  [[ $(letter | jq .first_offset) == "$first_offset" ]] || fail "it keeps its first offset: $(letter)"
  [[ $(letter | jq .original_offset) -gt $1 ]] || fail "it was the copy that died: $(letter)"
}

# handled_by EVENT: the services that handled it, each as often as it did.
handled_by() {
  faultline logs --json | jq -r "select(.msg == \"event handled\" and .event_id == \"$1\") | .service" |
    sort | xargs
}

story "payment does not try again, and gives an order up"
BUS_RETRIES=0 restart_payment
faultline order --token tok_flaky --json >"$folder/flaky"
flaky=$(jq -r .id "$folder/flaky")
becomes 1 dead_letters
offset=$(letter_offset) first_offset=$(letter | jq .first_offset) event=$(letter | jq -r .event_id)
[[ $(letter | jq -r '"\(.group) \(.topic) \(.attempts)"') == "payment order-created 1" ]] ||
  fail "the dead letter says whose it is: $(letter)"
[[ $(letter | jq .original_offset) == "$first_offset" ]] || fail "the event itself died: $(letter)"
[[ $(order_status "$flaky") == pending ]] || fail "the order waits"

story "it goes back, and dies again: nothing has changed"
faultline dead-letters redrive "$offset" >"$folder/out" || fail "it is redriven: $(cat "$folder/out")"
grep -q '^1 dead letter was given back' "$folder/out" || fail "it says so: $(cat "$folder/out")"
died_again "$offset"
fails_with 1 "redriven already" faultline dead-letters redrive "$offset"

story "payment tries again by now: what goes back has its end, and nobody else gets it"
restart_payment
faultline dead-letters redrive --group payment --json >"$folder/out"
[[ $(jq .redriven "$folder/out") == 1 ]] || fail "one is redriven: $(cat "$folder/out")"
becomes confirmed order_status "$flaky"
becomes 0 dead_letters
becomes "fraud inventory notification payment" handled_by "$event"

story "poison stays poison, however often it goes back"
faultline order --token tok_poison --json >"$folder/poison"
becomes 1 dead_letters
offset=$(letter_offset) first_offset=$(letter | jq .first_offset)
for _ in 1 2; do
  faultline dead-letters redrive --all >"$folder/out"
  died_again "$offset"
  offset=$(letter_offset)
done
faultline dead-letters show "$offset" | grep -q "itself is at $first_offset" || fail "show tells where the event is"

story "a list of dead letters that is full holds the next one back, and nothing is lost"
dying() { curl -sf "$broker_url/status" | jq '.groups[] | select(.name == "payment") | .dying'; }
faultline kill broker
DEAD_LETTERS_MAX=1 faultline start broker
faultline order --token tok_poison --json >"$folder/poison"
becomes 1 dying
faultline groups | grep -q "payment gave up 1 more and has no room" || fail "groups tells it: $(faultline groups)"
faultline kill broker # with more room from now on
faultline start broker
becomes 2 dead_letters
becomes 0 dying
members() { curl -sf "$broker_url/status" | jq '[.groups[].members | length] | min'; }
becomes 1 members # all are back

story "mistakes are told, with what to do"
fails_with 2 "redrive which" faultline dead-letters redrive
fails_with 2 "redrive which" faultline dead-letters redrive "$offset" --all
fails_with 2 "no offset" faultline dead-letters redrive now
fails_with 1 "no dead letter" faultline dead-letters redrive 0
fails_with 1 "no such group" faultline dead-letters redrive --group nobody
fails_with 2 "replay from where" faultline replay payment
fails_with 2 "replay from where" faultline replay payment --from yesterday
fails_with 1 "no such group" faultline replay nobody --from earliest
fails_with 1 "the log holds offsets" faultline replay payment --from 99999999
fails_with 1 "has members" faultline groups delete payment
fails_with 1 "no such group" faultline groups delete nobody

pending_but_poison() { echo $(($(pending_orders) - 2)); }
acked() { curl -sf "$broker_url/status" | jq .counters.acked; }

# What there is of effects: what the ledger booked, who was told, what is left of the stock.
effects() {
  becomes 0 pending_but_poison
  becomes 0 lag_in_all
  curl -sf "$ledger_url/entries?limit=500" | jq -c '[.entries[].entry_id] | length, unique == sort'
  curl -sf "$notification_url/notifications?limit=500" | jq '.notifications | length'
  curl -sf "$inventory_url/stock?limit=500" | jq -c '[.stock[] | [.sku, .available, .reserved, .sold]]'
}

services=(order payment inventory notification fraud ledger transfer)

BUS_RETRIES=0 restart_payment # poison dies at once from here on: each replay meets it again

story "every group reads its history again while orders go on"
faultline load 60 --timeout 60 --json >"$folder/load" || fail "orders have their ends: $(cat "$folder/load")"
faultline load 60 --rate 100 --timeout 60 --json >"$folder/load" &
load=$!
for group in "${services[@]}"; do
  faultline replay "$group" --from earliest --json >"$folder/out" || fail "$group is replayed: $(cat "$folder/out")"
  [[ $(jq .offset "$folder/out") == 0 ]] || fail "$group begins at 0: $(cat "$folder/out")"
done
wait "$load" || fail "orders go on: $(cat "$folder/load")"
[[ $(jq .confirmed "$folder/load") == 60 ]] || fail "each is confirmed: $(cat "$folder/load")"
effects >"$folder/before"
the_books_add_up

story "once more, in peace: nothing happens twice"
acked=$(acked)
for group in "${services[@]}"; do faultline replay "$group" --from earliest >/dev/null; done
effects >"$folder/after"
(($(acked) > acked + 500)) || fail "they did read it again: $(acked) acks after $acked"
diff "$folder/before" "$folder/after" || fail "a replay doubles no effect"

story "a group is deleted; a fresh one reads the whole history while the others go on"
faultline kill notification
becomes "notification is no group any more" faultline groups delete notification
[[ $(faultline groups --json | jq '[.[] | select(.name == "notification")] | length') == 0 ]] || fail "it is gone"
faultline load 20 --timeout 60 >/dev/null || fail "the others go on"
acked=$(acked)
faultline start notification
becomes 0 lag_in_all
(($(acked) > acked + 250)) || fail "it read the whole history: $(acked) acks after $acked"
told() { curl -sf "$notification_url/notifications?limit=500" | jq '.notifications | length'; }
becomes $(($(sed -n 3p "$folder/before") + 40)) told # of each new order: that it came, that it is confirmed

story "a replay begins at an offset, or at a time"
next=$(curl -sf "$broker_url/status" | jq .log.next_offset)
last=$(faultline tail --from $((next - 1)) --once --json | jq -r .event.time)
[[ $(faultline replay ledger --from 7 --json | jq .offset) == 7 ]] || fail "it begins at 7"
[[ $(faultline replay ledger --from 2020-01-01T00:00:00Z --json | jq .offset) == 0 ]] || fail "all is later than 2020"
offset=$(faultline replay ledger --from "$last" --json | jq .offset)
((offset > 7 && offset < next)) || fail "the last event's time, $last, lies before its storing: $offset of $next"
[[ $(faultline replay ledger --from latest --json | jq .offset) -ge $next ]] || fail "latest is the end"
effects >/dev/null
! grep -rl "AddressSanitizer\|LeakSanitizer\|runtime error:" "$FAULTLINE_DIR/logs" || fail "no sanitizer spoke"
the_books_add_up
