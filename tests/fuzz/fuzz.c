#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "common/record.h"

bool fuzz_is_same(struct bytes left, struct bytes right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

size_t fuzz_mend_record(uint8_t *data, size_t size, size_t at)
{
    if (at + RECORD_HEADER_SIZE > size) {
        return size;
    }
    const size_t record_size = load_u32(data + at);
    if (record_size < RECORD_HEADER_SIZE || record_size > size - at) {
        return size;
    }
    store_u32(data + at + 4, record_crc32c(0, data + at + 8, record_size - 8));
    return at + record_size;
}

// The bytes of segment.h's drawing.
size_t fuzz_mend_batch(uint8_t *data, size_t size, size_t at, bool records)
{
    if (at + 32 > size) {
        return size;
    }
    uint8_t *batch = data + at;
    const size_t batch_size = load_u32(batch + 8);
    if (batch_size <= 32 || batch_size > size - at) {
        return size;
    }
    for (size_t record = 32; records && record < batch_size;) {
        record = fuzz_mend_record(batch, batch_size, record);
    }
    const uint32_t mark = record_crc32c(0, batch, 4);
    store_u32(batch + 4, record_crc32c(mark, batch + 8, batch_size - 8));
    return at + batch_size;
}
