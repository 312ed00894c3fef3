// Faultline by its own client, common/bus.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/messages/engine.h"
#include "common/bus.h"
#include "common/clock.h"
#include "common/mem.h"

#define TOPIC "order-created"

enum {
    UUID_CHARS = 36,
    BODY_BYTES = EVENT_BYTES - (sizeof TOPIC - 1) - 2 * UUID_CHARS,
    INPUTS_MAX = 1024,
    KEYS = 65536, // in turn: some events of each key, none of them waits for another
    CONNECT_MS = 10000,
};

struct client {
    struct bus *bus; // owned
    const struct engine_role *role;
    uint64_t next; // expected by a consumer
    struct bus_input inputs[INPUTS_MAX];
    uint8_t body[BODY_BYTES];
};

static const char *missing(void)
{
    return access(BENCH_BROKER, X_OK) == 0 ? NULL : BENCH_BROKER " is not built";
}

static void command(struct engine_command *out, const struct engine_place *place)
{
    *out = (struct engine_command){
        .args = {BENCH_BROKER},
        .environment = {
            out->words[0], out->words[1], "HTTP_PORT=0", "LOG_LEVEL=warn", "LOG_FORMAT=text"}};
    snprintf(out->words[0], sizeof out->words[0], "BROKER_BIND=tcp://127.0.0.1:%u", place->port);
    snprintf(out->words[1], sizeof out->words[1], "DATA_DIR=%s", place->folder);
}

// The broker has no switch that makes it unsafe: the library preloaded here answers its
// fsync and fdatasync without asking the disk.
static void command_nosync(struct engine_command *out, const struct engine_place *place)
{
    command(out, place);
    size_t end = 0;
    while (out->environment[end] != NULL) {
        end++;
    }
    out->environment[end] = "LD_PRELOAD=" BENCH_NOSYNC;
}

static struct client *open_client(const struct engine_role *role)
{
    static const char *const topics[] = {TOPIC};
    struct client *self = mem_calloc(1, sizeof *self);
    self->role = role;
    memset(self->body, 'x', sizeof self->body);
    char url[64];
    char member[64];
    char group[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%u", role->place->port);
    snprintf(member, sizeof member, "%s-%u", role->consumes ? "group" : "producer", role->number);
    snprintf(group, sizeof group, "group-%u", role->number);
    const struct bus_options options = {.url = url,
                                        .member = member,
                                        .group = role->consumes ? group : NULL,
                                        .topics = topics,
                                        .topics_count = role->consumes ? 1 : 0,
                                        .retries_max = 3,
                                        .credit = ENGINE_CREDIT};
    const char *problem = NULL;
    if (bus_open(&self->bus, &options, &problem) != ERR_OK) {
        engine_fail("%s", problem);
    }
    const int64_t deadline_ms = clock_mono_ms() + CONNECT_MS;
    while (!bus_is_connected(self->bus)) {
        if (clock_mono_ms() > deadline_ms) {
            engine_fail("the broker at %s does not answer", url);
        }
        if (!bus_has_input(self->bus)) {
            engine_wait(bus_fd(self->bus), 10);
        }
        // No more than BUS_CONNECTED: deliveries are for take.
        (void)bus_take(self->bus, self->inputs, 1);
    }
    return self;
}

static void publish(struct client *self, uint64_t first, size_t count, int64_t stamp_us)
{
    char key[UUID_CHARS + 1];
    char id[UUID_CHARS + 1];
    snprintf(key, sizeof key, "0198b2f0-0000-7000-8000-000000000000");
    snprintf(id, sizeof id, "0198b2f0-%04x-7000-8000-000000000000", self->role->number);
    for (size_t i = 0; i < count; i++) {
        const uint64_t number = first + i;
        event_stamp(self->body, stamp_us, number);
        for (int digit = 0; digit < 12; digit++) {
            const uint64_t at = number >> (44 - 4 * digit) & 15;
            id[24 + digit] = "0123456789abcdef"[at];
            key[24 + digit] = "0123456789abcdef"[(number % KEYS) >> (44 - 4 * digit) & 15];
        }
        const struct bytes body = {.data = self->body, .size = sizeof self->body};
        const enum err err = bus_publish(self->bus, number, TOPIC, key, id, body);
        if (err != ERR_OK) {
            engine_fail("the client took no publish: %s", err_name(err));
        }
    }
    bus_flush(self->bus);
}

// Waits, and takes what is there.
static size_t inputs_take(struct client *self, int timeout_ms)
{
    if (!bus_has_input(self->bus)) {
        const int64_t timer_ms = bus_timer_ms(self->bus);
        engine_wait(bus_fd(self->bus), timer_ms < timeout_ms ? (int)timer_ms : timeout_ms);
    }
    return bus_take(self->bus, self->inputs, INPUTS_MAX);
}

static size_t answers(struct client *self, int timeout_ms)
{
    const size_t count = inputs_take(self, timeout_ms);
    size_t answered = 0;
    for (size_t i = 0; i < count; i++) {
        const struct bus_input *input = &self->inputs[i];
        answered += input->kind == BUS_PUBLISHED;
        if (input->kind == BUS_REFUSED || input->kind == BUS_LOST) {
            engine_fail("a publish was refused or lost: %s", input->detail);
        }
    }
    return answered;
}

static size_t take(struct client *self, int timeout_ms)
{
    const size_t count = inputs_take(self, timeout_ms);
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        const struct bus_input *input = &self->inputs[i];
        if (input->kind == BUS_DELIVERY) {
            event_take(self->role->lanes, self->role->lane, input->delivery.body.data, &self->next);
            bus_ack(self->bus, &input->delivery);
            taken++;
        } else if (input->kind == BUS_LOST) {
            engine_fail("the session was lost: %s", input->detail);
        }
    }
    bus_flush(self->bus);
    return taken;
}

static void close_client(struct client *self)
{
    bus_destroy(&self->bus);
    free(self);
}

const struct engine engine_faultline = {
    .name = "faultline",
    .title = "Faultline",
    .durable = true,
    .missing = missing,
    .command = command,
    .open = open_client,
    .publish = publish,
    .answers = answers,
    .take = take,
    .close = close_client,
};

const struct engine engine_faultline_nosync = {
    .name = "faultline-nosync",
    .title = "Faultline, no sync",
    .missing = missing,
    .command = command_nosync,
    .open = open_client,
    .publish = publish,
    .answers = answers,
    .take = take,
    .close = close_client,
};
