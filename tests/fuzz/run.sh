#!/usr/bin/env bash
# Fuzzes with libFuzzer (clang-14 and libclang-rt-14-dev): run.sh [MINUTES] [TARGET...]
# runs each target, or those named, for so many minutes (10), one after the other, and
# ends with executions, coverage and findings of each. Exit status 1: something was
# found; the input lies in build/fuzz/found and, once the bug is fixed, belongs into
# tests/fuzz/corpus/TARGET. run.sh --merge [TARGET...] adds to that corpus what reaches
# new code, and nothing else, of what earlier runs have gathered.
set -uo pipefail
cd "$(dirname "$0")/../.."
source scripts/packages.sh

merge=no minutes=10
if [[ ${1:-} == --merge ]]; then
  merge=yes
  shift
elif [[ ${1:-} =~ ^[0-9]+$ ]]; then
  minutes=$1
  shift
fi
targets=("$@")
if ((${#targets[@]} == 0)); then
  for file in tests/fuzz/fuzz_*.c; do
    name=$(basename "$file" .c)
    targets+=("${name#fuzz_}")
  done
fi

install_packages "to fuzz" clang-14 libclang-rt-14-dev || exit 1
cmake --preset fuzz >/dev/null || exit 1
cmake --build --preset fuzz --target "${targets[@]/#/fuzz_}" || exit 1

# The corpus by content: the same input found twice is one file.
rename_by_hash() {
  local file hash
  for file in "$1"/*; do
    hash=$(sha1sum "$file" | cut -c 1-16)
    [[ $file == "$1/$hash" ]] || mv "$file" "$1/$hash"
  done
}

found=0
for target in "${targets[@]}"; do
  kept=tests/fuzz/corpus/$target gathered=build/fuzz/gathered/$target log=build/fuzz/$target.log
  mkdir -p "$kept" "$gathered" build/fuzz/found
  if [[ $merge == yes ]]; then
    build/fuzz/bin/fuzz_"$target" -set_cover_merge=1 -use_counters=0 -max_len=2048 "$kept" "$gathered" >"$log" 2>&1 || found=1
    rename_by_hash "$kept"
    printf '%-10s %s files, %s\n' "$target" "$(ls "$kept" | wc -l)" "$(du -sh "$kept" | cut -f 1)"
    continue
  fi
  nice -n 10 build/fuzz/bin/fuzz_"$target" -max_total_time=$((minutes * 60)) -print_final_stats=1 \
    -close_fd_mask=1 -artifact_prefix=build/fuzz/found/"$target"- -timeout=20 -rss_limit_mb=2048 \
    "$gathered" "$kept" >"$log" 2>&1
  status=$?
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -aoE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -1)
  verdict="nothing found"
  if ((status != 0)); then
    verdict="FOUND: see $log"
    found=1
  fi
  printf '%-10s %12s executions, %s: %s\n' "$target" "$executions" "$coverage" "$verdict"
done
exit $found
