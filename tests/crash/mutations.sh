#!/usr/bin/env bash
# Breaks the code on purpose, one joint at a time, and shows that the matrix of crash
# points finds it. Works on a copy of the tree in a temporary folder; --help tells the rest.
set -uo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TXT'
Usage: tests/crash/mutations.sh [NAME...]

Applies each mutation (or those named) to a copy of the tree, builds it, and lets the
matrix kill the points that should find it. Prints which cell found what. Fails when a
mutation survives, or does not apply any more: then the code has changed, and the
mutation here has to follow. --list prints the names.
TXT
}

wanted=()
list=no
while (($# > 0)); do
  case $1 in
    --help) usage; exit 0 ;;
    --list) list=yes ;;
    -*) usage >&2; exit 2 ;;
    *) wanted+=("$1") ;;
  esac
  shift
done

folder=
survived=0
caught=0
trap '[[ -z $folder ]] || rm -rf "$folder"' EXIT

prepare() {
  folder=$(mktemp -d)
  git ls-files -z CMakeLists.txt CMakePresets.json common broker services cli bench tests/CMakeLists.txt tests/sim tests/crash |
    xargs -0 cp --parents -t "$folder"
  (cd "$folder" &&
    cmake --preset release -DFAULTLINE_STORIES=crash &&
    cmake --build --preset release --target crash-matrix) >"$folder/build.log" 2>&1 ||
    { cat "$folder/build.log"; exit 1; }
}

# Kills the points; prints the first cell that found something. Fails when none did.
kill_points() {
  FAULTLINE_BIN=$folder/build/release/bin "$folder/build/release/bin/crash-matrix" "$@" >"$folder/table" 2>"$folder/cells" && return 1
  grep -m1 -v ': good$' "$folder/cells" | sed 's/^ *[0-9]* of [0-9]* *//' | cut -c1-150
}

# mutation NAME POINTS FILE OLD NEW: OLD stands exactly once in FILE.
mutation() {
  local name=$1 points=$2 file=$3 old=$4 new=$5 found
  if [[ $list == yes ]]; then
    echo "$name"
    return
  fi
  if ((${#wanted[@]} > 0)) && [[ " ${wanted[*]} " != *" $name "* ]]; then
    return
  fi
  [[ -n $folder ]] || prepare
  if ! OLD=$old NEW=$new perl -0pi -e '
      my $count = () = /\Q$ENV{OLD}\E/g; die "stands there $count times\n" if $count != 1;
      s/\Q$ENV{OLD}\E/$ENV{NEW}/' "$folder/$file" 2>"$folder/perl.log"; then
    printf '%-28s DOES NOT APPLY to %s: %s\n' "$name" "$file" "$(head -1 "$folder/perl.log")"
    survived=$((survived + 1))
  elif ! cmake --build "$folder/build/release" --target crash-matrix >"$folder/build.log" 2>&1; then
    printf '%-28s DOES NOT COMPILE\n' "$name"
    grep -m3 'error' "$folder/build.log"
    survived=$((survived + 1))
  elif found=$(kill_points $points); then
    printf '%-28s %s\n' "$name" "$found"
    caught=$((caught + 1))
  else
    printf '%-28s SURVIVES %s\n' "$name" "$points"
    survived=$((survived + 1))
  fi
  cp "$file" "$folder/$file"
}

# The pause stands for a slow handler: the ack is on its way before the commit.
mutation ack-before-commit 'service-before-commit' common/batch.c \
  'return err == ERR_OK ? subscription->handle(self, event) : err;' \
  'bus_ack(self->bus, &input->delivery);
    bus_flush(self->bus);
    for (const int64_t until_us = clock_mono_us() + 5000; clock_mono_us() < until_us;) {
    }
    return err == ERR_OK ? subscription->handle(self, event) : err;'

mutation row-gone-when-sent 'broker-before-append broker-after-append' common/outbox.c \
  'self->sent_seq = added->seq;' \
  'self->sent_seq = added->seq;
        buf_put(&self->answered, &(struct answered){added->seq, 0}, sizeof(struct answered));'

mutation outbox-forgotten 'service-before-publish' common/outbox.c \
  'const enum err err = store_exec_script(store, schema_sql);' \
  'const enum err err = store_exec_script(store, schema_sql);
    (void)store_exec_script(store, "DELETE FROM outbox");'

mutation inbox-row-alone 'service-before-commit' common/batch.c \
  'return err == ERR_OK ? subscription->handle(self, event) : err;' \
  '(void)store_release(self->store);
    (void)store_commit(self->store);
    (void)store_begin(self->store);
    (void)store_savepoint(self->store);
    return err == ERR_OK ? subscription->handle(self, event) : err;'

mutation interrupted-forgotten 'order-chain-begun' services/order/main.c \
  '.start = order_start,' \
  ''

if [[ $list == no ]]; then
  echo "$caught caught, $survived not"
  ((survived == 0 && caught > 0))
fi
