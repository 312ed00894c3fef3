#!/usr/bin/env bash
# What the whole stack costs and takes: start, memory, idle processor, orders a second
# by events and over the chain. Each figure is the median of RUNS runs (default 3),
# with the smallest and the largest behind it. Needs a release build, curl and jq.
#
#   bench/stack.sh [RUNS]
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-3}
export FAULTLINE_BIN=${FAULTLINE_BIN:-$PWD/build/release/bin}
source tests/e2e/house.sh

# row NAME UNIT VALUE...: the median of the values.
row() {
  local name=$1 unit=$2
  shift 2
  printf '%s\n' "$@" | sort -n | LC_ALL=C awk -v name="$name" -v unit="$unit" '
    { value[NR] = $1 }
    END { printf "| %s | %.4g %s | %.4g to %.4g |\n", name, value[int((NR + 1) / 2)], unit, value[1], value[NR] }'
}

cpu_ticks() { # of all processes of the stack
  local pid sum=0 stat
  for pid in $(faultline ps --json | jq '.[].pid'); do
    read -ra stat <"/proc/$pid/stat"
    sum=$((sum + stat[13] + stat[14]))
  done
  echo $sum
}

echo "$(nproc) cores, $(uname -r), load before: $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| what | median | smallest to largest |"
echo "| --- | --- | --- |"

ready=() memory=() idle=() memory_after=()
async=() async_p50=() async_p99=() end_p50=() end_p99=()
full=() sync=() sync_p50=() sync_p99=() sync_rate_p99=()
for ((run = 0; run < runs; run++)); do
  faultline down --data >/dev/null 2>&1 || true
  house_up --json
  ready+=("$(jq -r '.ready_ms // .took_ms' "$folder/up")")
  memory+=("$(faultline ps --json | jq '[.[].pss_kb] | add / 1000')")
  before=$(cpu_ticks)
  sleep 10
  idle+=("$(LC_ALL=C awk -v ticks=$(($(cpu_ticks) - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN { print ticks / hz / 10 * 100 }')")
  faultline load 1000 >/dev/null # warm
  faultline load 10000 --json >"$folder/full"
  full+=("$(jq .finished_per_second "$folder/full")")
  faultline load 5000 --rate 500 --json >"$folder/rate"
  async_p50+=("$(jq .answer.p50_ms "$folder/rate")") async_p99+=("$(jq .answer.p99_ms "$folder/rate")")
  end_p50+=("$(jq .end.p50_ms "$folder/rate")") end_p99+=("$(jq .end.p99_ms "$folder/rate")")
  faultline load 3000 --mode sync --json >"$folder/sync"
  sync+=("$(jq .accepted_per_second "$folder/sync")")
  sync_p50+=("$(jq .answer.p50_ms "$folder/sync")") sync_p99+=("$(jq .answer.p99_ms "$folder/sync")")
  faultline load 1000 --rate 200 --mode sync --json >"$folder/sync_rate"
  sync_rate_p99+=("$(jq .answer.p99_ms "$folder/sync_rate")")
  memory_after+=("$(faultline ps --json | jq '[.[].pss_kb] | add / 1000')")
done

row '`up` until all are ready' ms "${ready[@]}"
row 'memory of all processes (PSS), just started' MB "${memory[@]}"
row 'the same after 20,000 orders' MB "${memory_after[@]}"
row 'processor when idle, of one core' % "${idle[@]}"
row 'orders by events, as fast as taken: from the first order to the last end' 'orders/s' "${full[@]}"
row 'by events at 500 orders/s: answer p50' ms "${async_p50[@]}"
row 'by events at 500 orders/s: answer p99' ms "${async_p99[@]}"
row 'by events at 500 orders/s: end p50' ms "${end_p50[@]}"
row 'by events at 500 orders/s: end p99' ms "${end_p99[@]}"
row 'orders over the chain, 16 clients' 'orders/s' "${sync[@]}"
row 'over the chain, 16 clients: answer p50' ms "${sync_p50[@]}"
row 'over the chain, 16 clients: answer p99' ms "${sync_p99[@]}"
row 'over the chain at 200 orders/s: answer p99' ms "${sync_rate_p99[@]}"
