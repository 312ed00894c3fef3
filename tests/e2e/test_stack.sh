#!/usr/bin/env bash
# The stack as a person handles it: up, work, harm, repair, down; and a clear
# sentence for everything that can go wrong with it.
set -uo pipefail

bin=${FAULTLINE_BIN:?where the executables are}
dir=$(mktemp -d)
export FAULTLINE_DIR=$dir/state NO_COLOR=1
unset FAULTLINE_COMMAND
faultline=$bin/faultline
checks=0
source "$(dirname "$0")/record.sh"

finish() {
  record_events "$faultline"
  "$faultline" down --data >"$dir/last" 2>&1 || cat "$dir/last"
  "$faultline" down --data --dir "$dir/second" >/dev/null 2>&1
  rm -rf "$dir"
}
trap finish EXIT

fail() {
  echo "FAILED: $*"
  echo "--- its output:"
  cat "$dir/out"
  echo "--- the last lines of the logs:"
  "$faultline" logs -n 40
  exit 1
}

story() { echo "== $*"; }

# expect CODE ARGUMENT...: runs the command and wants this exit code.
expect() {
  local wanted=$1 code=0
  shift
  [[ ${1:-} != down ]] || record_events "$faultline"
  "$faultline" "$@" >"$dir/out" 2>&1 || code=$?
  checks=$((checks + 1))
  ((code == wanted)) || fail "faultline $* ended with $code, not $wanted"
}

# says TEXT: the last command wrote it.
says() {
  checks=$((checks + 1))
  grep -qF -- "$1" "$dir/out" || fail "nothing said: $1"
}

# value JQ: reads the JSON of the last command.
value() { jq -r "$1" "$dir/out"; }

# becomes TEXT COMMAND...: waits at most 30 s until the command prints just that.
becomes() {
  local wanted=$1 deadline=$((SECONDS + 30)) got
  shift
  checks=$((checks + 1))
  until got=$("$@" 2>/dev/null) && [[ $got == "$wanted" ]]; do
    ((SECONDS < deadline)) || fail "$* gave '$got', not '$wanted'"
    sleep 0.02
  done
}

url() { "$faultline" ps --json | jq -r ".[] | select(.name == \"$1\") | \"http://127.0.0.1:\(.port)\""; }
status_of() { curl -sf "$order_url/orders/$1" | jq -r .status; }
state_of() { "$faultline" ps --json | jq -r ".[] | select(.name == \"$1\") | .state"; }
refused_by_broker() { "$faultline" trace "$1" | grep -c "refused by the broker: "; }
lag_in_all() { "$faultline" groups --json | jq '[.[].lag_events] | add'; }

cd "$dir" || exit 1

story "nothing runs: every command says what to do"
expect 1 ps
says "nothing runs here"
says "faultline up"
expect 1 kill payment
says "nothing runs here"
expect 0 down

story "wrong usage is told"
expect 2
expect 2 nonsense
expect 2 kill
expect 2 up --scale payment=0
says "N from 1 to 16"
expect 2 up --scale broker=2
says "only one broker"
expect 2 up --scale shop=2
says "there is no service 'shop'"
expect 2 up --http-port 70000
expect 0 up --help
says "--http-port"

story "what cannot be started is told before anything starts"
mkdir "$dir/empty"
expect 1 up --bin "$dir/empty" --http-port 0 --bus-port 0
says "there is no $dir/empty/faultline-broker"
: >"$dir/file"
expect 1 up --dir "$dir/file"
says "is a file, not a folder"
expect 1 up --dir "$dir/missing/folder"
says "cannot make the state folder"
expect 1 up --dir /proc/faultline
says "cannot make the state folder"

story "a process that dies at the start: its last words, and nothing is left"
FRAUD_LIMIT_MINOR=much expect 1 up --http-port 0 --bus-port 0
says "fraud ended with exit code"
says "FRAUD_LIMIT_MINOR"
says "nothing was left running"
expect 1 ps
says "nothing runs here"

story "up: everything is ready, with two payments that share their events"
FRAUD_LIMIT_MINOR=20000 expect 0 up --http-port 0 --bus-port 0 --scale payment=2
says "9 processes ready"
expect 0 ps --json
[[ $(value 'map(.ready) | all') == true && $(value length) == 9 ]] || fail "not all are ready"
[[ $(value 'map(.pss_kb > 0 and .pid > 0) | all') == true ]] || fail "a pid or memory is missing"
http_port=$(value '.[0].port')
expect 0 ps
says "9 of 9 ready"
order_url=$(url order)

story "up twice: a sentence, and nothing is harmed"
expect 1 up
says "a stack runs already in $FAULTLINE_DIR"
expect 1 up --dir "$dir/second" --http-port "$http_port" --bus-port 0
says "port $http_port, which broker needs, is taken by pid"
expect 0 ps

story "an order by events, one by HTTP, a transfer, and what is refused"
expect 0 order --wait --json
[[ $(value .status) == confirmed && $(value .http_status) == 202 ]] || fail "not confirmed"
expect 0 order --mode sync --json
[[ $(value .status) == confirmed && $(value .http_status) == 201 ]] || fail "not confirmed"
expect 0 order --wait --item espresso-cup=1 --item milk-jug=2
says "confirmed"
expect 1 order --wait --token tok_declined
says "cancelled: card-declined"
expect 1 order --mode sync --token tok_declined
says "402"
expect 1 order --item no-such-thing=1
says "422"
expect 1 order --wait --customer mallory
says "customer-blocked"
expect 0 transfer --wait --amount 1.00
says "completed"
expect 1 transfer --wait --from bob --to nobody
expect 2 transfer --amount lots
expect 0 order --key once --json
first=$(value .id)
expect 0 order --key once --json
[[ $(value .id) == "$first" ]] || fail "an idempotency key made two orders"

story "killed: it stays dead, the other payment does the work"
expect 0 kill payment
says "SIGKILL"
expect 0 order --wait
expect 0 kill payment
says "payment-2"
expect 1 kill payment
says "payment is dead already"
expect 1 ps
says "7 of 9 ready"
expect 1 up
says "half dead"
says "start payment payment-2"

story "without payment: the chain fails, the event waits until it is back"
expect 1 order --mode sync
says "503"
expect 0 order --json
waiting=$(value .id)
[[ $(status_of "$waiting") == pending ]] || fail "it did not wait"
expect 2 order --wait --timeout 1
says "it had no end within 1 s"
expect 0 start payment
says "payment, payment-2: ready"
becomes confirmed status_of "$waiting"
expect 1 start payment
says "is not dead"

story "a setting given to up is there after a start"
expect 1 order --wait --item rare-print=1
says "amount-over-limit"
expect 0 kill fraud
expect 0 start fraud
expect 1 order --wait --item rare-print=1
says "amount-over-limit"

story "a setting given to start is kept for that process, and counts most"
expect 0 kill fraud
expect 2 start fraud --set FRAUD_LIMIT_MINOR
says "write NAME=VALUE"
expect 2 start fraud --set HTTP_PORT=1
says "write NAME=VALUE"
expect 2 start fraud --set FRAUD_LIMIT=30000
says "fraud has no such setting"
expect 1 start fraud --set FRAUD_LIMIT_MINOR=much
says "the next start is without what --set gave"
expect 0 start fraud --set FRAUD_LIMIT_MINOR=30000
expect 0 order --wait --item espresso-cup=20
expect 0 kill fraud
FRAUD_LIMIT_MINOR=10 expect 0 start fraud
expect 0 order --wait --item espresso-cup=20
expect 0 kill fraud
expect 0 start fraud --set FRAUD_LIMIT_MINOR= # what it got by up
expect 1 order --wait --item espresso-cup=20
says "amount-over-limit"

story "a table that is gone ends the service, is not made again, and comes back from the log"
expect 0 kill fraud
sqlite3 "$FAULTLINE_DIR/data/fraud/fraud.db" "DROP TABLE decisions"
expect 1 start fraud
says "1 of its tables are gone"
says "faultline rebuild fraud --lose-http"
expect 0 rebuild fraud --lose-http
expect 0 start fraud
expect 0 order --wait

story "an event that the broker refuses waits, is told, and is offered again by the next start"
expect 0 kill broker
expect 0 start broker --set EVENT_BYTES_MAX=1024
many=(--item espresso-cup=1 --item moka-pot=1 --item milk-jug=1 --item rare-print=1)
expect 0 order --json "${many[@]}"
waiting=$(value .id)
becomes 1 refused_by_broker "$waiting"
expect 0 trace "$waiting"
says "refused by the broker: "
says "waiting in the outbox of order: the broker refused it"
expect 1 verify
says "the broker refused order-created of order"
expect 0 kill broker
expect 0 start broker --set EVENT_BYTES_MAX=65536
[[ $(status_of "$waiting") == pending ]] || fail "it was not offered before order has started again"
expect 0 kill order
expect 0 start order
becomes cancelled status_of "$waiting" # fraud: over its limit
becomes 0 lag_in_all
expect 0 verify

story "the broker is killed: orders are taken, and confirmed when it is back"
expect 0 kill broker
expect 2 groups
says "broker is dead"
expect 0 order --json
waiting=$(value .id)
[[ $(value .http_status) == 202 ]] || fail "not accepted"
expect 0 kill ledger
expect 0 start ledger
says "alive, but not ready while the broker is dead"
expect 0 start
says "broker: ready"
becomes confirmed status_of "$waiting"

story "paused and resumed"
expect 0 pause inventory
[[ $(state_of inventory) == paused ]] || fail "not paused"
expect 1 pause inventory
says "paused already"
expect 0 order --json
waiting=$(value .id)
expect 0 resume
becomes ready state_of inventory
becomes confirmed status_of "$waiting"
expect 1 resume inventory

story "groups, dead letters and logs tell what happened"
becomes 0 lag_in_all
expect 0 groups
says "payment-1"
expect 0 dead-letters list
expect 1 dead-letters show 999999999
says "no such dead letter"
expect 0 logs --json
[[ $(jq -rR 'fromjson? | .ts // empty' "$dir/out" | sort -c 2>&1) == "" ]] || fail "not in the order of time"
[[ $(grep -c "$waiting" "$dir/out") -gt 5 ]] || fail "the order is not in the logs"
expect 0 logs order -n 5
[[ $(wc -l <"$dir/out") == 5 ]] || fail "not the last 5 lines"
expect 2 logs shop

story "logs -f goes on with what happens"
"$faultline" logs -f --json >"$dir/followed" 2>&1 &
follower=$!
expect 0 order --wait --json
followed=$(value .id)
becomes yes sh -c "grep -q '$followed' '$dir/followed' && echo yes"
kill "$follower"
wait "$follower" 2>/dev/null

story "two commands at once: one of them brings it up"
expect 0 down
says "9 processes ended"
says "data stays"
"$faultline" up --http-port 0 --bus-port 0 >"$dir/up-1" 2>&1 &
one=$!
"$faultline" up --http-port 0 --bus-port 0 >"$dir/up-2" 2>&1 &
two=$!
codes=0
wait "$one" || codes=$((codes + $?))
wait "$two" || codes=$((codes + $?))
cat "$dir/up-1" "$dir/up-2" >"$dir/out"
((codes == 1)) || fail "not exactly one of two came up"
says "a stack runs already"
expect 0 ps

story "data outlives down; down --data removes it"
order_url=$(url order)
becomes confirmed status_of "$waiting"
expect 0 down --data
[[ ! -e $FAULTLINE_DIR/data && ! -e $FAULTLINE_DIR/logs ]] || fail "data or logs are left"
expect 0 down

echo "passed: $checks checks"
