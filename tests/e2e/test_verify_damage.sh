#!/usr/bin/env bash
# verify finds each thing that is broken in a copy of a stack's data, by its name and by no
# other: damage.py has the list.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh
FRAUD_LIMIT_MINOR=100000 house_up

place() { # ARGUMENT...: an order; prints its id
  faultline order --json "$@" | jq -r .id
}

payment_of() { curl -sf "$payment_url/payments/$1" | jq -r .status; }
goods_held() { curl -sf "$inventory_url/stock/moka-pot" | jq .reserved; }
held_of() { curl -sf "$ledger_url/accounts/$1" | jq .held.amount_minor; }

story "a stack with something of everything"
faultline load 10 --record "$folder/record" --timeout 60 >/dev/null || fail "orders have their ends"
faultline load 2 --mode sync --record "$folder/record" >/dev/null || fail "orders over HTTP as well"
faultline order --mode sync >/dev/null || fail "one more that no record tells of"
faultline transfer --from bob --to alice --amount 5.00 --wait >/dev/null || fail "a transfer is completed"
place --token tok_declined >/dev/null
place --token tok_poison >/dev/null
faultline pause fraud >/dev/null # so that all the others have answered when it does
id=$(place --customer mallory --item moka-pot=2)
faultline transfer --from alice --to carol --amount 1003.00 >/dev/null
becomes authorized payment_of "$id"
becomes 2 goods_held
becomes 100300 held_of alice
faultline resume fraud >/dev/null
becomes voided payment_of "$id"
becomes 0 goods_held
becomes 0 held_of alice
becomes 1 dead_letters
becomes 0 lag_in_all
faultline kill broker >/dev/null
place >/dev/null # it stays in the outbox
faultline down >/dev/null
data=$FAULTLINE_DIR/data
faultline verify --record "$folder/record" || fail "it holds"

story "what is broken is found, each by its name"
tests/e2e/damage.py "$data" "$folder/record" || fail "each damage is found"
cp -r "$data" "$folder/broken"
python3 - "$folder/broken/payment/payment.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("DELETE FROM inbox WHERE number = (SELECT min(number) FROM inbox)")
db.commit()
PY
code=0
faultline verify --data "$folder/broken" >"$folder/out" || code=$?
cat "$folder/out"
[[ $code == 1 ]] || fail "something is broken"
grep -q 'payment has not handled order-created' "$folder/out" || fail "a sentence says what"
grep -q 'payment  *[└├]─ its inbox does not have it' "$folder/out" || fail "the lineage shows where"
! grep -rl "AddressSanitizer\|LeakSanitizer\|runtime error:" "$FAULTLINE_DIR/logs" || fail "no sanitizer spoke"
