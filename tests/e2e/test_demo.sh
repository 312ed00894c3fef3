#!/usr/bin/env bash
# The demo tells the truth: every sentence of it happens, also a second time.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh

story "the demo, on an empty folder"
./demo --bin "$FAULTLINE_BIN" | tee "$folder/out"
grep -q 'Everything happened as told' "$folder/out" || fail "the demo says that all happened as told"
grep -q 'waiting for payment: no member for' "$folder/out" || fail "trace names the reason"

story "the order that waited can be traced as the demo proposes"
id=$(sed -n 's/.*faultline trace \([0-9a-f-]*\) .*/\1/p' "$folder/out")
faultline trace "$id" | tee "$folder/trace"
grep -q ': confirmed after' "$folder/trace" || fail "the proposed trace works"

story "the demo again, on the same data"
./demo --bin "$FAULTLINE_BIN" >"$folder/out" || { cat "$folder/out"; fail "the second run succeeds"; }

story "what every process measures is what Prometheus reads"
command -v promtool >/dev/null || fail "promtool is not there; ./check unpacks it into build/tools"
for port in 0 1 2 3 4 5 6 7; do
  curl -sf "$(url $port)/metrics" >"$folder/metrics" || fail "the metrics of $(url $port)"
  promtool check metrics <"$folder/metrics" >"$folder/promtool" 2>&1 || fail "the metrics of $(url $port): $(cat "$folder/promtool")"
done

story "a trace that came in by HTTP goes through every event and every call"
trace=4bf92f3577b34da6a3ce929d0e0e4736
for mode in async sync; do
  id=$(curl -sf "$order_url/orders?mode=$mode" -H 'Content-Type: application/json' \
    -H "traceparent: 00-$trace-00f067aa0ba902b7-01" \
    -d '{"customer_id":"alice","payment_token":"tok_visa","items":[{"sku":"espresso-cup","quantity":1}]}' | jq -r .order_id)
  becomes confirmed order_status "$id"
  becomes 0 lag_in_all
  faultline logs --json | jq -c "select(.correlation_id == \"$id\" and .trace_id != null)" >"$folder/traced"
  jq -es "all(.trace_id == \"$trace\")" "$folder/traced" >/dev/null || fail "one trace ($mode): $(cat "$folder/traced")"
  for service in order payment inventory fraud ledger notification; do
    jq -es "any(.service == \"$service\")" "$folder/traced" >/dev/null || fail "the trace goes through $service ($mode)"
  done
done
