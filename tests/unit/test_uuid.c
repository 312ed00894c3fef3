// Ids: what is new has one that nothing else has, what follows from something else always
// the same one.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "common/uuid.h"

static const char *derived(const char *const *texts, size_t count)
{
    static char out[UUID_SIZE];
    uuid_derive(texts, count, out);
    return out;
}

#define DERIVED(...)                                                                               \
    derived((const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

// RFC 9562, appendix A.4: "www.example.com" in the namespace of DNS names.
Test(uuid, the_example_of_the_rfc_comes_out)
{
    static const uint8_t dns[UUID_BYTES] = {0x6b,
                                            0xa7,
                                            0xb8,
                                            0x10,
                                            0x9d,
                                            0xad,
                                            0x11,
                                            0xd1,
                                            0x80,
                                            0xb4,
                                            0x00,
                                            0xc0,
                                            0x4f,
                                            0xd4,
                                            0x30,
                                            0xc8};
    char out[UUID_SIZE];
    uuid_of_name(dns, bytes_of_text("www.example.com"), out);
    cr_expect_str_eq(out, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

// Stored ids stay valid only as long as this does.
Test(uuid, the_same_texts_have_the_same_id_for_ever)
{
    const char *id = DERIVED("/services/payment", "cause", "payment-authorized", "order");
    cr_expect_str_eq(id, "7e0204a5-92b3-505e-a8ac-95bd85635645");
    cr_expect(uuid_is_valid(id));
}

Test(uuid, where_one_text_ends_matters)
{
    char first[UUID_SIZE];
    strcpy(first, DERIVED("ab", "c"));
    cr_expect_str_neq(DERIVED("a", "bc"), first);
    cr_expect_str_neq(DERIVED("ab", "c", ""), first);
    cr_expect_str_neq(DERIVED("abc"), first);
}

Test(uuid, a_new_one_is_of_version_7_and_behind_those_of_earlier_milliseconds)
{
    char before[UUID_SIZE];
    char after[UUID_SIZE];
    uuid_new(before);
    do {
        uuid_new(after);
    } while (strncmp(before, after, 13) == 0); // 48 bits of time, with a dash
    cr_expect(uuid_is_valid(after));
    cr_expect_eq(after[14], '7');
    cr_expect_lt(strcmp(before, after), 0);
}
