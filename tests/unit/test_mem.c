// Memory that grows with what is put in.
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/mem.h"

enum {
    MANY = 1000
};

Test(mem, an_array_grows_and_keeps_what_it_has)
{
    uint32_t *array = NULL;
    size_t capacity = 0;
    size_t moves = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        const size_t before = capacity;
        array = mem_grow(array, &capacity, (size_t)i + 1, sizeof *array);
        moves += capacity != before ? 1 : 0;
        cr_assert_gt(capacity, i);
        array[i] = i;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert_eq(array[i], i);
    }
    cr_expect_lt(moves, 20, "it grew %zu times", moves);
    free(array);
}

Test(mem, what_is_new_in_an_array_is_zero)
{
    size_t capacity = 0;
    uint8_t *array = mem_reserve(NULL, &capacity, 3, 1);
    cr_expect_eq(capacity, 3);
    array[0] = 1;
    array[2] = 1;
    array = mem_grow(array, &capacity, 4, 1);
    cr_expect_eq(array[2], 1);
    for (size_t i = 3; i < capacity; i++) {
        cr_expect_eq(array[i], 0);
    }
    free(array);
}

Test(mem, reserved_room_is_not_taken_back)
{
    size_t capacity = 0;
    uint8_t *array = mem_reserve(NULL, &capacity, 100, 1);
    uint8_t *same = mem_reserve(array, &capacity, 10, 1);
    cr_expect_eq(capacity, 100);
    cr_expect_eq(same, array);
    free(same);
}
