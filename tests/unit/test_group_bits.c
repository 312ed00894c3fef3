// The set that finds a group's next READY entry, against an array of bool.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "broker/group_bits.h"
#include "common/mem.h"

static uint32_t draw(uint64_t *random, uint32_t below)
{
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return (uint32_t)((*random * 2685821657736338717U >> 33) % below);
}

static uint32_t next_of(const bool *members, uint32_t capacity, uint32_t number)
{
    while (number < capacity && !members[number]) {
        number++;
    }
    return number < capacity ? number : GROUP_BITS_NONE;
}

Test(group_bits, an_empty_set_has_no_next_and_ends_at_its_capacity)
{
    static const uint32_t capacities[] = {64, 128, 4096, 8192, 65536, GROUP_BITS_MAX};
    for (size_t i = 0; i < ARRAY_LEN(capacities); i++) {
        const uint32_t capacity = capacities[i];
        struct group_bits bits;
        group_bits_init(&bits, capacity);
        cr_expect_eq(group_bits_next(&bits, 0), GROUP_BITS_NONE);
        cr_expect_eq(group_bits_next(&bits, capacity - 1), GROUP_BITS_NONE);

        group_bits_add(&bits, capacity - 1);
        cr_expect_eq(group_bits_next(&bits, 0), capacity - 1);
        cr_expect_eq(group_bits_next(&bits, capacity - 1), capacity - 1);
        cr_expect_eq(group_bits_next(&bits, capacity), GROUP_BITS_NONE);

        group_bits_remove(&bits, capacity - 1);
        cr_expect_eq(group_bits_next(&bits, 0), GROUP_BITS_NONE);
        group_bits_release(&bits);
    }
}

Test(group_bits, the_next_member_is_the_lowest_from_there_on)
{
    static const uint32_t capacities[] = {64, 256, 4096, 65536};
    uint64_t random = 2026;
    for (size_t i = 0; i < ARRAY_LEN(capacities); i++) {
        const uint32_t capacity = capacities[i];
        struct group_bits bits;
        group_bits_init(&bits, capacity);
        bool *members = mem_calloc(capacity, sizeof *members);
        for (int step = 0; step < 4000; step++) {
            const uint32_t number = draw(&random, capacity);
            // Few members, so that whole words above are empty.
            members[number] = draw(&random, 3) == 0;
            if (members[number]) {
                group_bits_add(&bits, number);
            } else {
                group_bits_remove(&bits, number);
            }
            const uint32_t from = draw(&random, capacity);
            cr_assert_eq(group_bits_next(&bits, from), next_of(members, capacity, from));
        }
        free(members);
        group_bits_release(&bits);
    }
}
