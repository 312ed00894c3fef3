// bench_group [EVENTS] - how fast one group alone takes events: offer, deliver, ack in
// runs, of one core's time, without log or sockets; the best of some rounds, since others
// may want the core. Then what a save of a busy window costs, and a load.
#include "broker/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/group_state.h"
#include "common/mem.h"

enum {
    EVENTS = 1000000,
    ROUNDS = 5,
};

// The time this process was on a core: others on the machine do not count.
static int64_t cpu_us(void)
{
    struct timespec time = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

struct load {
    const char *what;
    uint64_t keys;      // different keys, in turn; 0: none
    uint32_t members;   // each with
    uint32_t credit;    // this credit
    uint32_t matches_1; // one of so many events matches
};

static const struct load loads[] = {
    {.what = "no keys, 1 member", .members = 1, .credit = 512, .matches_1 = 1},
    {.what = "a new key each", .keys = UINT64_MAX, .members = 1, .credit = 512, .matches_1 = 1},
    {.what = "4 members", .keys = UINT64_MAX, .members = 4, .credit = 512, .matches_1 = 1},
    {.what = "100 keys, mostly parked", .keys = 100, .members = 4, .credit = 512, .matches_1 = 1},
    {.what = "credit 4096", .keys = UINT64_MAX, .members = 4, .credit = 4096, .matches_1 = 1},
    {.what = "1 of 5 topics", .keys = UINT64_MAX, .members = 4, .credit = 512, .matches_1 = 5},
};

// Acks what is held, neighbours together, as clients do.
static void ack(struct group *group, const struct group_delivery *held, size_t count)
{
    for (size_t i = 0; i < count;) {
        const struct group_delivery first = held[i];
        uint32_t run = 0;
        while (i < count && held[i].offset == first.offset + run &&
               held[i].member == first.member && held[i].attempt == first.attempt) {
            run++;
            i++;
        }
        group_ack(group, first.member, first.offset, run, first.attempt);
    }
}

// Gives the seconds it took.
static double run(const struct load *load, uint64_t events, uint32_t *window)
{
    struct group *group = group_new("bench", 0);
    for (uint32_t i = 1; i <= load->members; i++) {
        group_join(group, i, load->credit);
    }
    const uint64_t credit_all = (uint64_t)load->members * load->credit;
    struct group_delivery *held = mem_calloc(credit_all, sizeof *held);
    size_t held_count = 0;
    const int64_t start_us = cpu_us();
    while (group_cursor(group) < events) {
        while (group_cursor(group) < events && group_wants_more(group)) {
            const uint64_t offset = group_cursor(group);
            const uint64_t key = load->keys == 0 ? 0 : offset % load->keys + 1;
            const struct bytes key_bytes = {.data = (const uint8_t *)&key,
                                            .size = key == 0 ? 0 : sizeof key};
            group_offer(group, offset % load->matches_1 == 0, group_key_hash(key_bytes));
        }
        while (held_count < credit_all && group_deliver(group, 0, &held[held_count])) {
            held_count++;
        }
        ack(group, held, held_count);
        held_count = 0;
    }
    const double seconds = (double)(cpu_us() - start_us) / 1e6;
    *window = group->window.capacity;
    free(held);
    group_destroy(&group);
    return seconds;
}

static void run_best(const struct load *load, uint64_t events)
{
    uint32_t window = 0;
    double best = run(load, events, &window);
    for (int i = 1; i < ROUNDS; i++) {
        const double seconds = run(load, events, &window);
        best = seconds < best ? seconds : best;
    }
    printf("%-26s %12.0f events/s   %6.1f ns each   window %u, %zu KiB\n",
           load->what,
           (double)events / best,
           best * 1e9 / (double)events,
           window,
           window * (sizeof(struct group_entry) + sizeof(uint32_t) + 1) / 1024);
}

// A window full of entries that are held and done in turns.
static void run_save(void)
{
    struct group *group = group_new("bench", 0);
    group_join(group, 1, 4096);
    while (group_wants_more(group)) {
        group_offer(group, true, 0);
    }
    struct group_delivery delivery = {0};
    while (group_deliver(group, 0, &delivery)) {
        if (delivery.offset % 2 == 1) {
            group_ack(group, 1, delivery.offset, 1, 1);
        }
    }
    struct buf text = {0};
    const int64_t start_us = cpu_us();
    group_save(group, &text, 0);
    printf("%-26s %12" PRId64 " us         %zu bytes, window %" PRIu64 "\n",
           "save, held and done",
           cpu_us() - start_us,
           text.size,
           group_cursor(group));
    group_destroy(&group);
    const int64_t load_us = cpu_us();
    struct reader in = {.rest = buf_view(&text)};
    group = group_load(&in, GROUP_OFFSET_MAX, 0);
    printf("%-26s %12" PRId64 " us\n", "load of it", cpu_us() - load_us);
    buf_release(&text);
    group_destroy(&group);
}

int main(int argc, char **argv)
{
    const uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS;
    for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
        run_best(&loads[i], events);
    }
    run_save();
    return 0;
}
