#include "broker/group_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/record.h"
#include "common/wire.h"

#define TEXT_BEGIN "faultline-groups " // as version 1 began, which was text

enum {
    MAGIC = 0x72674c46, // "FLgr"
    VERSION = 2,
    READ_BYTES = 64 * 1024,
};

void group_file_state_release(struct group_file_state *state)
{
    for (size_t i = 0; i < state->totals_count; i++) {
        free(state->totals[i].topic);
    }
    free(state->totals);
    for (size_t i = 0; i < state->groups_count; i++) {
        struct group_file_group *group = &state->groups[i];
        group_destroy(&group->group);
        for (size_t j = 0; j < group->topics_count; j++) {
            free(group->topics[j]);
        }
        free(group->topics);
        free(group->dead_letters);
    }
    free(state->groups);
    *state = (struct group_file_state){0};
}

// --- writing

static void put_group(struct buf *out, int64_t now_ms, const struct group_file_group *group)
{
    assert(group->topics_count <= WIRE_TOPICS_MAX);
    group_save(group->group, out, now_ms);
    buf_put_number(out, group->backlog);
    buf_put_number(out, group->topics_count);
    for (size_t i = 0; i < group->topics_count; i++) {
        buf_put_string(out, bytes_of_text(group->topics[i]));
    }
    buf_put_number(out, group->dead_letters_count);
    uint64_t before = 0;
    for (size_t i = 0; i < group->dead_letters_count; i++) {
        buf_put_number(out, group->dead_letters[i] - before);
        before = group->dead_letters[i];
    }
}

void group_file_put(struct buf *out, int64_t now_ms, const struct group_file_state *state)
{
    assert(state->groups_count <= GROUP_FILE_GROUPS_MAX);
    assert(state->totals_count <= GROUP_FILE_TOPICS_MAX);
    const size_t start = out->size;
    buf_put_u32(out, MAGIC);
    buf_put_u32(out, VERSION);
    buf_put_number(out, state->log_end);
    buf_put_number(out, state->log_first);
    buf_put_number(out, state->totals_count);
    for (size_t i = 0; i < state->totals_count; i++) {
        buf_put_string(out, bytes_of_text(state->totals[i].topic));
        buf_put_number(out, state->totals[i].count);
    }
    buf_put_number(out, state->groups_count);
    for (size_t i = 0; i < state->groups_count; i++) {
        put_group(out, now_ms, &state->groups[i]);
    }
    buf_put_u32(out, record_crc32c(0, out->data + start, out->size - start));
}

// --- reading. A list grows with what is read: a wrong count asks for no memory.

static char *take_topic(struct reader *in)
{
    const struct bytes topic = reader_string(in);
    in->failed = in->failed || !record_topic_is_valid(topic);
    return in->failed ? NULL : mem_strndup((const char *)topic.data, topic.size);
}

static void take_totals(struct reader *in, struct group_file_state *state)
{
    const uint64_t count = reader_number(in, GROUP_FILE_TOPICS_MAX);
    state->totals = mem_calloc(GROUP_FILE_TOPICS_MAX, sizeof *state->totals);
    while (state->totals_count < count && !in->failed) {
        struct group_file_total *total = &state->totals[state->totals_count++];
        total->topic = take_topic(in);
        total->count = reader_number(in, state->log_end);
    }
}

static void take_dead_letters(struct reader *in, struct group_file_group *group, uint64_t log_end)
{
    const uint64_t count = reader_number(in, in->rest.size); // each takes a byte at least
    group->dead_letters = mem_calloc(count, sizeof *group->dead_letters);
    uint64_t last = 0;
    while (group->dead_letters_count < count && !in->failed) {
        const uint64_t gap = reader_number(in, log_end - last);
        last += gap;
        in->failed = in->failed || last >= log_end || (gap == 0 && group->dead_letters_count > 0);
        group->dead_letters[group->dead_letters_count++] = last;
    }
}

static void take_group(struct reader *in, int64_t now_ms, struct group_file_state *state)
{
    struct group_file_group *group = &state->groups[state->groups_count];
    group->group = group_load(in, state->log_end, now_ms);
    const char *name = group_name(group->group);
    for (size_t i = 0; i < state->groups_count; i++) {
        in->failed = in->failed || strcmp(group_name(state->groups[i].group), name) == 0;
    }
    state->groups_count++;
    group->backlog = reader_number(in, state->log_end);
    const uint64_t topics_count = reader_number(in, WIRE_TOPICS_MAX);
    group->topics = mem_calloc(WIRE_TOPICS_MAX, sizeof *group->topics);
    while (group->topics_count < topics_count && !in->failed) {
        group->topics[group->topics_count++] = take_topic(in);
    }
    take_dead_letters(in, group, state->log_end);
}

static void take_state(struct reader *in, int64_t now_ms, struct group_file_state *state)
{
    state->log_end = reader_number(in, GROUP_OFFSET_MAX);
    state->log_first = reader_number(in, state->log_end);
    take_totals(in, state);
    const uint64_t groups_count = reader_number(in, GROUP_FILE_GROUPS_MAX);
    state->groups = mem_calloc(GROUP_FILE_GROUPS_MAX, sizeof *state->groups);
    while (state->groups_count < groups_count && !in->failed) {
        take_group(in, now_ms, state);
    }
    in->failed = in->failed || in->rest.size > 0;
}

const char *group_file_take(struct bytes bytes, int64_t now_ms, struct group_file_state *state)
{
    *state = (struct group_file_state){0};
    const struct bytes text = bytes_of_text(TEXT_BEGIN);
    struct reader in = {.rest = bytes};
    const uint32_t magic = reader_u32(&in);
    const uint32_t version = reader_u32(&in);
    if ((bytes.size > text.size && memcmp(bytes.data, text.data, text.size) == 0) ||
        (magic == MAGIC && version != VERSION)) {
        return "has another version of the format than this broker reads";
    }
    if (magic != MAGIC || in.rest.size < sizeof(uint32_t)) {
        return "is damaged: it does not begin as it should";
    }
    const size_t sealed = bytes.size - sizeof(uint32_t);
    if (record_crc32c(0, bytes.data, sealed) != load_u32(bytes.data + sealed)) {
        return "is damaged: its checksum is wrong";
    }
    in.rest.size -= sizeof(uint32_t);
    take_state(&in, now_ms, state);
    if (in.failed) {
        group_file_state_release(state);
        return "is damaged: its checksum is right, but no broker writes what it says";
    }
    return NULL;
}

// --- the file

// Reads the whole file. false: errno tells why.
static bool file_read(struct disk_file *file, struct buf *bytes)
{
    bool done = disk_file_open(file, O_RDONLY);
    for (ssize_t got = READ_BYTES; done && got == READ_BYTES;) {
        got = disk_file_read(file, buf_reserve(bytes, READ_BYTES), READ_BYTES, bytes->size);
        done = got >= 0;
        bytes->size += done ? (size_t)got : 0;
    }
    return done;
}

// Without this a power cut may bring the old file back after a group was confirmed to
// its first member.
static bool folder_sync(const struct disk *disk, const char *directory)
{
    struct disk_file folder = {.disk = disk, .path = mem_strdup(directory), .fd = -1};
    const bool done = disk_file_open(&folder, O_RDONLY | O_DIRECTORY) && disk_file_sync(&folder);
    disk_file_release(&folder);
    return done;
}

enum err group_file_load(const struct disk *disk, const char *directory, int64_t now_ms,
                         struct group_file_state *state, char problem[GROUP_FILE_PROBLEM_SIZE])
{
    *state = (struct group_file_state){0};
    problem[0] = '\0';
    struct disk_file file = {
        .disk = disk, .path = mem_format("%s/" GROUP_FILE_NAME, directory), .fd = -1};
    struct buf bytes = {0};
    enum err err = ERR_OK;
    if (file_read(&file, &bytes)) {
        const char *fault = group_file_take(buf_view(&bytes), now_ms, state);
        if (fault != NULL) {
            snprintf(problem,
                     GROUP_FILE_PROBLEM_SIZE,
                     "%.250s %s. Put back a good one, or move it away: then every group starts at "
                     "the earliest event again, and services drop what they have handled before.",
                     file.path,
                     fault);
            err = ERR_CORRUPT;
        } else if (!folder_sync(disk, directory)) {
            // The process before may have died just before it did that.
            (void)disk_file_problem(&file, "sync the folder of", problem, GROUP_FILE_PROBLEM_SIZE);
            group_file_state_release(state);
            err = ERR_IO;
        }
    } else if (errno != ENOENT) {
        (void)disk_file_problem(&file, "read", problem, GROUP_FILE_PROBLEM_SIZE);
        err = ERR_IO;
    }
    buf_release(&bytes);
    disk_file_release(&file);
    return err;
}

enum err group_file_save(const struct disk *disk, const char *directory, int64_t now_ms,
                         const struct group_file_state *state,
                         char problem[GROUP_FILE_PROBLEM_SIZE])
{
    problem[0] = '\0';
    char *path = mem_format("%s/" GROUP_FILE_NAME, directory);
    struct disk_file temp = {.disk = disk, .path = mem_format("%s.tmp", path), .fd = -1};
    struct buf bytes = {0};
    group_file_put(&bytes, now_ms, state);

    const char *doing = "write";
    enum err err = ERR_OK;
    bool done = disk_file_open(&temp, O_WRONLY | O_CREAT | O_TRUNC) &&
                disk_file_write(&temp, bytes.data, bytes.size, 0) && disk_file_datasync(&temp);
    disk_file_close(&temp);
    if (done) {
        doing = "rename";
        done = disk->rename(disk->context, temp.path, path) == 0;
    }
    if (!done) {
        err = disk_file_problem(&temp, doing, problem, GROUP_FILE_PROBLEM_SIZE);
        (void)disk->unlink(disk->context, temp.path);
    } else if (!folder_sync(disk, directory)) {
        err = disk_file_problem(&temp, "sync the folder of", problem, GROUP_FILE_PROBLEM_SIZE);
    }
    for (size_t i = 0; err == ERR_OK && i < state->groups_count; i++) {
        group_saved(state->groups[i].group);
    }
    buf_release(&bytes);
    disk_file_release(&temp);
    free(path);
    return err;
}
