// wire - the control frames between a client and the broker, docs/protocol.md.
//
// A message is one control frame and, for PUBLISH, ACK, DELIVER and RECORDS, one
// frame with a batch of entries (for REPORT: with JSON). Control frame: u8 WIRE_VERSION, u8 type,
// then the fields of the type in the order of struct wire_control's comments.
#ifndef FAULTLINE_WIRE_H
#define FAULTLINE_WIRE_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/record.h"

enum {
    WIRE_VERSION = 2,
    WIRE_NAME_MAX = 64,    // member and group names: [a-z0-9.-]+
    WIRE_TOPICS_MAX = 64,  // topics of one group
    WIRE_BATCH_MAX = 4096, // entries of one batch
    WIRE_BATCH_BYTES_MAX = 1024 * 1024,
    WIRE_ERROR_MAX = 1024, // bytes of an error text
    WIRE_CREDIT_MAX = 4096,
    WIRE_ACK_EVENTS_MAX = 4 * WIRE_CREDIT_MAX, // deliveries that the entries of one ACK name
    WIRE_HEARTBEAT_MIN_MS = 50,
    WIRE_HEARTBEAT_MAX_MS = 60000,
    WIRE_MISSES_MAX = 3, // heartbeats without a message until a side counts as gone
};

// Upper half: from the broker.
enum wire_type {
    WIRE_HELLO = 0x01,      // member, incarnation, heartbeat_ms
    WIRE_SUBSCRIBE = 0x02,  // group, offset_reset, order, retries_max, credit, topics
    WIRE_CREDIT = 0x03,     // credit
    WIRE_PUBLISH = 0x04,    // request, acks, count | records
    WIRE_ACK = 0x05,        // count | ack entries
    WIRE_NACK = 0x06,       // offset, attempt, delay_ms, detail
    WIRE_REJECT = 0x07,     // offset, attempt, detail
    WIRE_READ = 0x08,       // request, offset, credit (entries at most)
    WIRE_BYE = 0x09,        // nothing; both directions: the broker answers it, or it stops
    WIRE_PING = 0x0a,       // nothing; both directions, answered with PONG
    WIRE_REDRIVE = 0x0b,    // request, group, offset, end (dead letters from offset up to end)
    WIRE_RESET = 0x0c,      // request, group, reset_to, offset
    WIRE_DELETE = 0x0d,     // request, group
    WIRE_STATUS = 0x0e,     // request
    WIRE_WELCOME = 0x81,    // heartbeat_ms, event_bytes_max
    WIRE_SUBSCRIBED = 0x82, // group, offset (the group's floor)
    WIRE_PUBLISHED = 0x83,  // request, offset (of the first; the rest follow), count, duplicate
    WIRE_DELIVER = 0x84,    // count | delivered entries
    WIRE_RECORDS = 0x85,    // request, offset (where to read on), end (next offset to be written),
                            // count | delivered entries
    WIRE_ERROR = 0x86,      // request (0: none), index (of the bad record), code, detail
    WIRE_DONE = 0x87,       // request, offset, count: of REDRIVE, RESET, DELETE
    WIRE_REPORT = 0x88,     // request | JSON; of STATUS
    WIRE_PONG = 0x8a,       // nothing; both directions
};

#define WIRE_INDEX_NONE UINT32_MAX // ERROR: it is about the message, not about one record

// WIRE_ERROR codes, as text on the wire.
#define WIRE_CODE_MALFORMED      "malformed"         // not this protocol, or a field out of range
#define WIRE_CODE_NO_SESSION     "no-session"        // HELLO must come first; say it (again)
#define WIRE_CODE_STALE          "stale-incarnation" // a newer incarnation of this member is here
#define WIRE_CODE_EVICTED        "evicted"           // a newer incarnation has just arrived
#define WIRE_CODE_CORRUPT        "corrupt"           // a record's CRC is wrong
#define WIRE_CODE_TOO_LARGE      "too-large"         // event, batch or name over its limit
#define WIRE_CODE_FORBIDDEN      "forbidden-topic" // dead-letter. and redrive. topics are the broker's
#define WIRE_CODE_DISK_FULL      "disk-full"       // nothing was stored; try again later
#define WIRE_CODE_LIMIT          "limit-reached"      // sessions, groups or topics
#define WIRE_CODE_NOT_SUBSCRIBED "not-subscribed"     // ACK, NACK, REJECT, CREDIT without SUBSCRIBE
#define WIRE_CODE_SUBSCRIBED     "already-subscribed" // SUBSCRIBE for a second group
#define WIRE_CODE_RANGE          "out-of-range"       // READ, RESET where the log is not
#define WIRE_CODE_UNKNOWN_GROUP  "unknown-group"      // REDRIVE, RESET, DELETE of none that is
#define WIRE_CODE_GROUP_BUSY     "group-busy"         // DELETE of a group with members

enum wire_offset_reset {
    WIRE_EARLIEST = 0,
    WIRE_LATEST = 1
};
enum wire_order {
    WIRE_ORDER_KEY = 0, // events of one key one after the other
    WIRE_ORDER_NONE = 1
};
enum wire_reset_to {
    WIRE_RESET_EARLIEST = 0,
    WIRE_RESET_LATEST = 1,
    WIRE_RESET_OFFSET = 2, // RESET's offset
    WIRE_RESET_TIME = 3,   // RESET's offset is a time, microseconds since 1970
};
enum wire_acks {
    WIRE_ACKS_NONE = 0,
    WIRE_ACKS_ALL = 1
};

#define WIRE_DELAY_DEFAULT UINT32_MAX // NACK: the broker's own back-off

// Every field any type has; a type uses those its comment above names.
struct wire_control {
    enum wire_type type;
    struct bytes member;   // string; HELLO
    uint64_t incarnation;  // u64; grows with each HELLO of this member name
    uint32_t heartbeat_ms; // u32; HELLO: asked for, WELCOME: what holds, both ways
    struct bytes group;    // string
    uint8_t offset_reset;  // u8, enum wire_offset_reset; only for a group that is new
    uint8_t order;         // u8, enum wire_order; of the whole group
    uint8_t reset_to;      // u8, enum wire_reset_to
    uint32_t retries_max;  // u32
    uint32_t credit;       // u32; deliveries a member may hold unacked
    uint16_t topics_count; // u16, then each a string
    struct bytes topics[WIRE_TOPICS_MAX];
    uint64_t request;         // u64; the client's number, from 1
    uint8_t acks;             // u8, enum wire_acks
    uint32_t count;           // u32; entries in the batch frame
    uint64_t offset;          // u64
    uint8_t duplicate;        // u8; 1: stored before, at offset, and not again
    uint64_t end;             // u64
    uint32_t attempt;         // u32
    uint32_t delay_ms;        // u32
    uint32_t event_bytes_max; // u32
    uint32_t index;           // u32
    struct bytes code;        // string
    struct bytes detail;      // string
};

// wire_control_append encodes control at the end of out. A field out of its range is
// the caller's mistake and aborts.
void wire_control_append(struct buf *out, const struct wire_control *control);

// wire_control_problem says which field of control is out of its range, in the words
// of wire_control_parse (static text); NULL: none is.
const char *wire_control_problem(const struct wire_control *control);

// wire_control_parse reads a frame; views borrow from it. ERR_INVALID: another
// version, an unknown type, a field missing, too long or out of its range, or
// bytes left over; *problem then says which, in words for the sender (static text).
// On an error fields of *out that were read keep what was read: request, when that
// far, names the message in an ERROR; it is 0 otherwise.
enum err wire_control_parse(struct bytes frame, struct wire_control *out, const char **problem);

// wire_type_name returns a type's name ("PUBLISH"), "unknown" for what is none.
const char *wire_type_name(enum wire_type type);

// wire_type_has_batch: the control frame is followed by one frame with a batch.
bool wire_type_has_batch(enum wire_type type);

// wire_type_is_from_client: a client may send it (PING, PONG and BYE: both sides).
bool wire_type_is_from_client(enum wire_type type);

// An entry of ACK: which deliveries were dealt with, count of them from offset on, each
// as this attempt.
struct wire_ack {
    uint64_t offset;
    uint32_t count; // 1 .. WIRE_CREDIT_MAX
    uint32_t attempt;
};

enum {
    WIRE_ACK_SIZE = 16,
    WIRE_DELIVERED_HEADER_SIZE = 20
};

void wire_ack_append(struct buf *out, struct wire_ack ack);

// wire_ack_take moves *rest past one entry. ERR_INVALID: it is cut short, its attempt is
// 0, or its count is none or goes past the last offset; *rest is unchanged.
enum err wire_ack_take(struct bytes *rest, struct wire_ack *out);

// An entry of DELIVER and RECORDS.
struct wire_delivered {
    uint64_t offset;
    uint64_t time_us; // when the broker stored it, microseconds since 1970
    uint32_t attempt; // deliveries so far, from 1; 0 in RECORDS
    struct record record;
};

// wire_delivered_append encodes header and the record's whole bytes.
void wire_delivered_append(struct buf *out, const struct wire_delivered *delivered);

// wire_delivered_take moves *rest past one entry. ERR_INVALID: none lies there; *rest
// is unchanged. ERR_CORRUPT: the record's CRC differs; *rest has moved, and *out
// says which delivery it was, with record.whole alone.
enum err wire_delivered_take(struct bytes *rest, struct wire_delivered *out);

// wire_name_is_valid: [a-z0-9.-], 1 .. WIRE_NAME_MAX bytes.
bool wire_name_is_valid(struct bytes name);

#endif
