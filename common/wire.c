#include "common/wire.h"

#include <assert.h>
#include <stddef.h>

#include "common/mem.h"

// What a field may be, apart from its size.
enum kind {
    KIND_U8,
    KIND_U32,
    KIND_U64,
    KIND_NAME, // a string, as wire_name_is_valid
    KIND_TEXT, // a string of min .. max bytes
    KIND_TOPICS,
};

// clang-format off
enum field_id {
    END, // ends the list of a type
    MEMBER, INCARNATION, HEARTBEAT_MS, GROUP, OFFSET_RESET, ORDER, RESET_TO, RETRIES_MAX, CREDIT, TOPICS,
    REQUEST, REQUEST_OR_NONE, ACKS, COUNT, COUNT_OR_NONE, OFFSET, DUPLICATE, END_OFFSET, ATTEMPT, DELAY_MS,
    EVENT_BYTES_MAX, INDEX, CODE, DETAIL, FIELD_COUNT
};
// clang-format on

struct field {
    enum kind kind;
    size_t at; // in struct wire_control
    uint64_t min, max;
    const char *problem; // when it is out of its range
};

#define AT(member) offsetof(struct wire_control, member)

// clang-format off
static const struct field fields[FIELD_COUNT] = {
    [MEMBER] = {KIND_NAME, AT(member), 0, 0, "member must be 1 to 64 of a-z 0-9 . -"},
    [INCARNATION] = {KIND_U64, AT(incarnation), 1, UINT64_MAX, "incarnation must not be 0"},
    [HEARTBEAT_MS] = {KIND_U32, AT(heartbeat_ms), WIRE_HEARTBEAT_MIN_MS, WIRE_HEARTBEAT_MAX_MS,
                      "heartbeat_ms must be 50 to 60000"},
    [GROUP] = {KIND_NAME, AT(group), 0, 0, "group must be 1 to 64 of a-z 0-9 . -"},
    [OFFSET_RESET] = {KIND_U8, AT(offset_reset), 0, WIRE_LATEST,
                      "offset_reset must be 0 (earliest) or 1"},
    [ORDER] = {KIND_U8, AT(order), 0, WIRE_ORDER_NONE, "order must be 0 (by key) or 1 (none)"},
    [RESET_TO] = {KIND_U8, AT(reset_to), 0, WIRE_RESET_TIME,
                  "reset_to must be 0 (earliest), 1 (latest), 2 (offset) or 3 (time)"},
    [RETRIES_MAX] = {KIND_U32, AT(retries_max), 0, UINT32_MAX, ""},
    [CREDIT] = {KIND_U32, AT(credit), 0, WIRE_CREDIT_MAX, "credit must be 0 to 4096"},
    [TOPICS] = {KIND_TOPICS, AT(topics), 1, WIRE_TOPICS_MAX,
                "topics must be 1 to 64, each 1 to 128 of a-z 0-9 . -"},
    [REQUEST] = {KIND_U64, AT(request), 1, UINT64_MAX, "request must not be 0"},
    [REQUEST_OR_NONE] = {KIND_U64, AT(request), 0, UINT64_MAX, ""},
    [ACKS] = {KIND_U8, AT(acks), 0, WIRE_ACKS_ALL, "acks must be 0 (none) or 1 (all)"},
    [COUNT] = {KIND_U32, AT(count), 1, WIRE_BATCH_MAX, "count must be 1 to 4096"},
    [COUNT_OR_NONE] = {KIND_U32, AT(count), 0, WIRE_BATCH_MAX, "count must be 0 to 4096"},
    [OFFSET] = {KIND_U64, AT(offset), 0, UINT64_MAX, ""},
    [DUPLICATE] = {KIND_U8, AT(duplicate), 0, 1, "duplicate must be 0 or 1"},
    [END_OFFSET] = {KIND_U64, AT(end), 0, UINT64_MAX, ""},
    [ATTEMPT] = {KIND_U32, AT(attempt), 1, UINT32_MAX, "attempt must not be 0"},
    [DELAY_MS] = {KIND_U32, AT(delay_ms), 0, UINT32_MAX, ""},
    [EVENT_BYTES_MAX] =
        {KIND_U32, AT(event_bytes_max), 1, RECORD_SIZE_MAX, "event_bytes_max must be 1 to 262144"},
    [INDEX] = {KIND_U32, AT(index), 0, UINT32_MAX, ""},
    [CODE] = {KIND_TEXT, AT(code), 1, WIRE_NAME_MAX, "code must be 1 to 64 bytes"},
    [DETAIL] = {KIND_TEXT, AT(detail), 0, WIRE_ERROR_MAX, "detail must be at most 1024 bytes"},
};
// clang-format on

// The grammar: what follows version and type, in this order.
struct layout {
    const char *name;      // NULL: there is no such type
    enum field_id list[8]; // up to END
};

static const struct layout layouts[] = {
    [WIRE_HELLO] = {"HELLO", {MEMBER, INCARNATION, HEARTBEAT_MS}},
    [WIRE_SUBSCRIBE] = {"SUBSCRIBE", {GROUP, OFFSET_RESET, ORDER, RETRIES_MAX, CREDIT, TOPICS}},
    [WIRE_CREDIT] = {"CREDIT", {CREDIT}},
    [WIRE_PUBLISH] = {"PUBLISH", {REQUEST, ACKS, COUNT}},
    [WIRE_ACK] = {"ACK", {COUNT}},
    [WIRE_NACK] = {"NACK", {OFFSET, ATTEMPT, DELAY_MS, DETAIL}},
    [WIRE_REJECT] = {"REJECT", {OFFSET, ATTEMPT, DETAIL}},
    [WIRE_READ] = {"READ", {REQUEST, OFFSET, CREDIT}},
    [WIRE_BYE] = {"BYE", {END}},
    [WIRE_PING] = {"PING", {END}},
    [WIRE_REDRIVE] = {"REDRIVE", {REQUEST, GROUP, OFFSET, END_OFFSET}},
    [WIRE_RESET] = {"RESET", {REQUEST, GROUP, RESET_TO, OFFSET}},
    [WIRE_DELETE] = {"DELETE", {REQUEST, GROUP}},
    [WIRE_STATUS] = {"STATUS", {REQUEST}},
    [WIRE_WELCOME] = {"WELCOME", {HEARTBEAT_MS, EVENT_BYTES_MAX}},
    [WIRE_SUBSCRIBED] = {"SUBSCRIBED", {GROUP, OFFSET}},
    [WIRE_PUBLISHED] = {"PUBLISHED", {REQUEST, OFFSET, COUNT, DUPLICATE}},
    [WIRE_DELIVER] = {"DELIVER", {COUNT}},
    [WIRE_RECORDS] = {"RECORDS", {REQUEST, OFFSET, END_OFFSET, COUNT_OR_NONE}},
    [WIRE_ERROR] = {"ERROR", {REQUEST_OR_NONE, INDEX, CODE, DETAIL}},
    [WIRE_DONE] = {"DONE", {REQUEST, OFFSET, COUNT_OR_NONE}},
    [WIRE_REPORT] = {"REPORT", {REQUEST}},
    [WIRE_PONG] = {"PONG", {END}},
};

static bool type_is_known(unsigned type)
{
    return type < ARRAY_LEN(layouts) && layouts[type].name != NULL;
}

const char *wire_type_name(enum wire_type type)
{
    return type_is_known(type) ? layouts[type].name : "unknown";
}

bool wire_type_has_batch(enum wire_type type)
{
    return type == WIRE_PUBLISH || type == WIRE_ACK || type == WIRE_DELIVER ||
           type == WIRE_RECORDS || type == WIRE_REPORT;
}

bool wire_type_is_from_client(enum wire_type type)
{
    return type_is_known(type) && (type < WIRE_WELCOME || type == WIRE_PONG);
}

bool wire_name_is_valid(struct bytes name)
{
    return name.size <= WIRE_NAME_MAX && record_topic_is_valid(name); // the same alphabet
}

static bool topics_are_valid(const struct wire_control *control)
{
    if (control->topics_count < 1 || control->topics_count > WIRE_TOPICS_MAX) {
        return false;
    }
    for (size_t i = 0; i < control->topics_count; i++) {
        if (!record_topic_is_valid(control->topics[i])) {
            return false;
        }
    }
    return true;
}

// An integer field, or the size of a text.
static uint64_t field_number(const struct field *field, const void *value)
{
    switch (field->kind) {
    case KIND_U8:
        return *(const uint8_t *)value;
    case KIND_U32:
        return *(const uint32_t *)value;
    case KIND_U64:
        return *(const uint64_t *)value;
    default:
        return ((const struct bytes *)value)->size;
    }
}

static bool field_is_valid(const struct field *field, const struct wire_control *control)
{
    const void *value = (const char *)control + field->at;
    if (field->kind == KIND_TOPICS) {
        return topics_are_valid(control);
    }
    if (field->kind == KIND_NAME) {
        return wire_name_is_valid(*(const struct bytes *)value);
    }
    const uint64_t number = field_number(field, value);
    return number >= field->min && number <= field->max;
}

const char *wire_control_problem(const struct wire_control *control)
{
    for (const enum field_id *id = layouts[control->type].list; *id != END; id++) {
        if (!field_is_valid(&fields[*id], control)) {
            return fields[*id].problem;
        }
    }
    return NULL;
}

static void field_put(struct buf *out, const struct field *field,
                      const struct wire_control *control)
{
    const void *value = (const char *)control + field->at;
    if (field->kind == KIND_TOPICS) {
        buf_put_u16(out, control->topics_count);
        for (size_t i = 0; i < control->topics_count; i++) {
            buf_put_string(out, control->topics[i]);
        }
    } else if (field->kind == KIND_NAME || field->kind == KIND_TEXT) {
        buf_put_string(out, *(const struct bytes *)value);
    } else {
        uint8_t number[8];
        store_u64(number, field_number(field, value)); // its low bytes come first
        buf_put(out, number, field->kind == KIND_U8 ? 1 : field->kind == KIND_U32 ? 4 : 8);
    }
}

static void field_take(struct reader *reader, const struct field *field,
                       struct wire_control *control)
{
    void *value = (char *)control + field->at;
    switch (field->kind) {
    case KIND_U8:
        *(uint8_t *)value = reader_u8(reader);
        break;
    case KIND_U32:
        *(uint32_t *)value = reader_u32(reader);
        break;
    case KIND_U64:
        *(uint64_t *)value = reader_u64(reader);
        break;
    case KIND_NAME:
    case KIND_TEXT:
        *(struct bytes *)value = reader_string(reader);
        break;
    case KIND_TOPICS:
        control->topics_count = reader_u16(reader);
        for (size_t i = 0; i < control->topics_count && i < WIRE_TOPICS_MAX; i++) {
            control->topics[i] = reader_string(reader);
        }
        break;
    }
}

void wire_control_append(struct buf *out, const struct wire_control *control)
{
    assert(type_is_known(control->type));
    assert(wire_control_problem(control) == NULL);
    buf_put_u8(out, WIRE_VERSION);
    buf_put_u8(out, (uint8_t)control->type);
    for (const enum field_id *id = layouts[control->type].list; *id != END; id++) {
        field_put(out, &fields[*id], control);
    }
}

static const char *parse(struct bytes frame, struct wire_control *out)
{
    struct reader reader = {.rest = frame};
    const unsigned version = reader_u8(&reader);
    const unsigned type = reader_u8(&reader);
    if (reader.failed) {
        return "the control frame is shorter than version and type";
    }
    if (version != WIRE_VERSION) {
        return "the protocol version is not 2";
    }
    if (!type_is_known(type)) {
        return "the message type is unknown";
    }
    out->type = (enum wire_type)type;
    for (const enum field_id *id = layouts[type].list; *id != END; id++) {
        field_take(&reader, &fields[*id], out);
        if (reader.failed) {
            return "the control frame ends before its last field";
        }
        if (!field_is_valid(&fields[*id], out)) {
            return fields[*id].problem;
        }
    }
    return reader.rest.size > 0 ? "bytes are left over behind the last field" : NULL;
}

enum err wire_control_parse(struct bytes frame, struct wire_control *out, const char **problem)
{
    *out = (struct wire_control){0};
    *problem = parse(frame, out);
    return *problem == NULL ? ERR_OK : ERR_INVALID;
}

void wire_ack_append(struct buf *out, struct wire_ack ack)
{
    buf_put_u64(out, ack.offset);
    buf_put_u32(out, ack.count);
    buf_put_u32(out, ack.attempt);
}

enum err wire_ack_take(struct bytes *rest, struct wire_ack *out)
{
    struct reader reader = {.rest = *rest};
    struct wire_ack ack = {.offset = reader_u64(&reader)};
    ack.count = reader_u32(&reader);
    ack.attempt = reader_u32(&reader);
    if (reader.failed || ack.attempt == 0 || ack.count == 0 || ack.count > WIRE_CREDIT_MAX ||
        ack.offset > UINT64_MAX - ack.count) {
        return ERR_INVALID;
    }
    *out = ack;
    *rest = reader.rest;
    return ERR_OK;
}

void wire_delivered_append(struct buf *out, const struct wire_delivered *delivered)
{
    buf_reserve(out, WIRE_DELIVERED_HEADER_SIZE + delivered->record.whole.size);
    buf_put_u64(out, delivered->offset);
    buf_put_u64(out, delivered->time_us);
    buf_put_u32(out, delivered->attempt);
    buf_put(out, delivered->record.whole.data, delivered->record.whole.size);
}

enum err wire_delivered_take(struct bytes *rest, struct wire_delivered *out)
{
    struct reader reader = {.rest = *rest};
    struct wire_delivered delivered = {.offset = reader_u64(&reader)};
    delivered.time_us = reader_u64(&reader);
    delivered.attempt = reader_u32(&reader);
    if (reader.failed) {
        return ERR_INVALID;
    }
    const enum err err = record_take(&reader.rest, &delivered.record);
    if (err == ERR_CORRUPT) {
        // Its sizes fit, so the next entry can be found.
        delivered.record.whole = reader_bytes(&reader, load_u32(reader.rest.data));
    } else if (err != ERR_OK) {
        return err;
    }
    *out = delivered;
    *rest = reader.rest;
    return err;
}
