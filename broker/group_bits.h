// group_bits - a set of small numbers that finds its lowest member above any number
// in a few steps: a bit for each number, and above each 64 words a word that tells
// which of them are not empty.
#ifndef FAULTLINE_GROUP_BITS_H
#define FAULTLINE_GROUP_BITS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    GROUP_BITS_LEVELS = 3,
    GROUP_BITS_MAX = 64 * 64 * 64,
};

#define GROUP_BITS_NONE UINT32_MAX

// Zero is not usable: fill it with group_bits_init.
struct group_bits {
    uint64_t *levels[GROUP_BITS_LEVELS]; // owned: one block, which levels[0] begins
    uint32_t capacity;
};

// group_bits_init makes an empty set of numbers below capacity, which is a multiple
// of 64 and at most GROUP_BITS_MAX. group_bits_release frees its memory.
void group_bits_init(struct group_bits *self, uint32_t capacity);
void group_bits_release(struct group_bits *self);

// group_bits_add and group_bits_remove: nothing happens when it is so already.
void group_bits_add(struct group_bits *self, uint32_t number);
void group_bits_remove(struct group_bits *self, uint32_t number);

// group_bits_next gives the lowest member from number on, or GROUP_BITS_NONE.
uint32_t group_bits_next(const struct group_bits *self, uint32_t number);

#endif
