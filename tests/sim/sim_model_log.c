// What is stored: the durable bytes of the segments, read by the page that describes them
// (docs/storage-format.md) and not by the code that wrote them.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/dead_letter.h"
#include "common/mem.h"
#include "tests/sim/sim_model_state.h"

enum {
    HEADER_SIZE = 24,
    AT_MARK = 12,
    AT_BASE = 16,
    BATCH_SIZE = 32,
    BATCH_AT_CRC = 4,
    BATCH_AT_SIZE = 8,
    BATCH_AT_COUNT = 12,
    BATCH_AT_BASE = 16,
    BATCH_AT_TIME = 24,
};

static bool find_event(const struct sim_model *self, const struct record *record, uint32_t *out)
{
    char id[SIM_ID_SIZE];
    snprintf(id, sizeof id, "%.*s", (int)record->id.size, (const char *)record->id.data);
    return sscanf(id, "e-%" SCNu32, out) == 1 && *out < self->events_count;
}

// Whether the record is the event, but for topic and headers.
static bool is_event(const struct sim_event *event, const struct record *record)
{
    return bytes_equal_text(record->id, event->id) &&
           bytes_equal_text(record->key, sim_key_name(event->key)) &&
           record->body.size == event->body_size &&
           (event->body_size == 0 || memcmp(record->body.data, event->body, event->body_size) == 0);
}

// A record of the broker's own: whose, and of which offset.
static struct sim_stored describe_own(struct sim_model *self, const struct record *record)
{
    struct dead_letter letter;
    struct sim_stored stored = {.group = SIM_NONE};
    if (dead_letter_parse(record->headers, &letter) != ERR_OK) {
        sim_fail(self->sim, "headers of offset %" PRIu64 " are none", self->stored_count);
    }
    const bool is_copy = topic_begins(record->topic, TOPIC_REDRIVE);
    stored.kind = is_copy ? SIM_COPY : SIM_LETTER;
    stored.of = is_copy ? letter.dead_letter : letter.offset;
    for (size_t i = 0; i < self->groups_count; i++) {
        stored.group =
            strcmp(self->groups[i].options.name, letter.group) == 0 ? (int)i : stored.group;
    }
    if (stored.group == SIM_NONE || stored.of >= self->stored_count) {
        sim_fail(self->sim, "offset %" PRIu64 " names no event of a group", self->stored_count);
    }
    stored.event = self->stored[stored.of].event;
    const uint64_t first = self->events[stored.event].first_offset;
    if (letter.first_offset != first && !self->events[stored.event].is_twice) {
        sim_fail(self->sim,
                 "offset %" PRIu64 " says that its event was first at %" PRIu64,
                 self->stored_count,
                 letter.first_offset);
    }
    return stored;
}

static struct sim_stored describe(struct sim_model *self, const struct record *record)
{
    struct sim_stored stored = {.kind = SIM_PUBLISHED, .group = SIM_NONE};
    bool is_known = true;
    if (record->headers.size > 0) {
        stored = describe_own(self, record);
    } else {
        is_known = find_event(self, record, &stored.event);
    }
    const struct sim_event *event = &self->events[is_known ? stored.event : 0];
    const bool is_topic = stored.kind != SIM_PUBLISHED ||
                          bytes_equal_text(record->topic, sim_topic_name(event->topic));
    if (!is_known || !is_topic || !is_event(event, record)) {
        sim_fail(self->sim,
                 "offset %" PRIu64 " holds what nobody published: id %.*s",
                 self->stored_count,
                 (int)record->id.size,
                 (const char *)record->id.data);
    }
    stored.key = event->key;
    stored.crc = record_crc32c(0, record->whole.data, record->whole.size);
    return stored;
}

static void grow(struct sim_model *self)
{
    if (self->stored_count == self->stored_capacity) {
        self->stored_capacity = 2 * self->stored_capacity + 256;
        self->stored =
            mem_realloc(self->stored, (size_t)self->stored_capacity * sizeof *self->stored);
        for (size_t i = 0; i < self->groups_count; i++) {
            sim_group_grow(self, &self->groups[i], self->stored_capacity);
        }
    }
}

// An event is durable: for the first time, as a rule.
static void store_event(struct sim_model *self, uint32_t number, uint64_t offset)
{
    struct sim_event *event = &self->events[number];
    self->published++;
    if (!event->is_stored) {
        event->is_stored = true;
        event->first_offset = offset;
    } else if (event->first_offset < self->first_kept || sim_model_may_store_twice(self)) {
        event->is_twice = true;
    } else {
        sim_fail(self->sim,
                 "%s is stored at %" PRIu64 " and again at %" PRIu64,
                 event->id,
                 event->first_offset,
                 offset);
    }
}

// One more record is durable.
static void store(struct sim_model *self, const struct record *record, uint64_t time_us)
{
    struct sim_stored stored = describe(self, record);
    stored.time_us = time_us;
    const uint64_t offset = self->stored_count;
    grow(self);
    self->stored[self->stored_count++] = stored;
    for (size_t i = 0; i < self->groups_count; i++) {
        sim_group_stored(self, &self->groups[i], offset);
    }
    if (stored.kind == SIM_PUBLISHED) {
        store_event(self, stored.event, offset);
    } else if (stored.kind == SIM_LETTER) {
        sim_count(self->sim, SIM_DEAD_LETTERS);
        sim_group_bury(self, &self->groups[stored.group], stored.of, offset);
    } else {
        sim_count(self->sim, SIM_REDRIVES);
        sim_group_redriven(self, &self->groups[stored.group], stored.of);
    }
}

// Takes the records of a batch, new or, at a start, known.
static void take_batch(struct sim_model *self, const uint8_t *data)
{
    const uint64_t base = load_u64(data + BATCH_AT_BASE);
    const uint32_t count = load_u32(data + BATCH_AT_COUNT);
    struct bytes records = {.data = data + BATCH_SIZE,
                            .size = load_u32(data + BATCH_AT_SIZE) - BATCH_SIZE};
    struct record record;
    self->read_count += count;
    for (uint32_t i = 0; i < count; i++) {
        if (record_take(&records, &record) != ERR_OK) {
            sim_fail(self->sim, "a batch that is whole holds a record that is not");
        }
        const uint64_t offset = base + i;
        if (offset < self->stored_count) {
            sim_log_expect(self, offset, &record, "stored");
        } else if (offset == self->stored_count) {
            store(self, &record, load_u64(data + BATCH_AT_TIME));
        } else {
            sim_fail(self->sim, "offset %" PRIu64 " is stored, but not the one before", offset);
        }
    }
    if (records.size != 0) {
        sim_fail(self->sim, "a batch has bytes behind its records");
    }
}

static bool batch_is_whole(const uint8_t *data, size_t left, uint32_t mark)
{
    if (left < BATCH_SIZE || load_u32(data) != mark) {
        return false;
    }
    const uint32_t size = load_u32(data + BATCH_AT_SIZE);
    if (size <= BATCH_SIZE || size > left) {
        return false;
    }
    const uint32_t crc = record_crc32c(0, data, BATCH_AT_CRC);
    return load_u32(data + BATCH_AT_CRC) ==
           record_crc32c(crc, data + BATCH_AT_SIZE, size - BATCH_AT_SIZE);
}

// What the segments hold that are not dropped: batches, no zeros.
static uint64_t bytes_of(const struct sim_model *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->segments_count; i++) {
        const bool is_dropped =
            i + 1 < self->segments_count && self->segments[i + 1].base <= self->first_kept;
        bytes += is_dropped ? 0 : self->segments[i].at;
    }
    return bytes;
}

static void read_segment(struct sim_model *self, const char *path, struct sim_segment *segment)
{
    struct bytes durable;
    if (!sim_disk_durable(self->disk, path, &durable) || durable.size < HEADER_SIZE) {
        return;
    }
    const uint32_t mark = load_u32(durable.data + AT_MARK);
    segment->at = segment->at == 0 ? HEADER_SIZE : segment->at;
    while (segment->at < durable.size &&
           batch_is_whole(durable.data + segment->at, durable.size - segment->at, mark)) {
        const uint8_t *data = durable.data + segment->at;
        const uint64_t published = self->published;
        take_batch(self, data);
        segment->at += load_u32(data + BATCH_AT_SIZE);
        const bool is_publish = self->published != published; // and new
        if (bytes_of(self) >
            (is_publish ? self->options.publish_bytes_max : self->options.disk_bytes_max)) {
            sim_fail(self->sim, "a batch takes more of the disk than is its to take");
        }
    }
}

// The segment of that base, in ascending order.
static struct sim_segment *segment_of(struct sim_model *self, uint64_t base)
{
    size_t at = self->segments_count;
    while (at > 0 && self->segments[at - 1].base >= base) {
        at--;
    }
    if (at == self->segments_count || self->segments[at].base != base) {
        if (self->segments_count == SIM_SEGMENTS_MAX) {
            sim_fail(self->sim, "the model has no room for another segment");
        }
        memmove(&self->segments[at + 1],
                &self->segments[at],
                (self->segments_count - at) * sizeof *self->segments);
        self->segments[at] = (struct sim_segment){.base = base};
        self->segments_count++;
        if (base > 0) {
            sim_count(self->sim, SIM_ROLLED_SEGMENTS);
        }
    }
    return &self->segments[at];
}

// The segment that path names; NULL: it is no segment.
static struct sim_segment *segment_at(struct sim_model *self, const char *path)
{
    static const char prefix[] = "/data/log/0";
    const size_t size = sizeof prefix - 2;
    return strncmp(path, prefix, size + 1) == 0 ? segment_of(self, strtoull(path + size, NULL, 10))
                                                : NULL;
}

void sim_log_synced(struct sim_model *self, const char *path)
{
    struct sim_segment *segment = segment_at(self, path);
    if (segment != NULL) {
        read_segment(self, path, segment);
    } else if (strcmp(path, "/data/log") == 0) {
        for (size_t i = 0; (path = sim_disk_name(self->disk, i)) != NULL; i++) {
            (void)segment_at(self, path);
        }
        for (size_t i = 0; i < self->segments_count; i++) {
            char name[64];
            snprintf(name, sizeof name, "/data/log/%020" PRIu64 ".log", self->segments[i].base);
            read_segment(self, name, &self->segments[i]);
        }
    }
}

void sim_log_read_again(struct sim_model *self, uint64_t first)
{
    self->read_count = 0;
    for (size_t i = 0; i < self->segments_count; i++) {
        self->segments[i].at = 0;
    }
    sim_log_synced(self, "/data/log");
    if (self->read_count != self->stored_count - first) {
        sim_fail(self->sim,
                 "%" PRIu64 " records were durable from offset %" PRIu64 " on, %" PRIu64
                 " are left",
                 self->stored_count - first,
                 first,
                 self->read_count);
    }
    if (first < self->first_kept) {
        self->first_kept = first; // a crash has brought a segment back
    }
}

uint64_t sim_log_border(const struct sim_model *self, uint64_t offset)
{
    uint64_t border = self->oldest_end <= offset ? self->oldest_end : 0;
    for (size_t i = 0; i < self->segments_count && self->segments[i].base <= offset; i++) {
        border = self->segments[i].base > border ? self->segments[i].base : border;
    }
    return border;
}

void sim_log_dropped(struct sim_model *self, uint64_t first)
{
    if (first == self->first_kept) {
        return;
    }
    if (first < self->first_kept || first != sim_log_border(self, first)) {
        sim_fail(self->sim, "the log begins at %" PRIu64 " now", first);
    }
    for (size_t i = 0; i < self->groups_count; i++) {
        struct sim_group *group = &self->groups[i];
        const bool has_letter = group->letters_count > 0 && group->letters[0] < first;
        if (group->exists && (sim_group_first_left(self, group) < first || has_letter)) {
            sim_fail(self->sim,
                     "the log begins at %" PRIu64 " now, but %s needs %" PRIu64,
                     first,
                     group->options.name,
                     has_letter ? group->letters[0] : group->first_left);
        }
    }
    sim_count(self->sim, SIM_DROPPED_SEGMENTS);
    self->first_kept = first;
}

static void expect_durable(struct sim_model *self, uint64_t offset, const char *what)
{
    if (offset >= self->stored_count) {
        sim_fail(self->sim, "offset %" PRIu64 " is %s before it is durable", offset, what);
    }
}

void sim_log_expect(struct sim_model *self, uint64_t offset, const struct record *record,
                    const char *what)
{
    expect_durable(self, offset, what);
    if (record_crc32c(0, record->whole.data, record->whole.size) != self->stored[offset].crc) {
        sim_fail(self->sim, "offset %" PRIu64 " is %s with other bytes", offset, what);
    }
}

void sim_log_expect_event(struct sim_model *self, uint64_t offset, const struct record *record,
                          const char *what)
{
    expect_durable(self, offset, what);
    const struct sim_event *event = &self->events[self->stored[offset].event];
    if (self->stored[offset].kind == SIM_LETTER || !is_event(event, record) ||
        !bytes_equal_text(record->topic, sim_topic_name(event->topic))) {
        sim_fail(self->sim, "offset %" PRIu64 " is %s as another event", offset, what);
    }
}

void sim_log_check(struct sim_model *self, struct broker *broker)
{
    if (event_log_next(broker->log) != self->stored_count) {
        sim_fail(self->sim,
                 "the broker takes the log to end at %" PRIu64 ", on disk it ends at %" PRIu64,
                 event_log_next(broker->log),
                 self->stored_count);
    }
    struct event_log_cursor *cursor = event_log_cursor_new(broker->log);
    struct event_log_entry entry;
    for (uint64_t offset = event_log_first(broker->log); offset < self->stored_count; offset++) {
        const enum err err = event_log_cursor_read(cursor, offset, &entry);
        if (err == ERR_OK) {
            sim_log_expect(self, offset, &entry.record, "read back");
        } else if (err != ERR_IO) { // the disk may say no
            sim_fail(
                self->sim, "offset %" PRIu64 " cannot be read back: %s", offset, err_name(err));
        }
    }
    event_log_cursor_destroy(&cursor);
}
