// Many ids and their numbers.
#include <criterion/criterion.h>
#include <stdio.h>

#include "cli/verify/id_table.h"

static struct id id_of(const char *text)
{
    return id_of_text(bytes_of_text(text));
}

Test(id_table, a_uuid_is_read_and_written_back)
{
    static const char uuid[] = "01a223df-d4db-7b26-b21a-8461255841de";
    char text[UUID_SIZE];
    cr_assert(id_to_text(id_of(uuid), text));
    cr_expect_str_eq(text, uuid);
}

Test(id_table, other_text_has_a_fingerprint_and_no_text)
{
    static const char *const others[] = {
        "",
        "e-1",
        "01A223DF-d4db-7b26-b21a-8461255841de", // upper case
        "01a223df-d4db-0b26-b21a-8461255841de", // no version
        "01a223df-d4db-7b26-b21a-8461255841d",
        "01a223df-d4db-7b26-b21a+8461255841de",
        "01a223df-d4db-7b26-b21a-8461255841dg",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char text[UUID_SIZE];
        cr_expect_not(id_to_text(id_of(others[i]), text), "%s", others[i]);
        cr_expect_str_empty(text);
        for (size_t k = 0; k < i; k++) {
            cr_expect_not(id_is_equal(id_of(others[i]), id_of(others[k])), "%zu %zu", i, k);
        }
    }
}

Test(id_table, numbers_are_given_in_the_order_of_adding_and_stay)
{
    enum {
        MANY = 100000
    };
    struct id_table *table = id_table_new();
    for (uint32_t i = 0; i < MANY; i++) {
        char text[UUID_SIZE];
        snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", i);
        cr_assert_eq(id_table_find(table, id_of(text)), ID_NONE);
        cr_assert_eq(id_table_add(table, id_of(text)), i);
        cr_assert_eq(id_table_add(table, id_of(text)), i);
    }
    cr_expect_eq(id_table_count(table), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        char text[UUID_SIZE];
        snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", i);
        cr_assert_eq(id_table_find(table, id_of(text)), i);
        cr_assert(id_is_equal(id_table_at(table, i), id_of(text)));
    }
    id_table_destroy(&table);
    cr_expect_null(table);
}
