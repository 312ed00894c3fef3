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
