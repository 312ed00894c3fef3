#!/usr/bin/env bash
# Breaks the code on purpose, one guarantee at a time, and shows that the simulator finds
# it. Works on a copy of the tree in a temporary folder; --help tells the rest.
set -uo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TXT'
Usage: tests/sim/mutations.sh [--schedules N] [NAME...]

Applies each mutation (or those named) to a copy of the tree, builds the simulator and
plays seeds until one fails. Prints which seed found what. Fails when a mutation
survives N schedules (20000), or does not apply any more: then the code has changed,
and the mutation here has to follow. --list prints the names.
TXT
}

schedules=20000
wanted=()
list=no
while (($# > 0)); do
  case $1 in
    --help) usage; exit 0 ;;
    --list) list=yes ;;
    --schedules) schedules=${2:-}; shift ;;
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
  git ls-files -z CMakeLists.txt CMakePresets.json common broker services cli bench tests/CMakeLists.txt tests/sim |
    xargs -0 cp --parents -t "$folder"
  (cd "$folder" &&
    cmake --preset release -DFAULTLINE_STORIES=sim &&
    cmake --build --preset release --target sim) >"$folder/build.log" 2>&1 ||
    { cat "$folder/build.log"; exit 1; }
}

# Plays until a seed fails; prints it and what it found. Fails when none does.
play() {
  local said
  said=$("$folder/build/release/bin/sim" --schedules "$schedules" 2>&1 >/dev/null) && return 1
  grep -m1 -o 'seed [0-9]* .*' <<<"$said" | cut -c1-150
  grep -m1 -o 'Assertion .*' <<<"$said" | sed 's/^/                             /'
  return 0
}

# mutation NAME FILE OLD NEW: OLD stands exactly once in FILE.
mutation() {
  local name=$1 file=$2 old=$3 new=$4 found
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
  elif ! cmake --build "$folder/build/release" --target sim >"$folder/build.log" 2>&1; then
    printf '%-28s DOES NOT COMPILE\n' "$name"
    grep -m3 'error' "$folder/build.log"
    survived=$((survived + 1))
  elif found=$(play); then
    printf '%-28s %s\n' "$name" "$found"
    caught=$((caught + 1))
  else
    printf '%-28s SURVIVES %s schedules\n' "$name" "$schedules"
    survived=$((survived + 1))
  fi
  cp "$file" "$folder/$file"
}

# --- an ack means that it is on disk

mutation answer-without-sync broker/segment.c \
  'disk_file_must(&self->file, disk_file_datasync(&self->file), "sync");' \
  ''

mutation answer-before-sync broker/broker_publish.c \
  'const enum err err = event_log_sync(' \
  'answer_publishes(self, 0, true);
    const enum err err = event_log_sync('

mutation new-file-without-name broker/segment.c \
  'disk_file_must(directory, disk_file_sync(directory), "sync");' \
  ''

mutation torn-batch-kept broker/segment.c \
  'if (bytes.size < size || load_u32(bytes.data + BATCH_AT_CRC) != checksum(bytes.data, size)) {' \
  'if (bytes.size < size || checksum(bytes.data, size) == 1) {'

mutation failed-sync-trusted broker/event_log_start.c \
  '(disk_file_write(file, last.data, last.size, self->last_at) || disk_is_full(errno)) &&' \
  'last.size > 0 &&'

# --- every group gets every event, and what is done stays done

mutation leave-forgets broker/group.c \
  'entry_let_go(self, entry);
            entry_wake(self, offset);
        } else' \
  'entry_let_go(self, entry);
        } else'

mutation next-of-key-forgotten broker/group.c \
  'if (entry->state != GROUP_ENDED) {
            entry_wake(self, offset);' \
  'if (entry->state != GROUP_ENDED) {'

mutation full-queue-forgotten broker/broker_session.c \
  'if (session->blocked_until_ms != 0 && now_ms >= session->blocked_until_ms) {' \
  'if (session->blocked_until_ms < 0) {'

mutation cursor-not-rewound broker/group_save.c \
  'group_window_advance(window);
    self->dirty = false;' \
  'group_window_advance(window);
    window->cursor = window->end;
    self->dirty = false;'

mutation floor-saved-ahead broker/group_save.c \
  'buf_put_number(out, window->floor);' \
  'buf_put_number(out, window->floor + (window->counts[GROUP_HELD] > 1));'

mutation save-forgotten broker/broker.c \
  'if (group_is_dirty(self->consumers[i]->group)) {' \
  'if (group_is_dirty(self->consumers[i]->group) && i > 0) {'

mutation group-told-before-saved broker/broker_session.c \
  ' ||
        broker_save(self) != ERR_OK) {' \
  ') {'

mutation rename-without-sync broker/group_file.c \
  'disk_file_must(&folder, disk_file_sync(&folder), "sync");' \
  ''

mutation tmp-without-sync broker/group_file.c \
  'disk_file_write(&temp, bytes.data, bytes.size, 0) && disk_file_datasync(&temp);' \
  'disk_file_write(&temp, bytes.data, bytes.size, 0);'

mutation kept-name-not-synced broker/group_file.c \
  '} else if (!folder_sync(disk, directory)) {' \
  '} else if (false && !folder_sync(disk, directory)) {'

# --- order, credit, attempts, retries

mutation key-order-dropped broker/group.c \
  'entry->key_hash = self->unordered ? 0 : key_hash;' \
  'entry->key_hash = offset % 8 == 0 ? 0 : key_hash;'

mutation credit-ignored broker/broker_session.c \
  'stopped ? 0 : session->credit);' \
  'stopped ? 0 : session->credit + 1);'

mutation stale-ack-taken broker/group.c \
  'entry->state != GROUP_HELD || entry->attempts != attempt ||' \
  'entry->state != GROUP_HELD || attempt == 0 ||'

mutation ack-of-another-taken broker/group.c \
  'self->members[entry->slot].member != member) {' \
  'member == 0) {'

mutation retry-at-once broker/group.c \
  'now->waits = !now->dying;' \
  'now->waits = false;'

# --- dead letters

mutation dies-too-early broker/group.c \
  'now->count > self->retries_max;' \
  'now->count >= self->retries_max;'

mutation dead-before-durable broker/broker_publish.c \
  'const enum err err = event_log_sync(' \
  'broker_settle_own(self);
    self->own_count = 0;
    const enum err err = event_log_sync('

mutation list-without-end broker/broker_letters.c \
  'max - count;' \
  'max;'

mutation redriven-letter-stays broker/broker_letters.c \
  'consumer_unlist(consumer, own->of, own[run - 1].of + 1);' \
  'consumer_unlist(consumer, own->of, own->of);'

# --- duplicates, retention

mutation duplicate-by-hash-alone broker/broker_publish.c \
  'if (err == ERR_OK && entry.record.id.size == id.size &&' \
  'if (err == ERR_OK || entry.record.id.size == id.size ||'

mutation window-not-rebuilt broker/broker_groups.c \
  '!is_own && offset >= window' \
  '!is_own && offset >= next'

mutation dropped-batch-remembered broker/broker_publish.c \
  'duplicates_cut(&self->duplicates, first);' \
  '(void)first;'

mutation retention-past-a-floor broker/broker_retention.c \
  'if (consumer->backlog > 0 && ' \
  'if (consumer->backlog > 1000 && '

mutation retention-past-a-letter broker/broker_retention.c \
  'if (consumer->dead_letters_count > 0 && ' \
  'if (consumer->dead_letters_count > 1000 && '

mutation reserve-for-publishes broker/event_log.c \
  '(uses_reserve ? 0 : self->reserve_bytes)' \
  '(uses_reserve && self->reserve_bytes == 1 ? 1 : 0)'

mutation reserve-for-nobody broker/event_log.c \
  '(uses_reserve ? 0 : self->reserve_bytes)' \
  '(uses_reserve ? self->reserve_bytes : self->reserve_bytes)'

mutation letters-among-publishes broker/broker_letters.c \
  'if (self->own_count == 0) {' \
  'if (self->own_count > BROKER_BATCH_ITEMS_MAX) {'

mutation drop-of-the-held-not-told broker/broker_retention.c \
  'if (held_of(consumer) < held) {' \
  'if (held_of(consumer) > held) {'

# --- the lag, and topics that change

mutation lag-counted-twice broker/broker_groups.c \
  'tally->topics && tally->first >= stats.end;' \
  'tally->topics && tally->first >= stats.floor;'

mutation stretch-of-two-segments broker/tally.c \
  'last->first < segment || ' \
  'last->first > segment || '

mutation topics-not-saved broker/broker_session.c \
  'broker_save_soon(self);' \
  '(void)self;'

mutation taken-not-counted broker/broker_groups.c \
  'if (group_is_taken(consumer->group, at)) {' \
  'if (at == UINT64_MAX) {'

mutation to-die-and-passed-over broker/group.c \
  'if (!matches && (entry->failure == NULL || !entry->failure->dying)) {' \
  'if (!matches) {'

# --- the client

mutation loss-not-told common/bus_session.c \
  'self->lost = self->lost || was_up;' \
  'self->lost = self->lost && was_up;'

mutation answers-miscounted common/bus_session.c \
  'self->err, self->offset++, out);' \
  'self->err, self->offset, out);'

if [[ $list == no ]]; then
  echo "$caught caught, $survived not"
  ((survived == 0 && caught > 0))
fi
