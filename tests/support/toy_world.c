#include "tests/support/toy_world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/mem.h"

static struct toy_peer *peer_of(struct toy_world *self, struct bytes name)
{
    assert(name.size == 1 && name.data[0] >= 'a' && name.data[0] <= 'z');
    return &self->peers[name.data[0] - 'a'];
}

static enum err world_send(void *context, struct bytes peer, struct bytes control,
                           struct bytes batch)
{
    struct toy_peer *to = peer_of(context, peer);
    if (to->answer != ERR_OK) {
        return to->answer;
    }
    if (to->messages == NULL) {
        to->messages = mem_calloc(TOY_MESSAGES_MAX, sizeof *to->messages);
    }
    assert(to->count < TOY_MESSAGES_MAX);
    struct toy_message *message = &to->messages[to->count++];
    buf_put(&message->control, control.data, control.size);
    buf_put(&message->batch, batch.data, batch.size);
    return ERR_OK;
}

static int64_t world_now_us(void *context)
{
    return ((struct toy_world *)context)->now_us;
}

static uint64_t world_random(void *context)
{
    struct toy_world *self = context;
    return ++self->randoms * 0x9e3779b97f4a7c15ULL;
}

static void start(struct toy_world *self)
{
    char *problem = NULL;
    if (broker_open(&self->broker, &self->options, &problem) != ERR_OK) {
        fprintf(stderr, "toy_world: %s\n", problem);
        abort();
    }
    self->log = self->broker->log;
}

void toy_world_set_up(struct toy_world *self)
{
    *self = (struct toy_world){.now_us = 1795466400000000};
    strcpy(self->directory, "/tmp/faultline-toy-XXXXXX");
    if (mkdtemp(self->directory) == NULL) {
        abort();
    }
    faulty_disk_init(&self->disk);
    self->options = (struct broker_options){
        .log =
            {
                .directory = self->directory,
                .segment_bytes = 1024 * 1024,
                .disk = &self->disk.disk,
            },
        .directory = self->directory,
        .heartbeat_ms = 1000,
        .event_bytes_max = 65536,
        .world =
            {
                .context = self,
                .send = world_send,
                .mono_us = world_now_us,
                .wall_us = world_now_us,
                .random = world_random,
            },
    };
    start(self);
}

static void forget_all(struct toy_world *self)
{
    for (char peer = 'a'; peer <= 'z'; peer++) {
        toy_forget(self, peer);
    }
}

void toy_world_tear_down(struct toy_world *self)
{
    broker_destroy(&self->broker);
    forget_all(self);
    char command[128];
    snprintf(command, sizeof command, "rm -rf -- %s", self->directory);
    if (system(command) != 0) {
        fprintf(stderr, "toy_world: %s stays behind\n", self->directory);
    }
}

void toy_world_crash(struct toy_world *self)
{
    broker_destroy(&self->broker);
    forget_all(self);
    start(self);
}

void toy_turn(struct toy_world *self)
{
    while (broker_turn(self->broker, true)) {
    }
}

void toy_pass(struct toy_world *self, int64_t ms)
{
    (void)broker_deadline_ms(self->broker);
    self->now_us += 1000 * ms;
    toy_turn(self);
}

void toy_send(struct toy_world *self, char peer, const struct wire_control *control,
              struct bytes batch)
{
    struct buf frame = {0};
    wire_control_append(&frame, control);
    const struct bytes frames[] = {buf_view(&frame), batch};
    const struct bytes name = {.data = (const uint8_t *)&peer, .size = 1};
    broker_receive(self->broker, name, frames, batch.data == NULL ? 1 : 2);
    buf_release(&frame);
}

// --- what peers say

void toy_hello(struct toy_world *self, char peer)
{
    const char member[] = {'m', 'e', 'm', 'b', 'e', 'r', '-', peer, '\0'};
    toy_send(self,
             peer,
             &(struct wire_control){
                 .type = WIRE_HELLO,
                 .member = bytes_of_text(member),
                 .incarnation = 1,
                 .heartbeat_ms = 1000,
             },
             (struct bytes){0});
    toy_turn(self);
}

void toy_subscribe(struct toy_world *self, char peer, const char *group, uint32_t credit,
                   const char *topic)
{
    toy_send(self,
             peer,
             &(struct wire_control){
                 .type = WIRE_SUBSCRIBE,
                 .group = bytes_of_text(group),
                 .retries_max = 3,
                 .credit = credit,
                 .topics_count = 1,
                 .topics = {bytes_of_text(topic)},
             },
             (struct bytes){0});
    toy_turn(self);
}

void toy_publish_later(struct toy_world *self, char peer, const char *topic, const char *key,
                       size_t body_size)
{
    struct buf batch = {0};
    uint8_t *body = mem_calloc(1, body_size + 1);
    char id[32];
    snprintf(id, sizeof id, "event-%llu", (unsigned long long)++self->ids);
    const enum err err = record_append(&batch,
                                       &(struct record){
                                           .topic = bytes_of_text(topic),
                                           .key = bytes_of_text(key),
                                           .id = bytes_of_text(id),
                                           .body = {.data = body, .size = body_size},
                                       });
    assert(err == ERR_OK);
    (void)err;
    toy_send(self,
             peer,
             &(struct wire_control){
                 .type = WIRE_PUBLISH,
                 .request = ++self->peers[peer - 'a'].requests,
                 .acks = WIRE_ACKS_ALL,
                 .count = 1,
             },
             buf_view(&batch));
    free(body);
    buf_release(&batch);
}

void toy_publish(struct toy_world *self, char peer, const char *topic, const char *key,
                 size_t body_size)
{
    toy_publish_later(self, peer, topic, key, body_size);
    toy_turn(self);
}

void toy_publish_ids(struct toy_world *self, char peer, const char *ids, enum wire_acks acks)
{
    struct buf batch = {0};
    struct wire_control control = {
        .type = WIRE_PUBLISH, .request = ++self->peers[peer - 'a'].requests, .acks = acks};
    for (const char *id = ids; *id != '\0'; id += strspn(id, " ")) {
        const size_t size = strcspn(id, " ");
        const enum err err =
            record_append(&batch,
                          &(struct record){.topic = bytes_of_text("order-created"),
                                           .id = {.data = (const uint8_t *)id, .size = size}});
        assert(err == ERR_OK);
        (void)err;
        control.count++;
        id += size;
    }
    toy_send(self, peer, &control, buf_view(&batch));
    buf_release(&batch);
}

void toy_ack(struct toy_world *self, char peer, uint64_t offset, uint32_t attempt)
{
    struct buf batch = {0};
    wire_ack_append(&batch, (struct wire_ack){.offset = offset, .count = 1, .attempt = attempt});
    toy_send(self, peer, &(struct wire_control){.type = WIRE_ACK, .count = 1}, buf_view(&batch));
    buf_release(&batch);
    toy_turn(self);
}

void toy_nack(struct toy_world *self, char peer, uint64_t offset, uint32_t attempt,
              uint32_t delay_ms)
{
    toy_send(self,
             peer,
             &(struct wire_control){
                 .type = WIRE_NACK,
                 .offset = offset,
                 .attempt = attempt,
                 .delay_ms = delay_ms,
                 .detail = bytes_of_text("no"),
             },
             (struct bytes){0});
    toy_turn(self);
}

// --- what peers hear

bool toy_next(struct toy_world *self, char peer, struct wire_control *control, struct bytes *batch)
{
    struct toy_peer *from = &self->peers[peer - 'a'];
    if (from->seen == from->count) {
        return false;
    }
    const struct toy_message *message = &from->messages[from->seen++];
    const char *problem = NULL;
    const enum err err = wire_control_parse(buf_view(&message->control), control, &problem);
    assert(err == ERR_OK);
    (void)err;
    *batch = buf_view(&message->batch);
    return true;
}

bool toy_hears(struct toy_world *self, char peer, enum wire_type type)
{
    struct wire_control control;
    struct bytes batch;
    return toy_next(self, peer, &control, &batch) && control.type == type;
}

bool toy_hears_error(struct toy_world *self, char peer, const char *code)
{
    struct wire_control control;
    struct bytes batch;
    return toy_next(self, peer, &control, &batch) && control.type == WIRE_ERROR &&
           bytes_equal_text(control.code, code);
}

bool toy_gets(struct toy_world *self, char peer, struct wire_delivered *out)
{
    struct toy_peer *from = &self->peers[peer - 'a'];
    struct wire_control control;
    struct bytes batch;
    while (from->rest.size == 0 && toy_next(self, peer, &control, &batch)) {
        if (control.type == WIRE_DELIVER) {
            from->rest = batch;
        }
    }
    return from->rest.size > 0 && wire_delivered_take(&from->rest, out) == ERR_OK;
}

void toy_forget(struct toy_world *self, char peer)
{
    struct toy_peer *from = &self->peers[peer - 'a'];
    for (size_t i = 0; i < from->count; i++) {
        buf_release(&from->messages[i].control);
        buf_release(&from->messages[i].batch);
    }
    free(from->messages);
    *from = (struct toy_peer){.answer = from->answer, .requests = from->requests};
}
