#include "cli/verify/id_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    SLOTS_MIN = 1024, // a power of two
    UUID_HEX = 32
};

struct id_table {
    struct id *ids; // owned, by number
    uint32_t count;
    size_t capacity;
    uint32_t *slots; // owned; a number + 1, or 0: free
    uint32_t slots_count;
};

// --- ids

// The finalizer of MurmurHash3 (Austin Appleby): every bit of x reaches every bit.
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ (x >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

// A UUID says its version in the bits that VERSION_MASK covers. No version 0 is ever
// given out, so 0 marks what is no UUID.
#define VERSION_MASK UINT64_C(0xf000)

enum {
    NO_DIGIT = 0x80
};

static uint8_t digit_of(uint8_t c)
{
    const uint8_t number = (uint8_t)(c - '0');
    const uint8_t letter = (uint8_t)(c - 'a');
    return number < 10 ? number : letter < 6 ? (uint8_t)(letter + 10) : NO_DIGIT;
}

// Reads count digits behind those of value; wrong collects NO_DIGIT.
static uint64_t read_digits(uint64_t value, const uint8_t *text, int count, uint8_t *wrong)
{
    for (int i = 0; i < count; i++) {
        const uint8_t digit = digit_of(text[i]);
        *wrong |= digit;
        value = value << 4 | digit;
    }
    return value;
}

// Millions are read, so without a branch for each character.
static bool parse_uuid(struct bytes text, struct id *out)
{
    const uint8_t *at = text.data;
    if (text.size != UUID_SIZE - 1 || at[8] != '-' || at[13] != '-' || at[18] != '-' ||
        at[23] != '-') {
        return false;
    }
    uint8_t wrong = 0;
    out->high = read_digits(0, at, 8, &wrong);
    out->high = read_digits(out->high, at + 9, 4, &wrong);
    out->high = read_digits(out->high, at + 14, 4, &wrong);
    out->low = read_digits(0, at + 19, 4, &wrong);
    out->low = read_digits(out->low, at + 24, 12, &wrong);
    return (wrong & NO_DIGIT) == 0 && (out->high & VERSION_MASK) != 0;
}

struct id id_of_text(struct bytes text)
{
    struct id id;
    if (parse_uuid(text, &id)) {
        return id;
    }
    id = (struct id){mix(text.size + 1), mix(~(uint64_t)text.size)};
    for (size_t i = 0; i < text.size; i++) {
        id.high = mix(id.high ^ text.data[i]);
        id.low = mix(id.low + text.data[i] + UINT64_C(0x9e3779b97f4a7c15));
    }
    id.high &= ~VERSION_MASK;
    return id;
}

bool id_is_equal(struct id a, struct id b)
{
    return a.high == b.high && a.low == b.low;
}

bool id_to_text(struct id id, char out[UUID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    out[0] = '\0';
    if ((id.high & VERSION_MASK) == 0) {
        return false;
    }
    char *to = out;
    for (int i = 0; i < UUID_HEX; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            *to++ = '-';
        }
        const uint64_t half = i < UUID_HEX / 2 ? id.high : id.low;
        *to++ = hex[half >> (60 - 4 * (i % (UUID_HEX / 2))) & 15];
    }
    *to = '\0';
    return true;
}

// --- the table

struct id_table *id_table_new(void)
{
    struct id_table *self = mem_calloc(1, sizeof *self);
    self->slots = mem_calloc(SLOTS_MIN, sizeof *self->slots);
    self->slots_count = SLOTS_MIN;
    return self;
}

void id_table_destroy(struct id_table **self_p)
{
    struct id_table *self = *self_p;
    if (self == NULL) {
        return;
    }
    free(self->slots);
    free(self->ids);
    free(self);
    *self_p = NULL;
}

// The slot that holds id, or the free one where it belongs.
static uint32_t *slot_of(const struct id_table *self, struct id id)
{
    uint32_t at = (uint32_t)mix(id.high ^ mix(id.low)) & (self->slots_count - 1);
    while (self->slots[at] != 0) {
        if (id_is_equal(self->ids[self->slots[at] - 1], id)) {
            break;
        }
        at = (at + 1) & (self->slots_count - 1);
    }
    return &self->slots[at];
}

static void set_slots(struct id_table *self, uint32_t count)
{
    free(self->slots);
    self->slots_count = count;
    self->slots = mem_calloc(self->slots_count, sizeof *self->slots);
    for (uint32_t i = 0; i < self->count; i++) {
        *slot_of(self, self->ids[i]) = i + 1;
    }
}

// At most three quarters of the slots are used.
static uint32_t slots_for(uint32_t count)
{
    uint32_t slots = SLOTS_MIN;
    while (slots / 4 * 3 < count && slots < UINT32_MAX / 2) {
        slots *= 2;
    }
    return slots;
}

void id_table_reserve(struct id_table *self, uint32_t count)
{
    self->ids = mem_reserve(self->ids, &self->capacity, count, sizeof *self->ids);
    if (slots_for(count) > self->slots_count) {
        set_slots(self, slots_for(count));
    }
}

uint32_t id_table_add(struct id_table *self, struct id id)
{
    uint32_t *slot = slot_of(self, id);
    if (*slot != 0) {
        return *slot - 1;
    }
    assert(self->count < ID_NONE - 1);
    self->ids = mem_grow(self->ids, &self->capacity, (size_t)self->count + 1, sizeof *self->ids);
    self->ids[self->count++] = id;
    *slot = self->count;
    if (self->count > self->slots_count / 4 * 3) {
        set_slots(self, slots_for(self->count));
    }
    return self->count - 1;
}

uint32_t id_table_find(const struct id_table *self, struct id id)
{
    const uint32_t *slot = slot_of(self, id);
    return *slot == 0 ? ID_NONE : *slot - 1;
}

uint32_t id_table_count(const struct id_table *self)
{
    return self->count;
}

struct id id_table_at(const struct id_table *self, uint32_t number)
{
    assert(number < self->count);
    return self->ids[number];
}
