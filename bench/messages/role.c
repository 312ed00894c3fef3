#include "bench/messages/role.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    WAIT_MS = 50,
    BATCHES = 4, // a window goes out in so many: one is made while another is synced
};

static void doze(int64_t us)
{
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

// How many more may go out now.
static uint64_t room_of(const struct role *role, uint64_t sent, uint64_t answered)
{
    uint64_t room = role->window - (sent - answered);
    if (role->count > 0 && role->count - sent < room) {
        room = role->count - sent;
    }
    for (uint32_t i = 0; role->lead > 0 && i < role->who.place->groups; i++) {
        const uint64_t ahead = sent - role->consumers[i].done;
        const uint64_t left = ahead < role->lead ? role->lead - ahead : 0;
        room = left < room ? left : room;
    }
    return room;
}

static void produce(const struct role *role, struct client *client)
{
    const struct engine *engine = role->engine;
    struct lanes *lanes = role->who.lanes;
    struct lane *lane = role->who.lane;
    const uint64_t batch = role->window < BATCHES ? 1 : role->window / BATCHES;
    uint64_t sent = 0;
    uint64_t answered = 0;
    int64_t stamp_us = clock_mono_us();
    while (!lanes->stop && (role->count == 0 || answered < role->count)) {
        const uint64_t room = room_of(role, sent, answered);
        if (room >= batch || (room > 0 && (sent == answered || sent + room == role->count))) {
            const uint64_t size = room < batch ? room : batch;
            stamp_us = clock_mono_us();
            engine->publish(client, sent, size, stamp_us);
            sent += size;
            if (room - size >= batch) {
                continue;
            }
        }
        if (sent == answered) {
            doze(100); // the consumers are behind
        }
        const size_t count = engine->answers(client, sent > answered ? WAIT_MS : 0);
        answered += count;
        lane->done = answered;
        if (role->window == 1 && count == 1) {
            lane_sample(lanes, lane, stamp_us);
        }
    }
}

// One event at each tick of the rate: a late one does not put off the next.
static void produce_at_rate(const struct role *role, struct client *client)
{
    const struct engine *engine = role->engine;
    const int64_t start_us = clock_mono_us();
    uint64_t sent = 0;
    uint64_t answered = 0;
    while (!role->who.lanes->stop) {
        const int64_t due_us = start_us + (int64_t)(sent * 1000000 / role->rate);
        const int64_t now_us = clock_mono_us();
        if (now_us < due_us) {
            doze(due_us - now_us);
        }
        // The event's time is when it was due: a stall is not hidden by not sending.
        engine->publish(client, sent++, 1, due_us > now_us ? clock_mono_us() : due_us);
        answered += engine->answers(client, 0);
        role->who.lane->done = answered;
    }
}

static void consume(const struct role *role, struct client *client)
{
    uint64_t done = 0;
    while (!role->who.lanes->stop) {
        done += role->engine->take(client, WAIT_MS);
        role->who.lane->done = done;
    }
}

pid_t role_fork(const struct role *role)
{
    const pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct client *client = role->engine->open(&role->who);
    role->who.lanes->ready++;
    while (!role->who.lanes->go) {
        doze(200);
    }
    (role->who.consumes ? consume : role->rate > 0 ? produce_at_rate : produce)(role, client);
    role->engine->close(client);
    exit(0);
}
