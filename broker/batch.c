#include "broker/batch.h"

#include <assert.h>

#include "common/record.h"

enum {
    AT_MARK = 0,
    AT_CRC = 4,
    AT_SIZE = 8,
    AT_COUNT = 12,
    AT_BASE = 16,
    AT_TIME = 24,
};

static uint32_t checksum(const uint8_t *data, size_t size)
{
    const uint32_t mark = record_crc32c(0, data + AT_MARK, AT_CRC - AT_MARK);
    return record_crc32c(mark, data + AT_SIZE, size - AT_SIZE);
}

void batch_seal(uint8_t *data, size_t size, uint32_t mark, const struct batch *batch)
{
    assert(size > BATCH_HEADER_SIZE && size <= BATCH_SIZE_MAX);
    assert(batch->count > 0);
    store_u32(data + AT_MARK, mark);
    store_u32(data + AT_SIZE, (uint32_t)size);
    store_u32(data + AT_COUNT, batch->count);
    store_u64(data + AT_BASE, batch->base);
    store_u64(data + AT_TIME, batch->time_us);
    store_u32(data + AT_CRC, checksum(data, size));
}

enum batch_state batch_parse(struct bytes data, uint32_t mark, struct batch *out)
{
    *out = (struct batch){.size = BATCH_HEADER_SIZE};
    if (data.size < BATCH_HEADER_SIZE) {
        return BATCH_SHORT;
    }
    const uint32_t size = load_u32(data.data + AT_SIZE);
    const uint32_t count = load_u32(data.data + AT_COUNT);
    if (load_u32(data.data + AT_MARK) != mark || count == 0 || size > BATCH_SIZE_MAX ||
        size < BATCH_HEADER_SIZE + (uint64_t)count * RECORD_HEADER_SIZE) {
        return BATCH_BAD;
    }
    out->size = size;
    if (data.size < size) {
        return BATCH_SHORT;
    }
    if (load_u32(data.data + AT_CRC) != checksum(data.data, size)) {
        return BATCH_BAD;
    }
    out->count = count;
    out->base = load_u64(data.data + AT_BASE);
    out->time_us = load_u64(data.data + AT_TIME);
    out->records =
        (struct bytes){.data = data.data + BATCH_HEADER_SIZE, .size = size - BATCH_HEADER_SIZE};
    return BATCH_WHOLE;
}
