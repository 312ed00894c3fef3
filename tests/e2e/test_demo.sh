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
