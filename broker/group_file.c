#include "broker/group_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/group_text.h"
#include "common/mem.h"
#include "common/record.h"
#include "common/wire.h"

enum {
    READ_BYTES = 64 * 1024,
    RUN_MAX = 1024 * 1024, // dead letters in a line: a damaged one asks for no more memory
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

// --- the text

static void group_put(struct buf *out, const struct group_file_group *group, int64_t now_ms)
{
    assert(group->topics_count <= WIRE_TOPICS_MAX);
    group_save(group->group, out, now_ms);
    buf_printf(out, "backlog %" PRIu64 "\n", group->backlog);
    for (size_t i = 0; i < group->topics_count; i++) {
        buf_printf(out, "topic %s\n", group->topics[i]);
    }
    const uint64_t *offsets = group->dead_letters;
    for (size_t i = 0; i < group->dead_letters_count; i++) {
        const uint64_t first = offsets[i];
        while (i + 1 < group->dead_letters_count && offsets[i + 1] == offsets[i] + 1 &&
               offsets[i] - first < RUN_MAX - 1) {
            i++;
        }
        group_text_put_range(out, "dead-letter ", first, offsets[i]);
        buf_put_u8(out, '\n');
    }
}

static void text_put(struct buf *out, const struct group_file_state *state, int64_t now_ms)
{
    assert(state->groups_count <= GROUP_FILE_GROUPS_MAX);
    assert(state->totals_count <= GROUP_FILE_TOPICS_MAX);
    buf_printf(out, "faultline-groups 1\nlog-end %" PRIu64 "\n", state->log_end);
    for (size_t i = 0; i < state->totals_count; i++) {
        buf_printf(out, "total %s %" PRIu64 "\n", state->totals[i].topic, state->totals[i].count);
    }
    for (size_t i = 0; i < state->groups_count; i++) {
        group_put(out, &state->groups[i], now_ms);
    }
    buf_printf(out, "crc32c %08" PRIx32 "\n", record_crc32c(0, out->data, out->size));
}

static void total_read(struct group_file_state *state, const char *line)
{
    const char *space = line + strcspn(line, " ");
    const struct bytes topic = {.data = (const uint8_t *)line, .size = (size_t)(space - line)};
    if (record_topic_is_valid(topic) && state->totals_count < GROUP_FILE_TOPICS_MAX) {
        state->totals =
            mem_realloc(state->totals, (state->totals_count + 1) * sizeof *state->totals);
        state->totals[state->totals_count++] =
            (struct group_file_total){.topic = mem_strndup(line, topic.size),
                                      .count = group_text_number(&space, GROUP_OFFSET_MAX)};
    }
}

static void group_read(struct group_file_state *state, const char *name)
{
    bool is_good =
        wire_name_is_valid(bytes_of_text(name)) && state->groups_count < GROUP_FILE_GROUPS_MAX;
    for (size_t i = 0; i < state->groups_count; i++) {
        is_good = is_good && strcmp(group_name(state->groups[i].group), name) != 0;
    }
    if (is_good) {
        state->groups =
            mem_realloc(state->groups, (state->groups_count + 1) * sizeof *state->groups);
        state->groups[state->groups_count++] =
            (struct group_file_group){.group = group_new(name, 0)};
    }
}

static void topic_read(struct group_file_group *group, const char *topic)
{
    if (record_topic_is_valid(bytes_of_text(topic)) && group->topics_count < WIRE_TOPICS_MAX) {
        group->topics =
            mem_realloc(group->topics, (group->topics_count + 1) * sizeof *group->topics);
        group->topics[group->topics_count++] = mem_strdup(topic);
    }
}

static void dead_letters_read(struct group_file_group *group, const char *line, uint64_t log_end)
{
    const size_t count = group->dead_letters_count;
    uint64_t first = count == 0 ? 0 : group->dead_letters[count - 1] + 1;
    uint64_t last = 0;
    if (group_text_range(&line, first, log_end, &first, &last) && last - first < RUN_MAX) {
        group->dead_letters_count += last - first + 1;
        group->dead_letters = mem_realloc(group->dead_letters,
                                          group->dead_letters_count * sizeof *group->dead_letters);
        for (size_t i = count; i < group->dead_letters_count; i++) {
            group->dead_letters[i] = first + (i - count);
        }
    }
}

static void line_read(struct group_file_state *state, const char *line, int64_t now_ms)
{
    struct group_file_group *group = NULL;
    if (state->groups_count > 0) {
        group = &state->groups[state->groups_count - 1];
    }
    if (group_text_word(&line, "log-end ")) {
        state->log_end = group_text_number(&line, GROUP_OFFSET_MAX);
    } else if (group_text_word(&line, "total ")) {
        total_read(state, line);
    } else if (group_text_word(&line, "group ")) {
        group_read(state, line);
    } else if (group == NULL) {
        return;
    } else if (group_text_word(&line, "backlog ")) {
        group->backlog = group_text_number(&line, GROUP_OFFSET_MAX);
    } else if (group_text_word(&line, "topic ")) {
        topic_read(group, line);
    } else if (group_text_word(&line, "dead-letter ")) {
        dead_letters_read(group, line, state->log_end);
    } else {
        group_load_line(group->group, line, now_ms);
    }
}

// Reads what text_put writes. 0, or the number of the first line that it does not.
static uint32_t text_read(struct bytes text, int64_t now_ms, struct group_file_state *state)
{
    char *lines = mem_strndup((const char *)text.data, text.size);
    char *next = NULL;
    for (char *line = strtok_r(lines, "\n", &next); line != NULL;
         line = strtok_r(NULL, "\n", &next)) {
        line_read(state, line, now_ms);
    }
    free(lines);
    struct buf again = {0};
    text_put(&again, state, now_ms);
    const uint32_t bad_line = group_text_difference(text, buf_view(&again));
    buf_release(&again);
    return bad_line;
}

// --- the file

// "cannot write /data/groups: No space left on device"
static enum err problem_set(char problem[GROUP_FILE_PROBLEM_SIZE], const char *doing,
                            const char *path, int error)
{
    snprintf(
        problem, GROUP_FILE_PROBLEM_SIZE, "cannot %s %.300s: %s", doing, path, strerror(error));
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? ERR_FULL : ERR_IO;
}

// 0 or an errno; ENOENT: there is no file.
static int file_read(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return errno;
    }
    size_t size = 0;
    do {
        size = fread(buf_reserve(text, READ_BYTES), 1, READ_BYTES, file);
        text->size += size;
    } while (size > 0);
    const int error = ferror(file) ? errno : 0;
    fclose(file);
    return error;
}

enum err group_file_load(const char *directory, int64_t now_ms, struct group_file_state *state,
                         char problem[GROUP_FILE_PROBLEM_SIZE])
{
    *state = (struct group_file_state){0};
    problem[0] = '\0';
    char *path = mem_format("%s/" GROUP_FILE_NAME, directory);
    struct buf text = {0};
    enum err err = ERR_OK;
    const int error = file_read(path, &text);
    const uint32_t bad_line = error == 0 ? text_read(buf_view(&text), now_ms, state) : 0;
    if (error != 0 && error != ENOENT) {
        err = problem_set(problem, "read", path, error);
    } else if (bad_line > 0) {
        snprintf(problem,
                 GROUP_FILE_PROBLEM_SIZE,
                 "%.250s is damaged in line %" PRIu32
                 ": it is not as it was written, or, if it is the "
                 "checksum, a line above it is not. Put back a copy of it, or move it away: then "
                 "every group starts at the earliest event again, and services drop what they have "
                 "handled before.",
                 path,
                 bad_line);
        group_file_state_release(state);
        err = ERR_CORRUPT;
    }
    buf_release(&text);
    free(path);
    return err;
}

// Writes and syncs a new file. 0 or an errno.
static int file_create(const char *path, struct bytes text)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        return errno;
    }
    const bool is_safe = fwrite(text.data, 1, text.size, file) == text.size && fflush(file) == 0 &&
                         fdatasync(fd) == 0;
    const int error = is_safe ? 0 : errno;
    return fclose(file) == 0 || error != 0 ? error : errno;
}

// Without this a power cut may bring the old file back after a group was confirmed to
// its first member. 0 or an errno.
static int directory_sync(const char *directory)
{
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    const int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

enum err group_file_save(const char *directory, int64_t now_ms,
                         const struct group_file_state *state,
                         char problem[GROUP_FILE_PROBLEM_SIZE])
{
    problem[0] = '\0';
    char *path = mem_format("%s/" GROUP_FILE_NAME, directory);
    char *temp_path = mem_format("%s.tmp", path);
    struct buf text = {0};
    text_put(&text, state, now_ms);

    const char *doing = "write";
    int error = file_create(temp_path, buf_view(&text));
    if (error == 0) {
        doing = "replace";
        error = rename(temp_path, path) == 0 ? 0 : errno;
    }
    if (error != 0) {
        unlink(temp_path);
    } else {
        doing = "sync the folder of";
        error = directory_sync(directory);
    }
    for (size_t i = 0; error == 0 && i < state->groups_count; i++) {
        group_saved(state->groups[i].group);
    }
    buf_release(&text);
    free(temp_path);
    const enum err err = error == 0 ? ERR_OK : problem_set(problem, doing, path, error);
    free(path);
    return err;
}
