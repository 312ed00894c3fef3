#!/usr/bin/env bash
# Breaks the code on purpose, one joint at a time, and shows that the matrix of crash
# points finds it. Works on a copy of the tree in a temporary folder; --help tells the rest.
set -uo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TXT'
Usage: tests/crash/mutations.sh [--times N] [NAME...]

Applies each mutation (or those named) to a copy of the tree, builds it, and lets the
matrix kill the points that should find it, N times (once): each time a cell must find it.
Only a cell counts whose process died at its point, or lived and never came there; one
whose stack did not come up tells nothing. Before, the same points of the code as it is
must all be good. Prints how many cells found it, and what the first one says. Fails when
a mutation survives, or does not apply any more: then the code has changed, and the
mutation here has to follow. --list prints the names.
TXT
}

wanted=()
list=no
times=1
while (($# > 0)); do
  case $1 in
    --help) usage; exit 0 ;;
    --list) list=yes ;;
    --times) times=${2:?}; shift ;;
    -*) usage >&2; exit 2 ;;
    *) wanted+=("$1") ;;
  esac
  shift
done

folder=
survived=0
caught=0
trap '[[ -z $folder ]] || rm -rf "$folder"' EXIT

build() { cmake --build "$folder/build/release" --target crash-matrix >"$folder/build.log" 2>&1; }

prepare() {
  folder=$(mktemp -d)
  git ls-files -z CMakeLists.txt CMakePresets.json common broker services cli bench tests/CMakeLists.txt tests/sim tests/crash 'tests/support/free_ports.*' |
    xargs -0 cp --parents -t "$folder"
  (cd "$folder" && cmake --preset release -DFAULTLINE_STORIES=crash) >"$folder/build.log" 2>&1 && build ||
    { cat "$folder/build.log"; exit 1; }
}

# kill_points POINT...: what came of it is in $folder/report.json.
kill_points() {
  rm -f "$folder/report.json"
  FAULTLINE_BIN=$folder/build/release/bin "$folder/build/release/bin/crash-matrix" \
    --report "$folder/report" "$@" >"$folder/table" 2>&1
}

# What cells found: how many of how many, and the first. Fails when none did.
findings() {
  jq -er 'map(select((.fired or .never_came) and (.good | not))) as $found | $found[0] // empty |
    "\($found | length) of CELLS cells: \(.point):\(.passing) in \([.process, .frozen] | map(select(. != "")) | join(" and ")): \(.verify)"' \
    "$folder/report.json" | sed "s/ of CELLS/ of $(jq length "$folder/report.json")/" | cut -c1-200
}

# The code as it is. A matrix that fails without a mutation proves nothing about one.
control() {
  prepare
  if ! kill_points $1; then
    cat "$folder/table"
    echo "the code as it is does not pass: no mutation was tried"
    exit 1
  fi
  printf '%-28s %s\n' "(none)" "$(jq 'map(select(.good)) | length' "$folder/report.json") cells, all good"
}

# mutation NAME POINTS FILE OLD NEW: OLD stands exactly once in FILE.
names=() points=() files=() olds=() news=()
mutation() {
  if ((${#wanted[@]} == 0)) || [[ " ${wanted[*]} " == *" $1 "* ]]; then
    names+=("$1") points+=("$2") files+=("$3") olds+=("$4") news+=("$5")
  fi
}

# try NAME POINTS FILE OLD NEW
try() {
  local name=$1 points=$2 file=$3 time found
  if ! OLD=$4 NEW=$5 perl -0pi -e '
      my $count = () = /\Q$ENV{OLD}\E/g; die "stands there $count times\n" if $count != 1;
      s/\Q$ENV{OLD}\E/$ENV{NEW}/' "$folder/$file" 2>"$folder/perl.log"; then
    printf '%-28s DOES NOT APPLY to %s: %s\n' "$name" "$file" "$(head -1 "$folder/perl.log")"
    return 1
  fi
  if ! build; then
    printf '%-28s DOES NOT COMPILE\n' "$name"
    grep -m3 'error' "$folder/build.log"
    return 1
  fi
  for ((time = 0; time < times; time++)); do
    kill_points $points
    if ! found=$(findings) || [[ -z $found ]]; then
      printf '%-28s SURVIVES %s\n' "$name" "$points"
      return 1
    fi
    printf '%-28s %s\n' "$name" "$found"
  done
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
  'enum err err = store_exec_script(store, schema_sql);' \
  'enum err err = store_exec_script(store, schema_sql);
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

# A chain that fails leaves what its first calls have done.
mutation nothing-undone 'service-before-answer payment-charge-begun' services/order/order_chain.c \
  'if (hop->method == NULL) {' \
  'if (true) {'

mutation key-not-settled 'service-after-commit broker-after-sync' common/request.c \
  'if (key == NULL || self->status == 0) {' \
  'if (true) {'

# A service that comes back knows no key: a client that got no answer makes a second order.
mutation key-forgotten 'service-before-answer' common/inbox.c \
  'return store_exec_script(store, schema_sql);' \
  'const enum err err = store_exec_script(store, schema_sql);
    return err == ERR_OK
               ? store_exec_script(store, "DELETE FROM inbox WHERE request_hash IS NOT NULL")
               : err;'

# What a service was given and has not handled is lost when both die.
mutation delivered-is-done 'broker-save-renamed broker-after-save broker-after-deliver' broker/group_save.c \
  'if (entry->state == GROUP_DONE ||' \
  'if (entry->state == GROUP_HELD || entry->state == GROUP_DONE ||'

# A dead letter is off the list before its copy is in the log: nobody can give it back any more.
mutation letter-gone-first 'broker-redrive-appended' broker/broker_letters.c \
  'const int topic = topic_add(&self->topics, bytes_of_text(name), TOPIC_SLOTS);' \
  'if (dying == NULL) {
        consumer_unlist(consumer, offset, offset + 1);
        (void)broker_save(self);
    }
    const int topic = topic_add(&self->topics, bytes_of_text(name), TOPIC_SLOTS);'

mutation publisher-told-first 'broker-before-write' broker/broker_publish.c \
  'const enum err err = event_log_sync(self->log,' \
  'answer_publishes(self, 0, true);
    const enum err err = event_log_sync(self->log,'

mutation answer-before-commit 'service-before-commit service-request-uncommitted' common/batch.c \
  'crash_point("service-before-commit");' \
  'size_t kept = 0;
    for (size_t i = 0; i < self->inputs_count; i++) {
        struct input *input = &self->inputs[i];
        if (input->request != NULL && input->request->work == NULL) {
            settle_request(self, input);
            work_destroy(&input->work);
        } else {
            self->inputs[kept++] = *input;
        }
    }
    self->inputs_count = kept;
    crash_point("service-before-commit");'

if [[ $list == yes ]]; then
  printf '%s\n' "${names[@]}"
  exit 0
fi
((${#names[@]} > 0)) || { echo "there is no such mutation"; exit 2; }
control "$(printf '%s\n' ${points[*]} | sort -u)"
for i in "${!names[@]}"; do
  if try "${names[i]}" "${points[i]}" "${files[i]}" "${olds[i]}" "${news[i]}"; then
    caught=$((caught + 1))
  else
    survived=$((survived + 1))
  fi
  cp "${files[i]}" "$folder/${files[i]}"
done
echo "$caught caught, $survived not"
((survived == 0))
