// The record parser. The first byte says how to read the rest: as the bytes of a record,
// as such with its CRC put right, or as the parts of one.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/dead_letter.h"
#include "common/mem.h"
#include "common/record.h"
#include "tests/fuzz/fuzz.h"

// What reads back as the same parts was encoded as the same bytes: there is one way.
static void expect_round_trip(const struct record *record)
{
    struct buf again = {0};
    const enum err err = record_append(&again, record);
    assert(err == ERR_OK);
    assert(fuzz_is_same(buf_view(&again), record->whole));
    buf_release(&again);
}

static void expect_inside(struct bytes part, struct bytes whole)
{
    assert(part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void expect_parts(const struct record *record)
{
    const struct bytes parts[] = {
        record->topic, record->key, record->id, record->headers, record->body};
    size_t size = RECORD_HEADER_SIZE;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        expect_inside(parts[i], record->whole);
        size += parts[i].size;
    }
    assert(size == record->whole.size);
    assert(record_topic_is_valid(record->topic));
}

static void read_bytes(struct bytes input)
{
    struct bytes rest = input;
    struct record record;
    const enum err err = record_take(&rest, &record);
    if (err != ERR_OK) {
        assert(err == ERR_INVALID || err == ERR_CORRUPT);
        assert(rest.data == input.data && rest.size == input.size);
        assert(err != ERR_CORRUPT || load_u32(input.data) <= input.size);
        return;
    }
    assert(record.whole.data == input.data);
    assert(rest.data == input.data + record.whole.size);
    assert(rest.size == input.size - record.whole.size);
    expect_parts(&record);
    expect_round_trip(&record);
    struct dead_letter letter;
    (void)dead_letter_parse(record.headers, &letter);
}

static void write_parts(struct reader *input)
{
    struct record record = {.topic = reader_string(input)};
    record.key = reader_string(input);
    record.id = reader_string(input);
    record.headers = reader_string(input);
    record.body = input->rest;
    struct buf out = {0};
    buf_put_text(&out, "before");
    const size_t before = out.size;
    const enum err err = record_append(&out, &record);
    if (err == ERR_OK) {
        struct bytes rest = {.data = out.data + before, .size = out.size - before};
        struct record read;
        const enum err taken = record_take(&rest, &read);
        assert(taken == ERR_OK && rest.size == 0);
        assert(fuzz_is_same(read.topic, record.topic) && fuzz_is_same(read.key, record.key));
        assert(fuzz_is_same(read.id, record.id) && fuzz_is_same(read.headers, record.headers));
        assert(fuzz_is_same(read.body, record.body));
    } else {
        assert(err == ERR_INVALID || err == ERR_TOO_LARGE);
        assert(out.size == before);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = {.rest = {.data = data, .size = size}};
    const uint8_t how = reader_u8(&input) % 3;
    if (how == 0) {
        read_bytes(input.rest);
    } else if (how == 1) {
        write_parts(&input);
    } else {
        uint8_t *copy = mem_alloc(input.rest.size);
        memcpy(copy, input.rest.data, input.rest.size);
        (void)fuzz_mend_record(copy, input.rest.size, 0);
        read_bytes((struct bytes){.data = copy, .size = input.rest.size});
        free(copy);
    }
    return 0;
}
