#!/usr/bin/env bash
# A process dies at the crash point that it was told, once, and comes back as if nothing
# had been; what can never come true is refused before anything is started.
# (tests/crash kills all of them.)
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh

# fails_with CODE WORDS COMMAND...: it ends with the code and says the words.
fails_with() {
  local code=0 wanted=$1 words=$2
  shift 2
  "$@" >"$folder/out" 2>&1 || code=$?
  [[ $code == "$wanted" ]] && grep -q -- "$words" "$folder/out" ||
    fail "'$*' ends with $wanted and says '$words', not $code and '$(cat "$folder/out")'"
}

state() { { faultline ps --json || true; } | jq -r ".[] | select(.name == \"$1\") | .state"; }

story "the list is there for people and for programs, without a stack"
faultline crash-points >"$folder/out"
grep -q '^service-after-commit  *service  *a batch is on disk' "$folder/out" || fail "the table"
faultline crash-points --json | jq -e 'length > 50 and all(.name and .process and .sentence)' >/dev/null || fail "JSON"

story "a whole stack is not made to die"
FAULTLINE_CRASH_AT=service-after-commit fails_with 2 "is for one process" faultline up --bin "$FAULTLINE_BIN" \
  --http-port "$http_port" --bus-port "$bus_port"

story "what can never come true is refused, by the command and by the process"
house_up
faultline kill payment
fails_with 2 "there is no such crash point" faultline start payment --crash-at service-after-comit
fails_with 2 "only the broker does" faultline start payment --crash-at broker-after-sync
fails_with 2 "payment never passes" faultline start payment --crash-at order-chain-begun
fails_with 2 "which passing it is" faultline start payment --crash-at service-after-commit:0
fails_with 2 "how many ms late" faultline start payment --crash-at service-after-commit:1+x
[[ $(state payment) == dead ]] || fail "nothing was started"
for process in broker payment; do
  FAULTLINE_CRASH_AT=order-chain-begun fails_with 2 "faultline crash-points" "$FAULTLINE_BIN/faultline-$process"
done

story "it dies there, at the passing that was asked for, and says so"
faultline start payment --crash-at service-before-ack:3
faultline order --wait >/dev/null || fail "it lives through the two events of the first order"
faultline load 5 --timeout 0 >/dev/null || true
becomes dead state payment
faultline logs payment >"$folder/out"
grep -q 'died at crash point service-before-ack, passing 3' "$folder/out" || fail "its log tells where"

story "the next start is without, and everything has its end"
faultline start payment
faultline load 20 --timeout 60 >/dev/null || fail "payment lives on"
becomes 0 pending_orders
[[ $(state payment) == ready ]] || fail "it did not die again"

story "the setting does the same for this start, also in the start itself"
faultline kill payment
FAULTLINE_CRASH_AT=service-schema-made fails_with 1 "died at crash point service-schema-made" faultline start payment
faultline start payment
the_books_add_up
faultline verify >"$folder/out" || fail "all holds: $(cat "$folder/out")"
