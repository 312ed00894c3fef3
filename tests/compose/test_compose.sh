#!/usr/bin/env bash
# The stack of containers tells the same story: an order each way, payment killed, an
# order each way, payment started, everything confirmed, and the story in the logs of
# all containers.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! docker version >/dev/null 2>&1; then
  echo "skipped: no Docker engine answers"
  exit 77
fi
if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
elif command -v docker-compose >/dev/null; then
  compose() { docker-compose "$@"; }
else
  echo "skipped: neither docker compose nor docker-compose is there"
  exit 77
fi

folder=$(mktemp -d)
export FAULTLINE_DIR=$folder/state NO_COLOR=1 COMPOSE_PROJECT_NAME=faultline-test
faultline() { "$FAULTLINE_BIN/faultline" "$@"; }
finish() {
  compose down -v -t 2 >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap finish EXIT
story() { echo "== $*"; }
fail() {
  echo "FAILED: $*"
  compose ps
  compose logs --no-color --tail 20
  exit 1
}

story "up, from nothing"
compose up -d --build >"$folder/up" 2>&1 || { tail -n 40 "$folder/up"; fail "the stack starts"; }
deadline=$((SECONDS + 60))
until [[ $(docker ps --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter health=healthy -q | wc -l) == 8 ]]; do
  ((SECONDS < deadline)) || fail "all eight containers are healthy"
  read -r -t 0.2 <> <(:) || true
done
faultline ps

story "an order each way"
faultline order --wait || fail "an order by events is confirmed"
faultline order --mode sync || fail "an order over HTTP is confirmed"

story "payment is killed: it stays dead, the chain fails, the event waits"
faultline kill payment
[[ $(compose ps payment | grep -c 'Up') == 0 ]] || fail "the killed container stays dead"
! faultline order --mode sync || fail "the order over HTTP fails"
faultline order --json >"$folder/order" || fail "the order by events is accepted"
id=$(jq -r .id "$folder/order")
compose logs --no-color | faultline trace "$id" - | tee "$folder/trace"
grep -q 'waiting for payment' "$folder/trace" || fail "trace says what the order waits for"

story "payment is started: the order is confirmed"
faultline start payment
deadline=$((SECONDS + 30))
until [[ $(curl -sf "http://127.0.0.1:8001/orders/$id" | jq -r .status) == confirmed ]]; do
  ((SECONDS < deadline)) || fail "the waiting order is confirmed"
  read -r -t 0.1 <> <(:) || true
done
compose logs --no-color | faultline trace "$id" - >"$folder/trace"
cat "$folder/trace"
for service in order payment inventory fraud notification ledger; do
  grep -q " $service " "$folder/trace" || fail "the story goes through $service"
done
grep -q ': confirmed after' "$folder/trace" || fail "the story has its end"

verified() { # WORDS [ARGUMENT...]
  local words=$1
  shift
  faultline verify "$@" >"$folder/verify" 2>&1 || fail "$words: $(cat "$folder/verify")"
}

story "verify looks into the volumes, from a container of its own"
faultline load 20 --record "$folder/record" >/dev/null || fail "orders have their ends"
verified "the running stack holds" --record "$folder/record"
cat "$folder/verify"
grep -q '20 answers of --record' "$folder/verify" || fail "it has read the record"
verified "for programs as well" --json
[[ $(jq -r .verdict "$folder/verify") == holds ]] || fail "it is JSON: $(cat "$folder/verify")"
echo '{"order_id":"00000000-0000-7000-8000-000000000000","mode":"async","status":202,"at":"now"}' >>"$folder/record"
code=0
faultline verify --record "$folder/record" >"$folder/verify" 2>&1 || code=$?
[[ $code == 1 ]] && grep -q 'order has no such order' "$folder/verify" || fail "it finds what is missing: $(cat "$folder/verify")"
faultline kill broker
verified "the broker's log is read without it"
compose stop >/dev/null 2>&1
verified "so is all of a stack that is stopped"
compose start >/dev/null 2>&1
deadline=$((SECONDS + 60))
until curl -sf http://127.0.0.1:8000/readyz >/dev/null && curl -sf http://127.0.0.1:8005/readyz >/dev/null; do
  ((SECONDS < deadline)) || fail "they are back"
  read -r -t 0.2 <> <(:) || true
done

story "pause and resume act on containers as well"
faultline pause fraud
faultline resume fraud
faultline logs fraud -n 3

story "chaos: containers are killed, paused and restarted under load, and all is finished in the end"
code=0
faultline chaos --minutes 0.4 --json >"$folder/chaos" 2>"$folder/said" || code=$?
jq -e '.end.finished and .findings == [] and .faults.slow.times == 0' "$folder/chaos" >/dev/null ||
  { cat "$folder/said" "$FAULTLINE_DIR/chaos.log"; fail "chaos ends well, not with $code: $(cat "$folder/chaos")"; }

story "the containers have no more than they need"
for container in $(compose ps -q); do
  docker inspect "$container" | jq -e '.[0] | .HostConfig.ReadonlyRootfs and (.HostConfig.CapDrop == ["ALL"])
    and (.Config.User == "faultline") and ([.HostConfig.PortBindings[][].HostIp] | all(. == "127.0.0.1"))' >/dev/null ||
    fail "read-only root, no capabilities, no root, loopback: $(docker inspect "$container" | jq -c '.[0].HostConfig')"
done
