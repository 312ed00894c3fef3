#!/usr/bin/env bash
# No data race in any process: both paths under load, replicas, a killed payment, a
# paused fraud, and a clean end. What libraries read and write by themselves is left
# out (ignore_noninstrumented_modules): the sanitizer cannot see how libzmq's threads
# synchronise, and to suppress each byte of a message alone makes the broker a
# hundred times slower.
set -euo pipefail
cd "$(dirname "$0")/../.."
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan/suppressions.txt exitcode=66 ignore_noninstrumented_modules=1"
source tests/e2e/house.sh
house_up --scale payment=2

story "both paths at once"
faultline load 300 --timeout 60 --json >"$folder/events" &
events=$!
faultline load 60 --mode sync --clients 8 --json >"$folder/chain" || true
wait "$events" || fail "the orders by events have their ends: $(cat "$folder/events")"
for path in 1 2 3 4 5 6 7 0; do curl -sf "$(url $path)/metrics" >/dev/null || fail "metrics are read meanwhile"; done

story "a service is killed and another paused, under both paths"
faultline load 200 --rate 100 --timeout 60 --json >"$folder/events" &
events=$!
faultline kill payment-2
faultline pause fraud
faultline order --mode sync --timeout 10 >/dev/null 2>&1 || true
faultline resume fraud
faultline start payment-2
wait "$events" || fail "the orders by events have their ends: $(cat "$folder/events")"
becomes 0 lag_in_all
faultline down

story "what the sanitizer saw"
if grep -rl 'ThreadSanitizer' "$FAULTLINE_DIR/logs" >"$folder/races"; then
  cat "$(head -n 1 "$folder/races")" | grep -A 40 'WARNING: ThreadSanitizer' | head -n 120
  fail "races in: $(paste -sd' ' "$folder/races")"
fi
