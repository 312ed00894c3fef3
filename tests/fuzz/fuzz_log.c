// The recovery of the log, of any bytes at all: u8 flags, u64 known end, then segment
// files: u64 base, u16 size, bytes. With flag 1 the header of each segment is put right,
// with flag 2 the mark and CRC of each batch as well, with flag 4 its base, with flag 8
// the CRCs of its records.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_check.h"

enum {
    FLAG_HEADER = 1,
    FLAG_BATCH = 2,
    FLAG_BASE = 4,
    FLAG_RECORD = 8,
    SEGMENTS_MAX = 8,
    MARK = 0x5eed5eed,
};

// The bytes of segment.h's drawings.
static void mend_header(uint8_t *data, uint64_t base)
{
    memcpy(data, "FLsg", 4);
    store_u32(data + 4, 1);
    store_u32(data + 12, MARK);
    store_u64(data + 16, base);
    store_u32(data + 8, record_crc32c(0, data + 12, 12));
}

static void mend_batches(uint8_t *data, size_t size, uint64_t base, uint8_t flags)
{
    for (size_t at = 24; at + 32 < size;) {
        store_u32(data + at, MARK);
        if ((flags & FLAG_BASE) != 0) {
            store_u64(data + at + 16, base);
            base += load_u32(data + at + 12);
        }
        at = fuzz_mend_batch(data, size, at, (flags & FLAG_RECORD) != 0);
    }
}

static void segment_put(struct memory_disk *disk, struct reader *input, uint8_t flags)
{
    const uint64_t base = reader_u64(input);
    const size_t wanted = reader_u16(input);
    const struct bytes bytes =
        reader_bytes(input, wanted < input->rest.size ? wanted : input->rest.size);
    char name[32];
    (void)snprintf(name, sizeof name, "%020" PRIu64 ".log", base);
    memory_disk_put(disk, name, bytes);
    struct buf *file = memory_disk_find(disk, name);
    if ((flags & FLAG_HEADER) != 0 && file->size >= 24) {
        mend_header(file->data, base);
    }
    if ((flags & FLAG_BATCH) != 0) {
        mend_batches(file->data, file->size, base, flags);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_disk disk;
    memory_disk_init(&disk);
    struct reader input = {.rest = {.data = data, .size = size}};
    const uint8_t flags = reader_u8(&input);
    struct log_check check = {.disk = &disk, .known_end = reader_u64(&input)};
    for (size_t i = 0; i < SEGMENTS_MAX && input.rest.size > 0; i++) {
        segment_put(&disk, &input, flags);
    }
    if (log_check_open(&check) == ERR_OK) {
        log_check_again(&check);
    }
    log_check_close(&check);
    memory_disk_release(&disk);
    return 0;
}
