#!/usr/bin/env bash
# A seeded soak: whatever is killed, paused, slowed and starved while orders and transfers
# come in, in the end all is finished and the books are right. The seed is printed;
# FAULTLINE_SEED takes it back, FAULTLINE_CHAOS_MINUTES makes it longer.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/e2e/house.sh

seed=${FAULTLINE_SEED:-$((RANDOM * 32768 + RANDOM))}
minutes=${FAULTLINE_CHAOS_MINUTES:-0.5}

# refuses WORDS: chaos does not begin, and says why.
refuses() {
  local code=0 words=$1
  shift
  faultline chaos --minutes 0.01 "$@" >"$folder/out" 2>&1 || code=$?
  [[ $code == 2 ]] && grep -q -- "$words" "$folder/out" ||
    fail "chaos $* ends with 2 and says '$words', not $code and '$(cat "$folder/out")'"
}

story "it begins only with a house that is up and well"
refuses "nothing runs here"
house_up --scale payment=2
refuses "give a number" --minutes never
faultline pause fraud >/dev/null
refuses "fraud is paused"
faultline resume fraud >/dev/null

story "a process whose disk is full says no, lives, and goes on when there is room"
pid_of() { faultline ps --json | jq ".[] | select(.name == \"$1\") | .pid"; }
room() { prlimit --pid "$(pid_of "$1")" --fsize="$2":unlimited; } # what chaos does
answer() { curl -s -o /dev/null -w '%{http_code}' "$order_url/orders" -H 'Content-Type: application/json' \
  -d '{"customer_id":"alice","payment_token":"tok_visa","items":[{"sku":"espresso-cup","quantity":1}]}'; }
for service in order fraud broker; do
  room "$service" 0
  wanted=202
  [[ $service != order ]] || wanted=503
  for _ in 1 2 3; do # it did not say no only once
    [[ $(answer) == "$wanted" ]] || fail "order answers $wanted while the disk of $service is full"
  done
  [[ $service == order ]] || [[ $(pending_orders) -ge 3 ]] || fail "orders wait while the disk of $service is full"
  room "$service" unlimited
  becomes 202 answer
  becomes 0 pending_orders
done
[[ $(dead_letters) == 0 ]] || fail "a full disk is no failure of an event"

story "seed $seed, $minutes minutes (FAULTLINE_SEED=$seed repeats it)"
code=0
faultline chaos --seed "$seed" --minutes "$minutes" --json >"$folder/chaos" 2>"$folder/said" || code=$?
[[ $code == 0 ]] || {
  cat "$folder/said"
  grep -E "DIED|ended with|did not|cannot|could not|not ready" "$FAULTLINE_DIR/chaos.log" || true
  fail "seed $seed: chaos ends with 0, not $code: $(cat "$folder/chaos")"
}
jq -e '.findings == []' "$folder/chaos" >/dev/null || fail "seed $seed: nobody died by himself: $(cat "$folder/chaos")"
jq -e '.end.finished and .end.all_ready' "$folder/chaos" >/dev/null || fail "seed $seed: all is finished: $(cat "$folder/chaos")"
jq -e '[.faults[].times] | add > 10' "$folder/chaos" >/dev/null || fail "seed $seed: faults were made: $(cat "$folder/chaos")"
jq -e '.verify' "$folder/chaos" >/dev/null || fail "seed $seed: verify has told: $(cat "$folder/chaos")"
jq -e '.work | all(.accepted > 0 and .placed == .accepted + .refused + .not_taken + .unknown)' "$folder/chaos" >/dev/null ||
  fail "seed $seed: work of each kind was accepted, and all of it is accounted for: $(cat "$folder/chaos")"
jq -e '[.work[].accepted] | add' "$folder/chaos" | grep -qx "$(jq -s 'map(select(.status == 201 or .status == 202)) | length' "$FAULTLINE_DIR/chaos.answers")" ||
  fail "seed $seed: what was accepted is written down"
! grep -rl 'AddressSanitizer\|LeakSanitizer\|runtime error:\|ThreadSanitizer' "$FAULTLINE_DIR/logs" || fail "no sanitizer spoke"
the_books_add_up

story "the same seed plans the same, whatever came of it"
plan() { grep -oE '(kill|kill-several|ambush|hiccup|freeze|restart|slow|full-disk|no-growth) for [0-9.]+ s' "$1" | head -3; }
plan "$FAULTLINE_DIR/chaos.log" >"$folder/first"
faultline chaos --seed "$seed" --minutes 0.1 --json >"$folder/again" 2>"$folder/said" || fail "seed $seed: once more: $(cat "$folder/again")"
plan "$FAULTLINE_DIR/chaos.log" >"$folder/second"
head -n "$(wc -l <"$folder/second")" "$folder/first" | diff - "$folder/second" || fail "the same seed makes the same plan"

story "a person who has seen enough goes to the end at once"
rm "$FAULTLINE_DIR/chaos.log"
"$FAULTLINE_BIN/faultline" chaos --seed "$seed" --minutes 60 --json >"$folder/early" 2>"$folder/said" &
chaos=$!
harms() { grep -q ' for ' "$FAULTLINE_DIR/chaos.log" && echo yes; }
becomes yes harms
kill -TERM "$chaos" # as Ctrl-C; what runs in the background of a script cannot hear that
wait "$chaos" || fail "an early end is an end: $(cat "$folder/early")"
[[ $(jq .ended_early "$folder/early") == true ]] || fail "it says so: $(cat "$folder/early")"
states() { faultline ps --json | jq -r '[.[].state] | unique | join(" ")'; }
becomes ready states

# chaos_ends CODE ARGUMENT...: a short run ends so; what it found is in $folder/chaos.
chaos_ends() {
  local code=0 wanted=$1
  shift
  faultline chaos --seed "$seed" --minutes 0.03 --json "$@" >"$folder/chaos" 2>"$folder/said" || code=$?
  [[ $code == "$wanted" ]] || fail "seed $seed: chaos $* ends with $wanted, not $code: $(cat "$folder/chaos" "$folder/said")"
}
found() { jq -c '[.findings[] | [.finding, .who]]' "$folder/chaos"; }
texts() { jq -r '.findings[].text' "$folder/chaos"; }

story "a guest's group that is behind and gives events up is the guest's affair"
guest() { curl -sf "$broker_url/status" | jq ".groups[] | select(.name == \"guest\") | $1"; }
examples/python/member.py "tcp://127.0.0.1:$bus_port" guest guest-1 order-confirmed false &
member=$!
becomes true guest '.dead_letters > 0'
kill "$member"
wait "$member" || true
faultline order --wait >/dev/null
becomes true guest '.lag_events > 0 and .members == []'
letters=$(guest .dead_letters)
chaos_ends 0 --settle 30
jq -e .end.finished "$folder/chaos" >/dev/null || fail "the house is finished: $(cat "$folder/chaos")"
[[ $(guest .dead_letters) == "$letters" ]] || fail "its dead letters stay: $letters, then $(guest .dead_letters)"

story "what dies again when it is given back is found, with its group and its error"
faultline kill notification >/dev/null
faultline start notification --set EVENT_VERSION_MAX=1 >/dev/null
faultline order --token tok_poison >/dev/null # poison is for payment alone to give up
chaos_ends 1
[[ $(found) == '[["dead-letters","notification"]]' ]] || fail "the group that gave up is named: $(cat "$folder/chaos")"
texts | grep -q "notification gave up [0-9]* event.*version 2 is newer.*dead-letters list --group notification" || fail "and why: $(texts)"
[[ $(jq '.findings[0].count' "$folder/chaos") == "$(curl -sf "$broker_url/dead-letters?group=notification&limit=500" | jq '.dead_letters | length')" ]] ||
  fail "each is counted: $(texts)"
jq -e '.end.redriven > 0 and .end.finished' "$folder/chaos" >/dev/null || fail "they were given back: $(cat "$folder/chaos")"
faultline kill notification >/dev/null
faultline start notification --set EVENT_VERSION_MAX= >/dev/null
chaos_ends 0 # given back once more they have their end

story "who is not finished in time is named, and with how much"
faultline kill broker >/dev/null
faultline start broker --set DEAD_LETTERS_MAX=1 >/dev/null
for _ in 1 2 3; do faultline order --token tok_poison >/dev/null; done
chaos_ends 1 --settle 5
[[ $(found) == '[["unfinished","payment"]]' ]] || fail "payment is named: $(cat "$folder/chaos")"
texts | grep -q "payment was not finished in time: [1-9][0-9]* events* for its group, 0 in its outbox" || fail "with its events: $(texts)"
faultline kill broker >/dev/null
faultline start broker --set DEAD_LETTERS_MAX= >/dev/null

# Its first action is a restart. Whom that asks to end is paused, so that it does not.
story "two of Ctrl-C at once leave nobody dead or paused by the hand of chaos"
rm "$FAULTLINE_DIR/chaos.log"
declare -A pids
while read -r name pid; do pids[$name]=$pid; done < <(faultline ps --json | jq -r '.[] | "\(.name) \(.pid)"')
env --default-signal=INT "$FAULTLINE_BIN/faultline" chaos --seed 40 --minutes 60 --json >"$folder/early" 2>"$folder/said" &
chaos=$!
until name=$(grep -oP -m 1 'restart for [0-9.]+ s: \K[a-z0-9-]+' "$FAULTLINE_DIR/chaos.log" 2>/dev/null); do
  kill -0 "$chaos" || fail "it restarts somebody: $(cat "$folder/said")"
done
kill -STOP "${pids[$name]}" 2>/dev/null || true # it was faster
kill -INT "$chaos"
kill -TERM "$chaos"
wait "$chaos" || true
jq -e .ended_early "$folder/early" >/dev/null || fail "it ends early: $(cat "$folder/early" "$folder/said")"
gone() { faultline ps --json | jq -r '[.[] | select(.state == "dead" or .state == "paused") | .name] | join(" ")'; }
[[ -z $(gone) ]] || fail "$(gone) is left: $(cat "$folder/early" "$FAULTLINE_DIR/chaos.log")"
becomes ready states

story "it gives up when nobody can be started, names who is dead, and leaves nobody behind"
mkdir "$FAULTLINE_DIR/stack.json.new" # nothing can be written down, as on a full disk
code=0
timeout 300 "$FAULTLINE_BIN/faultline" chaos --seed "$seed" --minutes 60 >"$folder/chaos" 2>"$folder/said" || code=$?
[[ $code == 2 ]] || fail "seed $seed: it ends with 2, not $code: $(cat "$folder/chaos" "$folder/said")"
grep -q "could not be brought back 10 times in a row, and is given up: cannot write .*stack.json.new" "$folder/said" ||
  fail "it says why: $(cat "$folder/said")"
[[ -n $(gone) ]] || fail "somebody is dead"
for name in $(gone); do
  grep -q "^$name is dead in the end: .* start $name$" "$folder/chaos" || fail "it names $name: $(cat "$folder/chaos")"
done
ours() { find /proc -maxdepth 2 -name cwd -lname "$FAULTLINE_DIR" 2>/dev/null | wc -l; }
living() { faultline ps --json | jq '[.[] | select(.state != "dead")] | length'; }
[[ $(ours) == "$(living)" ]] || fail "$(living) processes are known, and $(ours) live"
rmdir "$FAULTLINE_DIR/stack.json.new"
faultline start >/dev/null
becomes ready states

story "what was wrong before is not blamed on chaos"
python3 - "$FAULTLINE_DIR/data/inventory" <<'END'
import glob, sqlite3, sys
db = sqlite3.connect(glob.glob(sys.argv[1] + "/*.db")[0], timeout=10)
db.execute("UPDATE stock SET available = available - 1, sold = sold + 1 WHERE sku = 'espresso-cup'")
db.commit()
END
refuses "lost or wrong already"
