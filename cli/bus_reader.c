#include "cli/bus_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/mem.h"

enum {
    READ_ENTRIES = 1024,
    ANSWER_TIMEOUT_MS = 1000
};

struct bus_reader {
    void *context; // owned
    void *socket;  // owned
    uint64_t request;
    zmq_msg_t control; // of the last answer
    zmq_msg_t batch;
    struct bytes rest; // of batch: entries not yet given
    uint64_t next;     // offset to ask for when rest is empty
    uint64_t log_end;  // as the last answer told
};

static enum err send_control(struct bus_reader *self, const struct wire_control *control)
{
    struct buf frame = {0};
    wire_control_append(&frame, control);
    const int sent = zmq_send(self->socket, frame.data, frame.size, 0);
    buf_release(&frame);
    return sent >= 0 ? ERR_OK : ERR_UNAVAILABLE;
}

static struct bytes view_of(zmq_msg_t *message)
{
    return (struct bytes){.data = zmq_msg_data(message), .size = zmq_msg_size(message)};
}

static enum err answer_ping(struct bus_reader *self)
{
    return send_control(self, &(struct wire_control){.type = WIRE_PONG});
}

// Waits for a message of the given type (or WIRE_ERROR), at most until deadline.
static enum err receive(struct bus_reader *self, enum wire_type type, int64_t timeout_ms,
                        struct wire_control *out)
{
    const int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    while (true) {
        const int64_t left_ms = deadline_ms - clock_mono_ms();
        zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
        if (left_ms < 0 || zmq_poll(&item, 1, (long)left_ms) <= 0 ||
            zmq_msg_recv(&self->control, self->socket, 0) < 0) {
            return ERR_UNAVAILABLE;
        }
        if (zmq_msg_more(&self->control) && zmq_msg_recv(&self->batch, self->socket, 0) < 0) {
            return ERR_UNAVAILABLE;
        }
        const char *problem = NULL;
        if (wire_control_parse(view_of(&self->control), out, &problem) != ERR_OK) {
            return ERR_INVALID;
        }
        if (out->type == WIRE_PING) {
            (void)answer_ping(self);
        } else if (out->type == type) {
            return ERR_OK;
        } else if (out->type == WIRE_ERROR) {
            return bytes_equal_text(out->code, WIRE_CODE_RANGE) ? ERR_INVALID : ERR_UNAVAILABLE;
        }
    }
}

enum err bus_reader_open(struct bus_reader **out, const char *url, int64_t timeout_ms)
{
    *out = NULL;
    struct bus_reader *self = mem_calloc(1, sizeof *self);
    zmq_msg_init(&self->control);
    zmq_msg_init(&self->batch);
    self->context = zmq_ctx_new();
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    const int linger_ms = 0;
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    char *member = mem_format("faultline-%d-%d", (int)getpid(), (int)(clock_mono_us() % 1000000));
    enum err err = zmq_connect(self->socket, url) == 0 ? ERR_OK : ERR_UNAVAILABLE;
    if (err == ERR_OK) {
        err = send_control(self,
                           &(struct wire_control){.type = WIRE_HELLO,
                                                  .member = bytes_of_text(member),
                                                  .incarnation = (uint64_t)clock_wall_us(),
                                                  .heartbeat_ms = 10000});
    }
    struct wire_control welcome;
    if (err == ERR_OK) {
        err = receive(self, WIRE_WELCOME, timeout_ms, &welcome);
    }
    free(member);
    if (err == ERR_OK) {
        *out = self;
        self = NULL;
    }
    bus_reader_destroy(&self);
    return err;
}

void bus_reader_destroy(struct bus_reader **self_p)
{
    struct bus_reader *self = *self_p;
    if (self == NULL) {
        return;
    }
    zmq_msg_close(&self->control);
    zmq_msg_close(&self->batch);
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
    free(self);
    *self_p = NULL;
}

static enum err read_more(struct bus_reader *self, uint64_t offset, uint32_t entries)
{
    enum err err = send_control(
        self,
        &(struct wire_control){
            .type = WIRE_READ, .request = ++self->request, .offset = offset, .credit = entries});
    struct wire_control answer = {0};
    while (err == ERR_OK && answer.request != self->request) {
        err = receive(self, WIRE_RECORDS, ANSWER_TIMEOUT_MS, &answer);
    }
    if (err == ERR_OK) {
        self->rest = answer.count == 0 ? (struct bytes){0} : view_of(&self->batch);
        self->next = answer.offset;
        self->log_end = answer.end;
    }
    return err;
}

enum err bus_reader_end(struct bus_reader *self, uint64_t *end)
{
    // A read behind the end gives nothing but the end.
    const enum err err = read_more(self, UINT64_MAX, 1);
    *end = self->log_end;
    return err;
}

enum err bus_reader_next(struct bus_reader *self, uint64_t *offset, struct wire_delivered *out)
{
    if (self->rest.size == 0) {
        const enum err err = read_more(self, *offset, READ_ENTRIES);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (self->rest.size == 0) {
        return ERR_NOT_FOUND;
    }
    const enum err err = wire_delivered_take(&self->rest, out);
    if (err != ERR_OK) {
        self->rest.size = 0;
        return ERR_UNAVAILABLE;
    }
    *offset = out->offset + 1;
    return ERR_OK;
}
