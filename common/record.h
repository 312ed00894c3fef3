// record - one event as bytes: the same on the wire, in the log and back again.
//
// The producer computes the CRC, the broker and the consumer check it, nobody
// rewrites it: end to end.
//
//    0  u32 size           of the whole record, this field included
//    4  u32 crc32c         of bytes 8 .. size
//    8  u16 topic size     1 .. RECORD_TOPIC_MAX
//   10  u16 key size       0 .. RECORD_KEY_MAX; no key: no order is kept
//   12  u16 id size        1 .. RECORD_ID_MAX
//   14  u16 headers size   0 .. RECORD_HEADERS_MAX; a JSON object or nothing
//   16  topic, key, id, headers, body (the rest)
#ifndef FAULTLINE_RECORD_H
#define FAULTLINE_RECORD_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/err.h"

enum {
    RECORD_HEADER_SIZE = 16,
    RECORD_TOPIC_MAX = 128,
    RECORD_KEY_MAX = 256,
    RECORD_ID_MAX = 128,
    RECORD_HEADERS_MAX = 8192,
    RECORD_SIZE_MAX = 256 * 1024, // the hard limit; EVENT_BYTES_MAX (64 KiB) is the setting
};

// A record's parts, borrowed from wherever it lies.
struct record {
    struct bytes topic;
    struct bytes key;
    struct bytes id;
    struct bytes headers;
    struct bytes body;
    struct bytes whole; // all of it, header included
};

// record_append encodes the parts (whole is ignored) at the end of out; they must
// not lie in out itself. ERR_INVALID: a part is empty that may not be, or over its
// limit, or the topic is no topic; ERR_TOO_LARGE: the record would pass
// RECORD_SIZE_MAX. On an error out is unchanged.
enum err record_append(struct buf *out, const struct record *record);

// record_take parses the record at the start of *rest and moves *rest past it.
// ERR_INVALID: no well-formed record lies there (sizes that do not fit, a topic that
// is no topic). ERR_CORRUPT: the CRC differs; the sizes fit, so load_u32(rest->data)
// is where the next one would start. On an error *rest and *out are unchanged.
// Whether headers are JSON is not looked at.
enum err record_take(struct bytes *rest, struct record *out);

// record_split does the same with bytes that are known to be good, since a CRC over more
// of them was checked: it looks at the sizes alone. false: they do not fit, nothing is
// moved.
bool record_split(struct bytes *rest, struct record *out);

// record_topic_is_valid: kebab-case words joined by dots, [a-z0-9.-], not empty
// and within RECORD_TOPIC_MAX.
bool record_topic_is_valid(struct bytes topic);

// record_crc32c is CRC-32C (Castagnoli; RFC 3720 appendix B.4): "123456789"
// gives 0xe3069283. previous is 0 or the CRC of what came before.
uint32_t record_crc32c(uint32_t previous, const void *data, size_t size);

#endif
