// The window of duplicates alone: what it must find, what it must forget, and what it
// costs an adversary to fill a bucket.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/duplicates.h"

static struct duplicates window;
static uint64_t random_state;

static uint64_t next_random(void *context)
{
    uint64_t *state = context;
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void start(void)
{
    random_state = 0x9e3779b97f4a7c15ULL;
    duplicates_init(&window, next_random, &random_state);
}

static void stop(void)
{
    duplicates_release(&window);
}

TestSuite(duplicates, .init = start, .fini = stop);

static uint64_t hash_of_number(uint64_t number)
{
    char id[37];
    snprintf(id, sizeof id, "0193a5b2-7c3d-7e1f-9abc-%012llx", (unsigned long long)number);
    return duplicates_hash(&window, bytes_of_text(id));
}

static bool finds(uint64_t hash, uint64_t expected)
{
    uint64_t offset = UINT64_MAX;
    return duplicates_find(&window, hash, &offset) && offset == expected;
}

static bool finds_none(uint64_t hash)
{
    uint64_t offset = UINT64_MAX;
    return !duplicates_find(&window, hash, &offset);
}

Test(duplicates, nothing_is_allocated_before_the_first_event)
{
    cr_expect(finds_none(hash_of_number(1)));
    duplicates_warm(&window, 1);
    duplicates_cut(&window, 0);
    cr_expect_null(window.ring);
    cr_expect_null(window.heads);
}

Test(duplicates, each_of_the_last_2_to_20_offsets_is_found_and_none_before)
{
    const uint64_t first = 5000000; // as after a start with a long log
    const uint64_t count = DUPLICATES_WINDOW + 5000;
    for (uint64_t i = 0; i < count; i++) {
        duplicates_add(&window, first + i, hash_of_number(i));
    }
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t hash = hash_of_number(i);
        wrong += i < 5000 ? finds(hash, first + i) : !finds(hash, first + i);
    }
    cr_expect_eq(wrong, 0, "%lu", (unsigned long)wrong);
    cr_expect_eq(window.capacity, DUPLICATES_WINDOW);
}

Test(duplicates, a_full_window_suspects_next_to_no_new_id)
{
    for (uint64_t i = 0; i < DUPLICATES_WINDOW; i++) {
        duplicates_add(&window, i, hash_of_number(i));
    }
    uint64_t suspects = 0;
    for (uint64_t i = 0; i < 1000000; i++) {
        suspects += !finds_none(hash_of_number(DUPLICATES_WINDOW + i));
    }
    cr_expect_leq(suspects, 3); // 0.06 are to be expected
}

Test(duplicates, two_ids_of_one_hash_are_both_given_the_newest_first)
{
    duplicates_add(&window, 7, 42);
    duplicates_add(&window, 8, 43);
    duplicates_add(&window, 9, 42);

    uint64_t offset = UINT64_MAX;
    cr_expect(duplicates_find(&window, 42, &offset));
    cr_expect_eq(offset, 9);
    cr_expect(duplicates_find(&window, 42, &offset));
    cr_expect_eq(offset, 7);
    cr_expect_not(duplicates_find(&window, 42, &offset));
}

Test(duplicates, an_offset_that_was_passed_over_holds_nothing)
{
    duplicates_add(&window, 0, hash_of_number(0));
    duplicates_add(&window, 3000, hash_of_number(1)); // it grows while it passes
    cr_expect(finds(hash_of_number(0), 0));
    cr_expect(finds(hash_of_number(1), 3000));
}

Test(duplicates, what_is_cut_is_forgotten_and_its_offsets_can_be_noted_again)
{
    for (uint64_t i = 0; i < 2000; i++) {
        duplicates_add(&window, i, hash_of_number(i));
    }
    duplicates_add(&window, 2005, hash_of_number(0)); // an older one of the same hash stays
    duplicates_cut(&window, 1000);
    for (uint64_t i = 0; i < 2000; i++) {
        cr_assert_eq(finds(hash_of_number(i), i), i < 1000);
    }
    for (uint64_t i = 1000; i < 3000; i++) {
        duplicates_add(&window, i, hash_of_number(i + 10000));
    }
    for (uint64_t i = 1000; i < 3000; i++) {
        cr_assert(finds_none(hash_of_number(i)));
        cr_assert(finds(hash_of_number(i + 10000), i));
    }
}

Test(duplicates, a_full_window_can_be_cut)
{
    for (uint64_t i = 0; i < DUPLICATES_WINDOW + 100; i++) {
        duplicates_add(&window, i, hash_of_number(i));
    }
    duplicates_cut(&window, DUPLICATES_WINDOW);
    cr_expect(finds(hash_of_number(DUPLICATES_WINDOW - 1), DUPLICATES_WINDOW - 1));
    cr_expect(finds_none(hash_of_number(DUPLICATES_WINDOW)));
    cr_expect(finds_none(hash_of_number(99)));
    duplicates_add(&window, DUPLICATES_WINDOW, hash_of_number(99));
    cr_expect(finds(hash_of_number(99), DUPLICATES_WINDOW));
}

Test(duplicates, a_search_ends_in_a_bucket_that_somebody_has_filled)
{
    const uint64_t bucket = 5; // of whatever capacity there is
    for (uint64_t i = 0; i < 3000; i++) {
        duplicates_add(&window, i, bucket | (i + 1) << 20 | UINT64_C(1) << 43);
    }
    cr_expect(finds_none(bucket | UINT64_C(4000) << 20 | UINT64_C(1) << 43));
    cr_expect(finds(bucket | UINT64_C(3000) << 20 | UINT64_C(1) << 43, 2999));
}

Test(duplicates, ids_of_every_size_hash_apart_and_by_keys_of_their_own)
{
    char id[RECORD_ID_MAX] = {0}; // a prefix of zeros differs by its size alone
    struct duplicates other;
    duplicates_init(&other, next_random, &random_state);
    uint64_t before = 0;
    for (size_t size = 1; size <= sizeof id; size++) {
        const struct bytes bytes = {.data = (const uint8_t *)id, .size = size};
        const uint64_t hash = duplicates_hash(&window, bytes);
        cr_expect_neq(hash, before);
        cr_expect_neq(hash, duplicates_hash(&other, bytes));
        before = hash;
    }
    for (size_t i = 0; i < sizeof id; i++) { // every byte counts
        const struct bytes bytes = {.data = (const uint8_t *)id, .size = sizeof id};
        id[i] ^= 1;
        cr_expect_neq(duplicates_hash(&window, bytes), before);
        id[i] ^= 1;
    }
    duplicates_release(&other);
}

// A model beside it: what was noted where, of few hashes, so that buckets are full.
Test(duplicates, it_agrees_with_a_model_whatever_is_noted_passed_and_cut)
{
    enum {
        OFFSETS = 6000
    };
    static uint64_t noted[OFFSETS];
    uint64_t end = 0;
    for (int step = 0; step < 20000 && end < OFFSETS - 8; step++) {
        const uint64_t what = next_random(&random_state) % 100;
        if (what < 2) {
            const uint64_t cut = end - next_random(&random_state) % (end + 1) % 50;
            memset(&noted[cut], 0, (OFFSETS - cut) * sizeof noted[0]);
            duplicates_cut(&window, cut);
            end = cut;
        } else {
            end += what < 10 ? next_random(&random_state) % 8 : 0;
            noted[end] = hash_of_number(next_random(&random_state) % 5000);
            duplicates_add(&window, end, noted[end]);
            end++;
        }
        const uint64_t hash = hash_of_number(next_random(&random_state) % 5000);
        uint64_t expected = end;
        uint64_t offset = UINT64_MAX;
        while (expected > 0 && noted[expected - 1] != hash) {
            expected--;
        }
        const bool found = duplicates_find(&window, hash, &offset);
        cr_assert_eq(found, expected > 0);
        cr_assert(!found || offset == expected - 1);
    }
}
