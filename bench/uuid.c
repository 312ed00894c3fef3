// How long an id takes: a new one, and one that is derived as service_emit does it.
#include "common/uuid.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/mem.h"

enum {
    ROUNDS = 1000000
};

int main(void)
{
    char id[UUID_SIZE];
    const int64_t start_us = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++) {
        uuid_new(id);
    }
    const int64_t between_us = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++) {
        const char *const texts[] = {"/services/payment", id, "payment-authorized", id};
        uuid_derive(texts, ARRAY_LEN(texts), id);
    }
    const int64_t end_us = clock_mono_us();
    printf("new %.0f ns, derived %.0f ns\n",
           (double)(between_us - start_us) * 1000 / ROUNDS,
           (double)(end_us - between_us) * 1000 / ROUNDS);
    return 0;
}
