#include "broker/group_bits.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

enum {
    WORD_BITS = 64,
    WORD_SHIFT = 6
};

void group_bits_init(struct group_bits *self, uint32_t capacity)
{
    assert(capacity > 0 && capacity % WORD_BITS == 0 && capacity <= GROUP_BITS_MAX);

    uint32_t words[GROUP_BITS_LEVELS];
    uint32_t words_count = 0;
    uint32_t below = capacity;
    for (int level = 0; level < GROUP_BITS_LEVELS; level++) {
        words[level] = (below + WORD_BITS - 1) / WORD_BITS;
        words_count += words[level];
        below = words[level];
    }
    self->capacity = capacity;
    self->levels[0] = mem_calloc(words_count, sizeof *self->levels[0]);
    for (int level = 1; level < GROUP_BITS_LEVELS; level++) {
        self->levels[level] = self->levels[level - 1] + words[level - 1];
    }
}

void group_bits_release(struct group_bits *self)
{
    free(self->levels[0]);
    *self = (struct group_bits){0};
}

static uint64_t bit_of(uint32_t number)
{
    return UINT64_C(1) << (number % WORD_BITS);
}

void group_bits_add(struct group_bits *self, uint32_t number)
{
    assert(number < self->capacity);
    for (int level = 0; level < GROUP_BITS_LEVELS; level++) {
        uint64_t *word = &self->levels[level][number >> WORD_SHIFT];
        const bool was_empty = *word == 0;
        *word |= bit_of(number);
        if (!was_empty) {
            return;
        }
        number >>= WORD_SHIFT;
    }
}

void group_bits_remove(struct group_bits *self, uint32_t number)
{
    assert(number < self->capacity);
    for (int level = 0; level < GROUP_BITS_LEVELS; level++) {
        uint64_t *word = &self->levels[level][number >> WORD_SHIFT];
        *word &= ~bit_of(number);
        if (*word != 0) {
            return;
        }
        number >>= WORD_SHIFT;
    }
}

uint32_t group_bits_next(const struct group_bits *self, uint32_t number)
{
    // Up until a word has a bit at or above number, then down along its lowest.
    uint32_t limit = self->capacity;
    for (int level = 0; level < GROUP_BITS_LEVELS && number < limit; level++) {
        const uint32_t at = number >> WORD_SHIFT;
        const uint64_t rest = self->levels[level][at] & (UINT64_MAX << (number % WORD_BITS));
        if (rest != 0) {
            number = (at << WORD_SHIFT) | (uint32_t)__builtin_ctzll(rest);
            while (level > 0) {
                level--;
                number =
                    (number << WORD_SHIFT) | (uint32_t)__builtin_ctzll(self->levels[level][number]);
            }
            return number;
        }
        number = at + 1;
        limit = (limit + WORD_BITS - 1) / WORD_BITS;
    }
    return GROUP_BITS_NONE;
}
