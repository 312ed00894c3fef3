#include "broker/group_file_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/group_run.h"
#include "broker/text_scan.h"
#include "common/mem.h"
#include "common/record.h"
#include "common/wire.h"

#define HEAD_LINE "faultline-groups 1"

enum {
    DEAD_LETTERS_CAPACITY_MIN = 16,
    CRC_DIGITS = 8
};

static void dead_letters_put(struct buf *out, const uint64_t *offsets, size_t count)
{
    for (size_t i = 0; i < count;) {
        const size_t first = i;
        do {
            i++;
            assert(i == count || offsets[i - 1] < offsets[i]);
        } while (i < count && offsets[i] == offsets[i - 1] + 1);
        buf_put_text(out, "dead-letter ");
        text_scan_range_put(out, offsets[first], offsets[i - 1]);
        buf_put_u8(out, '\n');
    }
}

static void group_put(struct buf *out, const struct group_file_group *group, int64_t now_ms)
{
    assert(group->topics_count <= WIRE_TOPICS_MAX);
    group_save(group->group, out, now_ms);
    buf_printf(out, "backlog %" PRIu64 "\n", group->backlog);
    for (size_t i = 0; i < group->topics_count; i++) {
        buf_printf(out, "topic %s\n", group->topics[i]);
    }
    dead_letters_put(out, group->dead_letters, group->dead_letters_count);
}

void group_file_text_put(struct buf *out, const struct group_file_state *state, int64_t now_ms)
{
    assert(state->groups_count <= GROUP_FILE_GROUPS_MAX);
    assert(state->totals_count <= GROUP_FILE_TOPICS_MAX);
    const size_t start = out->size;
    buf_printf(out, HEAD_LINE "\nlog-end %" PRIu64 "\n", state->log_end);
    for (size_t i = 0; i < state->totals_count; i++) {
        buf_printf(out, "total %s %" PRIu64 "\n", state->totals[i].topic, state->totals[i].count);
    }
    for (size_t i = 0; i < state->groups_count; i++) {
        group_put(out, &state->groups[i], now_ms);
    }
    const uint32_t crc = record_crc32c(0, out->data + start, out->size - start);
    buf_printf(out, "crc32c %08" PRIx32 "\n", crc);
}

// --- reading

// What is left of the text, and the line at which it goes on.
struct scanner {
    struct bytes rest;
    uint32_t line_number;
    const char *reason; // of the first flaw
    int64_t now_ms;
    bool is_trusted; // the checksum is right
};

// Takes the next line when it starts with word and leaves the rest of it in line.
static bool line_take(struct scanner *self, const char *word, struct bytes *line)
{
    struct bytes rest = self->rest;
    if (!text_scan_line(&rest, line) || !text_scan_literal(line, word)) {
        return false;
    }
    self->rest = rest;
    self->line_number++;
    return true;
}

// A flaw in the line that was just taken.
static bool flaw_here(struct scanner *self, const char *reason)
{
    self->line_number--;
    self->reason = reason;
    return false;
}

// A flaw in the line that comes next.
static bool flaw_next(struct scanner *self, const char *reason)
{
    self->reason = reason;
    return false;
}

static char *text_of(struct bytes bytes)
{
    return mem_strndup((const char *)bytes.data, bytes.size);
}

static bool number_take(struct scanner *self, const char *word, uint64_t *out)
{
    struct bytes line = {0};
    if (!line_take(self, word, &line)) {
        return flaw_next(self, "another line belongs here");
    }
    if (!text_scan_u64(&line, GROUP_OFFSET_MAX, out) || line.size != 0) {
        return flaw_here(self, "this is no number");
    }
    return true;
}

static bool totals_take(struct scanner *self, struct group_file_state *state)
{
    struct bytes line = {0};
    while (line_take(self, "total ", &line)) {
        const uint8_t *space = line.size == 0 ? NULL : memchr(line.data, ' ', line.size);
        if (space == NULL || state->totals_count == GROUP_FILE_TOPICS_MAX) {
            return flaw_here(self, "this is no total of a topic, or one too many");
        }
        const struct bytes topic = {.data = line.data, .size = (size_t)(space - line.data)};
        struct bytes number = {.data = space + 1, .size = line.size - topic.size - 1};
        uint64_t count = 0;
        if (!record_topic_is_valid(topic) || !text_scan_u64(&number, GROUP_OFFSET_MAX, &count) ||
            number.size != 0) {
            return flaw_here(self, "this is no total of a topic");
        }
        state->totals =
            mem_realloc(state->totals, (state->totals_count + 1) * sizeof *state->totals);
        state->totals[state->totals_count] =
            (struct group_file_total){.topic = text_of(topic), .count = count};
        state->totals_count++;
    }
    return true;
}

// The lines from "group" up to "backlog" are the group's own.
static bool group_lines_take(struct scanner *self, struct group **out)
{
    const uint8_t *start = self->rest.data;
    const uint32_t start_line = self->line_number;
    struct bytes line = {0};
    while (!text_scan_starts(self->rest, "backlog ") && line_take(self, "", &line)) {
    }
    const struct bytes text = {.data = start, .size = (size_t)(self->rest.data - start)};
    uint32_t bad_line = 0;
    if (group_load(out, text, self->now_ms, &bad_line) != ERR_OK) {
        self->line_number = start_line + bad_line - 1;
        return flaw_next(self, "this is no line of a group's state");
    }
    return true;
}

static bool topics_take(struct scanner *self, struct group_file_group *group)
{
    struct bytes line = {0};
    while (line_take(self, "topic ", &line)) {
        if (!record_topic_is_valid(line) || group->topics_count == WIRE_TOPICS_MAX) {
            return flaw_here(self, "this is no topic, or one too many");
        }
        group->topics =
            mem_realloc(group->topics, (group->topics_count + 1) * sizeof *group->topics);
        group->topics[group->topics_count] = text_of(line);
        group->topics_count++;
    }
    return true;
}

static bool dead_letters_take(struct scanner *self, uint64_t log_end,
                              struct group_file_group *group)
{
    struct bytes line = {0};
    size_t capacity = 0;
    uint64_t next = 0;
    while (line_take(self, "dead-letter ", &line)) {
        uint64_t first = 0;
        uint64_t last = 0;
        if (!text_scan_range(&line, GROUP_OFFSET_MAX, &first, &last) || line.size != 0 ||
            first < next || last >= log_end) {
            return flaw_here(self, "this is no dead letter, or not one of the log");
        }
        next = last + 1;
        // A damaged range could ask for all the memory there is.
        for (uint64_t offset = first; self->is_trusted && offset <= last; offset++) {
            if (group->dead_letters_count == capacity) {
                capacity = capacity == 0 ? DEAD_LETTERS_CAPACITY_MIN : capacity * 2;
                group->dead_letters =
                    mem_realloc(group->dead_letters, capacity * sizeof *group->dead_letters);
            }
            group->dead_letters[group->dead_letters_count] = offset;
            group->dead_letters_count++;
        }
    }
    return true;
}

static bool groups_take(struct scanner *self, struct group_file_state *state)
{
    while (text_scan_starts(self->rest, "group ")) {
        if (state->groups_count == GROUP_FILE_GROUPS_MAX) {
            return flaw_next(self, "this is one group too many");
        }
        // Counted before it is filled, so that a release finds what is there.
        state->groups =
            mem_realloc(state->groups, (state->groups_count + 1) * sizeof *state->groups);
        struct group_file_group *group = &state->groups[state->groups_count];
        *group = (struct group_file_group){0};
        state->groups_count++;
        const uint32_t start_line = self->line_number;
        if (!group_lines_take(self, &group->group) ||
            !number_take(self, "backlog ", &group->backlog) || !topics_take(self, group) ||
            !dead_letters_take(self, state->log_end, group)) {
            return false;
        }
        for (size_t i = 0; i + 1 < state->groups_count; i++) {
            if (strcmp(group_name(state->groups[i].group), group_name(group->group)) == 0) {
                self->line_number = start_line;
                return flaw_next(self, "this group is there twice");
            }
        }
    }
    return true;
}

static bool all_take(struct scanner *self, struct group_file_state *state)
{
    struct bytes line = {0};
    if (!line_take(self, HEAD_LINE, &line) || line.size != 0) {
        self->line_number = 1;
        return flaw_next(self, "this is no file of groups, or of another version");
    }
    if (!number_take(self, "log-end ", &state->log_end) || !totals_take(self, state) ||
        !groups_take(self, state)) {
        return false;
    }
    if (!line_take(self, "crc32c ", &line)) {
        return flaw_next(self, "this line does not belong here, or the file is cut short");
    }
    if (self->rest.size != 0) {
        return flaw_next(self, "something follows the checksum");
    }
    return true;
}

// The last line's checksum, against all bytes before that line.
static bool crc_matches(struct bytes text)
{
    char line[sizeof "crc32c \n" + CRC_DIGITS];
    const size_t size = sizeof line - 1;
    if (text.size < size) {
        return false;
    }
    const size_t before = text.size - size;
    struct buf expected = {0};
    buf_printf(&expected, "crc32c %08" PRIx32 "\n", record_crc32c(0, text.data, before));
    const bool matches =
        expected.size == size && memcmp(expected.data, text.data + before, size) == 0;
    buf_release(&expected);
    return matches;
}

enum err group_file_text_scan(struct bytes text, int64_t now_ms, struct group_file_state *state,
                              struct group_file_flaw *flaw)
{
    *state = (struct group_file_state){0};
    // The lines of a text with a wrong checksum are read for one reason: to find out
    // in which of them the damage is.
    struct scanner scanner = {
        .rest = text, .line_number = 1, .now_ms = now_ms, .is_trusted = crc_matches(text)};
    bool good = all_take(&scanner, state);
    if (good && !scanner.is_trusted) {
        good = flaw_here(&scanner, "the checksum does not match what is above it");
    }
    if (!good) {
        group_file_state_release(state);
        *flaw = (struct group_file_flaw){.line = scanner.line_number, .reason = scanner.reason};
        return ERR_CORRUPT;
    }
    return ERR_OK;
}
