// group_file - the file `groups` in the broker's data folder: the state of all groups
// and what the broker counts of its log, written whole and atomically.
// docs/storage-format.md has its bytes.
//
// After a crash it may lag behind the log: the server reads the log from log_end and
// counts on. Not thread-safe: the broker's loop owns it.
#ifndef FAULTLINE_GROUP_FILE_H
#define FAULTLINE_GROUP_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "broker/disk.h"
#include "broker/group.h"
#include "common/bytes.h"
#include "common/err.h"

enum {
    GROUP_FILE_GROUPS_MAX = 256,
    GROUP_FILE_TOPICS_MAX = 4096, // topics of the whole log
    GROUP_FILE_PROBLEM_SIZE = 512,
};

#define GROUP_FILE_NAME "groups"

// How many records of a topic the log holds, from its beginning.
struct group_file_total {
    char *topic;
    uint64_t count;
};

// One group.
struct group_file_group {
    struct group *group;
    uint64_t backlog; // matching events not done
    char **topics;    // at most WIRE_TOPICS_MAX
    size_t topics_count;
    uint64_t *dead_letters; // offsets in the log, ascending
    size_t dead_letters_count;
};

// What the file holds. Zero is the state of a broker that has not run before.
// For group_file_save every pointer may be borrowed, names must be valid ones, and no
// number may go past log_end, nor it past GROUP_OFFSET_MAX; group_file_load fills it with
// memory of its own, which group_file_state_release frees. A caller that takes
// something over (a group, a list) sets it to NULL and its count to 0.
struct group_file_state {
    uint64_t log_first; // the log's first offset when this was true
    uint64_t log_end;   // its next one
    struct group_file_total *totals;
    size_t totals_count;
    struct group_file_group *groups;
    size_t groups_count;
};

// group_file_load reads directory/groups, and syncs the folder: what it gives survives
// a power cut, whatever the process before had still to do. A missing file is an empty state
// and ERR_OK. ERR_CORRUPT: it is damaged, or of another version of the format; ERR_IO: it
// cannot be read, or the folder not be synced. Then *state is empty and problem is a sentence:
// which file, what is wrong with it, what to do.
enum err group_file_load(const struct disk *disk, const char *directory, int64_t now_ms,
                         struct group_file_state *state, char problem[GROUP_FILE_PROBLEM_SIZE]);

// group_file_save replaces the file: it writes directory/groups.tmp, syncs it, renames
// it, syncs the folder, then calls group_saved on each group. ERR_FULL: no space;
// ERR_IO: the system said no. Then problem is a sentence, a whole file is still
// there (the old one; the new one if only the folder could not be synced), and the
// groups stay dirty: try again later.
enum err group_file_save(const struct disk *disk, const char *directory, int64_t now_ms,
                         const struct group_file_state *state,
                         char problem[GROUP_FILE_PROBLEM_SIZE]);

// group_file_put appends the bytes of the file; group_file_take reads them and returns
// NULL, or else what is wrong with them, and *state is empty. It takes no more memory
// than a small multiple of the bytes, whatever they say.
void group_file_put(struct buf *out, int64_t now_ms, const struct group_file_state *state);
const char *group_file_take(struct bytes bytes, int64_t now_ms, struct group_file_state *state);

// group_file_state_release frees what group_file_load gave and leaves it empty.
void group_file_state_release(struct group_file_state *state);

#endif
