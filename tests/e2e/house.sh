# Sourced by stories: a folder, free ports and the command, and the end of all of it
# when the script ends. A story that fails says what it wanted to see.
#
#   $folder      empty at the start, gone at the end
#   faultline    the command of the build under test, on this story's own stack
#   house_up     starts the stack on this story's ports ($http_port, $bus_port)

folder=$(mktemp -d)
export FAULTLINE_DIR=$folder/state NO_COLOR=1
unset FAULTLINE_COMMAND

# Nobody listens on a port; bash's own connection is refused then.
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

are_free() {
  local base=$1 port
  for ((port = base; port < base + 8; port++)); do
    is_free "$port" || return 1
  done
  is_free $((base + 99))
}

# One story has a hundred ports to itself: whoever makes the folder owns them. They lie below
# those of tests/support/free_ports.c. Others on this machine know nothing of either.
claim_ports() {
  local base claim
  for ((base = 10000; base < 18000; base += 100)); do
    claim=/tmp/faultline-ports-$base
    if [[ -e $claim/pid ]] && ! kill -0 "$(<"$claim/pid")" 2>/dev/null; then
      mv "$claim" "$claim.$$" 2>/dev/null && rm -rf "$claim.$$" # of a story that was killed
    fi
    if mkdir "$claim" 2>/dev/null; then
      echo $$ >"$claim/pid"
      if are_free "$base"; then
        ports_claim=$claim http_port=$base bus_port=$((base + 99))
        return 0
      fi
      rm -rf "$claim"
    fi
  done
  return 1
}
claim_ports
export FAULTLINE_HTTP_PORT=$http_port FAULTLINE_BUS_PORT=$bus_port

source tests/e2e/record.sh
faultline() {
  [[ ${1:-} != down ]] || record_events "$FAULTLINE_BIN/faultline"
  "$FAULTLINE_BIN/faultline" "$@"
}

house_end() {
  local code=$?
  faultline down --data >/dev/null 2>&1
  rm -rf "$folder" "$ports_claim"
  exit $code
}
trap house_end EXIT

house_up() {
  faultline up --bin "$FAULTLINE_BIN" --http-port "$http_port" --bus-port "$bus_port" "$@" >"$folder/up" ||
    { cat "$folder/up"; exit 1; }
}

fail() {
  echo "FAILED: $*"
  echo "--- the last warnings of the logs:"
  faultline logs --level warn -n 30 || true
  exit 1
}

# sql DATABASE STATEMENT: beside a service that may be writing.
sql() { sqlite3 -cmd '.timeout 30000' "$@"; }

story() { echo "== $*"; }

url() { echo "http://127.0.0.1:$((http_port + $1))"; }
order_url=$(url 1) payment_url=$(url 2) inventory_url=$(url 3) notification_url=$(url 4)
fraud_url=$(url 5) ledger_url=$(url 6) transfer_url=$(url 7) broker_url=$(url 0)

# becomes WANTED COMMAND...: waits at most 60 s until the command prints just that.
becomes() {
  local wanted=$1 got= deadline=$((SECONDS + 60))
  shift
  until got=$("$@" 2>/dev/null) && [[ $got == "$wanted" ]]; do
    ((SECONDS < deadline)) || fail "'$*' gave '$got', not '$wanted'"
    read -r -t 0.02 <> <(:) || true
  done
}

order_status() { curl -sf "$order_url/orders/$1" | jq -r .status; }
transfer_status() { curl -sf "$transfer_url/transfers/$1" | jq -r .status; }
pending_orders() { curl -sf "$order_url/orders?status=pending&limit=500" | jq '.orders | length'; }
lag_in_all() { curl -sf "$broker_url/status" | jq '[.groups[].lag_events] | add'; }
dead_letters() { curl -sf "$broker_url/dead-letters" | jq '.dead_letters | length'; }

# the_books_add_up: nothing is on its way any more, and stock, ledger and orders agree.
the_books_add_up() {
  becomes 0 lag_in_all
  local stock trial
  stock=$(curl -sf "$inventory_url/stock?limit=500")
  jq -e '.stock | all(.initial + .restocked == .available + .reserved + .sold and .available >= 0)' \
    <<<"$stock" >/dev/null || fail "the stock adds up: $stock"
  trial=$(curl -sf "$ledger_url/trial-balance")
  [[ $(jq .sum_minor <<<"$trial") == 0 ]] || fail "the accounts add up to zero: $trial"
  jq -e '[.accounts[] | select(.account_id | IN("alice", "bob", "carol"))] | all(.available.amount_minor >= 0 and .held.amount_minor == 0)
    and (map(.balance.amount_minor) | add == 300000)' <<<"$trial" >/dev/null || fail "the bank's customers have what they had, in all: $trial"
}
