#include "tests/support/raw_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/mem.h"

enum {
    HEARTBEAT_MS = 60000,
};

struct raw_client {
    void *context;
    void *socket;
    zmq_msg_t frames[2]; // the last message
    struct bytes rest;   // entries of the last DELIVER not looked at
    uint64_t requests;
};

static void die(const char *what)
{
    fprintf(stderr, "raw_client: %s\n", what);
    abort();
}

struct raw_client *raw_client_new(const char *url)
{
    struct raw_client *self = mem_calloc(1, sizeof *self);
    self->context = zmq_ctx_new();
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    const int zero = 0;
    zmq_setsockopt(self->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_msg_init(&self->frames[0]);
    zmq_msg_init(&self->frames[1]);
    if (zmq_connect(self->socket, url) != 0) {
        die("cannot connect");
    }
    return self;
}

void raw_client_destroy(struct raw_client **self_p)
{
    struct raw_client *self = *self_p;
    if (self == NULL) {
        return;
    }
    zmq_msg_close(&self->frames[0]);
    zmq_msg_close(&self->frames[1]);
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
    free(self);
    *self_p = NULL;
}

void raw_client_send_frames(struct raw_client *self, const struct bytes *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int flags = i + 1 < count ? ZMQ_SNDMORE : 0;
        if (zmq_send(self->socket, frames[i].data, frames[i].size, flags) < 0) {
            die("cannot send");
        }
    }
}

void raw_client_send(struct raw_client *self, const struct wire_control *control,
                     struct bytes batch)
{
    struct buf frame = {0};
    wire_control_append(&frame, control);
    const struct bytes frames[] = {buf_view(&frame), batch};
    raw_client_send_frames(self, frames, batch.data == NULL ? 1 : 2);
    buf_release(&frame);
}

static struct bytes view(zmq_msg_t *message)
{
    return (struct bytes){.data = zmq_msg_data(message), .size = zmq_msg_size(message)};
}

bool raw_client_receive(struct raw_client *self, int timeout_ms, struct wire_control *control,
                        struct bytes *batch)
{
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, timeout_ms < 0 ? 0 : timeout_ms) <= 0) {
        return false;
    }
    *batch = (struct bytes){0};
    self->rest = *batch;
    if (zmq_msg_recv(&self->frames[0], self->socket, 0) < 0) {
        die("cannot receive");
    }
    if (zmq_msg_more(&self->frames[0])) {
        if (zmq_msg_recv(&self->frames[1], self->socket, 0) < 0 || zmq_msg_more(&self->frames[1])) {
            die("a message of more than two frames");
        }
        *batch = view(&self->frames[1]);
    }
    const char *problem = NULL;
    if (wire_control_parse(view(&self->frames[0]), control, &problem) != ERR_OK) {
        die(problem);
    }
    return true;
}

void raw_client_expect(struct raw_client *self, enum wire_type type, struct wire_control *control,
                       struct bytes *batch)
{
    const int64_t deadline_ms = clock_mono_ms() + RAW_CLIENT_WAIT_MS;
    while (raw_client_receive(self, (int)(deadline_ms - clock_mono_ms()), control, batch)) {
        if (control->type == type) {
            return;
        }
        if (control->type == WIRE_PING) {
            raw_client_send(self, &(struct wire_control){.type = WIRE_PONG}, (struct bytes){0});
        }
        if (control->type == WIRE_ERROR) {
            fprintf(stderr,
                    "raw_client: ERROR %.*s: %.*s\n",
                    (int)control->code.size,
                    (const char *)control->code.data,
                    (int)control->detail.size,
                    (const char *)control->detail.data);
        }
    }
    fprintf(stderr, "raw_client: waited for %s\n", wire_type_name(type));
    die("it did not come");
}

void raw_client_hello(struct raw_client *self, const char *member, uint64_t incarnation)
{
    struct wire_control control;
    struct bytes batch;
    raw_client_send(self,
                    &(struct wire_control){
                        .type = WIRE_HELLO,
                        .member = bytes_of_text(member),
                        .incarnation = incarnation,
                        .heartbeat_ms = HEARTBEAT_MS,
                    },
                    (struct bytes){0});
    raw_client_expect(self, WIRE_WELCOME, &control, &batch);
}

void raw_client_subscribe(struct raw_client *self, const char *group, uint32_t credit,
                          const char *const *topics)
{
    struct wire_control control = {
        .type = WIRE_SUBSCRIBE,
        .group = bytes_of_text(group),
        .offset_reset = WIRE_EARLIEST,
        .retries_max = 3,
        .credit = credit,
    };
    for (size_t i = 0; topics[i] != NULL; i++) {
        control.topics[control.topics_count++] = bytes_of_text(topics[i]);
    }
    struct bytes batch;
    raw_client_send(self, &control, (struct bytes){0});
    raw_client_expect(self, WIRE_SUBSCRIBED, &control, &batch);
}

uint64_t raw_client_publish(struct raw_client *self, const char *topic, const char *key,
                            const char *id, const char *body)
{
    struct wire_control control;
    struct bytes batch;
    struct buf records = {0};
    const enum err err = record_append(&records,
                                       &(struct record){
                                           .topic = bytes_of_text(topic),
                                           .key = bytes_of_text(key),
                                           .id = bytes_of_text(id),
                                           .body = bytes_of_text(body),
                                       });
    if (err != ERR_OK) {
        die("not a record");
    }
    raw_client_send(self,
                    &(struct wire_control){
                        .type = WIRE_PUBLISH,
                        .request = ++self->requests,
                        .acks = WIRE_ACKS_ALL,
                        .count = 1,
                    },
                    buf_view(&records));
    buf_release(&records);
    raw_client_expect(self, WIRE_PUBLISHED, &control, &batch);
    if (control.request != self->requests || control.count != 1) {
        die("PUBLISHED of another request");
    }
    return control.offset;
}

void raw_client_ack(struct raw_client *self, uint64_t offset, uint32_t attempt)
{
    struct buf entries = {0};
    wire_ack_append(&entries, (struct wire_ack){.offset = offset, .count = 1, .attempt = attempt});
    raw_client_send(self, &(struct wire_control){.type = WIRE_ACK, .count = 1}, buf_view(&entries));
    buf_release(&entries);
}

void raw_client_delivery(struct raw_client *self, struct wire_delivered *out)
{
    if (self->rest.size == 0) {
        struct wire_control control;
        struct bytes batch;
        raw_client_expect(self, WIRE_DELIVER, &control, &batch);
        self->rest = batch;
    }
    if (wire_delivered_take(&self->rest, out) != ERR_OK) {
        die("a DELIVER that does not parse");
    }
}

bool raw_client_is_quiet(struct raw_client *self)
{
    struct wire_control control;
    struct bytes batch;
    if (self->rest.size > 0) {
        return false;
    }
    // A PONG is sent at once, deliveries at the end of the broker's round: only the
    // second PONG is surely behind what was said before the first PING.
    for (int pongs = 0; pongs < 2; pongs++) {
        raw_client_send(self, &(struct wire_control){.type = WIRE_PING}, (struct bytes){0});
        do {
            if (!raw_client_receive(self, RAW_CLIENT_WAIT_MS, &control, &batch)) {
                die("no PONG");
            }
        } while (control.type == WIRE_PING);
        if (control.type != WIRE_PONG) {
            return false;
        }
    }
    return true;
}
