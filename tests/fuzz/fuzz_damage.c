// The recovery of the log, of a log that once was good: u8 flags, u8 batches, for each
// u8 events and u8 bytes of their bodies, then damages: u8 what, u8 which segment, u16
// where, u32 value. Flag 1 puts the CRCs of batches right afterwards, flag 2 those of
// records as well.
//
// One damage of a kind that a CRC cannot miss, and none put right, must be told: what is
// before it is kept, what is served is what was stored, a tail that was cut is no error.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_check.h"

enum {
    FLAG_BATCH = 1,
    FLAG_RECORD = 2,
    BATCHES_MAX = 12,
    EVENTS_MAX = 4, // of a batch
    DAMAGES_MAX = 8,
    HEADER_SIZE = 24,
};

enum damage {
    DAMAGE_BITS,  // up to 32 neighbours
    DAMAGE_CUT,   // the file ends here
    DAMAGE_ZEROS, // from here on
    DAMAGE_COPY,  // bytes from elsewhere in the file
    DAMAGE_MORE,  // the file is longer
    DAMAGE_GONE,  // there is no such file
    DAMAGES
};

struct batch_place {
    uint64_t segment; // the base of its file
    uint64_t base;
    size_t at, end; // in the file
};

struct world {
    struct memory_disk disk;
    struct log_check check;
    struct batch_place batches[BATCHES_MAX];
    size_t batches_count;
    uint64_t segment; // the last one
    uint8_t sizes[BATCHES_MAX * EVENTS_MAX];
    uint64_t next;
};

static void name_of(uint64_t base, char name[32])
{
    (void)snprintf(name, 32, "%020" PRIu64 ".log", base);
}

// Event number N has a body of N's bytes.
static void body_of(const struct world *self, uint64_t number, uint8_t body[256])
{
    memset(body, (int)(number * 37 + 1), self->sizes[number]);
}

// --- a good log

static void batch_store(struct world *self, struct reader *input)
{
    const uint8_t count = 1 + reader_u8(input) % EVENTS_MAX;
    const uint8_t size = reader_u8(input);
    const uint64_t base = self->next;
    for (uint8_t i = 0; i < count; i++) {
        uint8_t body[256];
        struct buf whole = {0};
        self->sizes[self->next] = size;
        body_of(self, self->next, body);
        const struct record record = {.topic = bytes_of_text("t"),
                                      .id = bytes_of_text("i"),
                                      .body = {.data = body, .size = size}};
        uint64_t offset = 0;
        enum err err = record_append(&whole, &record);
        assert(err == ERR_OK);
        err = event_log_append(self->check.log, buf_view(&whole), &offset);
        assert(err == ERR_OK && offset == self->next);
        (void)err;
        self->next++;
        buf_release(&whole);
    }
    const enum err err = event_log_sync(self->check.log, 1000 + base, false);
    assert(err == ERR_OK);
    (void)err;
}

// Where batches lie, as the files say.
static void batches_find(struct world *self)
{
    for (uint64_t offset = 0; offset < self->next;) {
        char name[32];
        name_of(offset, name);
        const struct buf *file = memory_disk_find(&self->disk, name);
        self->segment = file == NULL ? self->segment : offset;
        name_of(self->segment, name);
        file = memory_disk_find(&self->disk, name);
        const struct batch_place *last =
            self->batches_count == 0 ? NULL : &self->batches[self->batches_count - 1];
        const size_t at = self->segment == offset ? HEADER_SIZE : last->end;
        self->batches[self->batches_count++] =
            (struct batch_place){.segment = self->segment,
                                 .base = offset,
                                 .at = at,
                                 .end = at + load_u32(file->data + at + 8)};
        offset += load_u32(file->data + at + 12);
    }
}

// --- damage

static void damage_do(struct buf *file, enum damage what, size_t at, uint32_t value)
{
    uint8_t bits[4];
    store_u32(bits, value);
    const size_t left = file->size - at;
    switch (what) {
    case DAMAGE_BITS:
        for (size_t i = 0; i < sizeof bits && i < left; i++) {
            file->data[at + i] ^= bits[i];
        }
        break;
    case DAMAGE_CUT:
        file->size = at;
        break;
    case DAMAGE_ZEROS:
        memset(file->data + at, 0, left);
        break;
    case DAMAGE_COPY: {
        const size_t from = value % (file->size + 1);
        const size_t size = value >> 16 & 0xff;
        const size_t most = left < file->size - from ? left : file->size - from;
        memmove(file->data + at, file->data + from, size < most ? size : most);
        break;
    }
    default:
        for (size_t i = 0; i < value % 64; i++) {
            buf_put_u8(file, bits[i % 4]);
        }
        break;
    }
}

struct done {
    enum damage what;
    uint64_t segment;
    size_t at;
};

// false: it was none.
static bool damage_one(struct world *self, struct reader *input, struct done *out)
{
    const enum damage what = reader_u8(input) % DAMAGES;
    const size_t which = reader_u8(input) % self->batches_count;
    const uint64_t segment = self->batches[which].segment;
    char name[32];
    name_of(segment, name);
    struct buf *file = memory_disk_find(&self->disk, name);
    const size_t where = reader_u16(input);
    const uint32_t value = reader_u32(input);
    if (file == NULL) {
        return false;
    }
    *out = (struct done){.what = what, .segment = segment, .at = where % (file->size + 1)};
    if (what == DAMAGE_GONE) {
        (void)self->disk.disk.unlink(&self->disk, name);
    } else {
        damage_do(file, what, out->at, value);
    }
    return true;
}

static void mend(struct world *self, bool records)
{
    for (size_t i = 0; i < self->batches_count; i++) {
        char name[32];
        name_of(self->batches[i].segment, name);
        struct buf *file = memory_disk_find(&self->disk, name);
        for (size_t at = HEADER_SIZE; file != NULL && at < file->size;) {
            at = fuzz_mend_batch(file->data, file->size, at, records);
        }
    }
}

// --- what must be

static void expect_event(struct world *self, uint64_t offset)
{
    struct event_log_entry entry;
    uint8_t body[256];
    const enum err err = event_log_cursor_read(self->check.cursor, offset, &entry);
    assert(err == ERR_OK);
    (void)err;
    body_of(self, offset, body);
    const struct bytes wanted = {.data = body, .size = self->sizes[offset]};
    assert(fuzz_is_same(entry.record.body, wanted));
    assert(entry.time_us <= 1000 + offset);
}

static void judge(struct world *self, const struct done *done, enum err err)
{
    const bool is_tail = done->segment == self->segment && done->at >= HEADER_SIZE &&
                         (done->what == DAMAGE_CUT || done->what == DAMAGE_ZEROS);
    assert(!is_tail || err == ERR_OK);
    if (err != ERR_OK) {
        return;
    }
    const uint64_t next = event_log_next(self->check.log);
    assert(event_log_first(self->check.log) == 0 && next <= self->next);
    assert(next == self->next || done->segment == self->segment);
    for (uint64_t offset = 0; offset < next; offset++) {
        expect_event(self, offset);
    }
    for (size_t i = 0; i < self->batches_count; i++) {
        const struct batch_place *batch = &self->batches[i];
        const bool is_before = batch->segment < done->segment ||
                               (batch->segment == done->segment && batch->end <= done->at);
        assert(!is_before || next > batch->base);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *self = mem_calloc(1, sizeof *self);
    memory_disk_init(&self->disk);
    self->check = (struct log_check){.disk = &self->disk};
    struct reader input = {.rest = {.data = data, .size = size}};
    const uint8_t flags = reader_u8(&input);
    const size_t batches = 1 + reader_u8(&input) % BATCHES_MAX;
    enum err err = log_check_open(&self->check);
    assert(err == ERR_OK);
    for (size_t i = 0; i < batches; i++) {
        batch_store(self, &input);
    }
    log_check_close(&self->check);
    self->check.known_end = 0;
    batches_find(self);
    struct done done = {0};
    size_t damages = 0;
    while (damages < DAMAGES_MAX && input.rest.size > 0 && !input.failed) {
        damages += damage_one(self, &input, &done);
    }
    if ((flags & FLAG_BATCH) != 0) {
        mend(self, (flags & FLAG_RECORD) != 0);
    }
    err = log_check_open(&self->check);
    const bool is_plain = damages == 1 && (flags & FLAG_BATCH) == 0 && done.what <= DAMAGE_ZEROS;
    if (is_plain) {
        judge(self, &done, err);
    }
    if (err == ERR_OK) {
        log_check_again(&self->check);
    }
    log_check_close(&self->check);
    memory_disk_release(&self->disk);
    free(self);
    return 0;
}
