#include "cli/bus_guest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/mem.h"

enum {
    READ_ENTRIES = 1024,
    VISIT_TIMEOUT_MS = 2000,
    ANSWER_TIMEOUT_MS = 1000,
    ASK_TIMEOUT_MS = 60000, // a reset counts what lies before the group
};

struct bus_guest {
    void *context; // owned
    void *socket;  // owned
    uint64_t request;
    zmq_msg_t control; // of the last answer
    zmq_msg_t batch;
    struct bytes rest; // of batch: entries not yet given
    uint64_t at;       // offset of the first of them
    uint64_t log_end;  // as the last answer told
    bool reads_ahead;
    uint64_t asked; // offset of the READ under way, whose number is request; or NOT_ASKED
};

#define NOT_ASKED (UINT64_MAX - 1)

static enum err send_control(struct bus_guest *self, const struct wire_control *control)
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

static enum err answer_ping(struct bus_guest *self)
{
    return send_control(self, &(struct wire_control){.type = WIRE_PONG});
}

// Waits for a message of the given type (or WIRE_ERROR: ERR_INVALID), at most until
// deadline.
static enum err receive(struct bus_guest *self, enum wire_type type, int64_t timeout_ms,
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
            return ERR_UNAVAILABLE;
        }
        if (out->type == WIRE_PING) {
            (void)answer_ping(self);
        } else if (out->type == type) {
            return ERR_OK;
        } else if (out->type == WIRE_ERROR) {
            return ERR_INVALID;
        }
    }
}

enum err bus_guest_open(struct bus_guest **out, const char *url, int64_t timeout_ms)
{
    *out = NULL;
    struct bus_guest *self = mem_calloc(1, sizeof *self);
    self->asked = NOT_ASKED;
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
    bus_guest_destroy(&self);
    return err == ERR_OK ? ERR_OK : ERR_UNAVAILABLE;
}

struct bus_guest *bus_guest_visit(const char *url)
{
    struct bus_guest *self = NULL;
    if (bus_guest_open(&self, url, VISIT_TIMEOUT_MS) != ERR_OK) {
        cli_problem("the broker does not answer at %s. Is the stack up? %s ps", url, cli_name());
    }
    return self;
}

void bus_guest_destroy(struct bus_guest **self_p)
{
    struct bus_guest *self = *self_p;
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

static enum err ask_for(struct bus_guest *self, uint64_t offset, uint32_t entries)
{
    self->asked = offset;
    return send_control(
        self,
        &(struct wire_control){
            .type = WIRE_READ, .request = ++self->request, .offset = offset, .credit = entries});
}

static enum err read_more(struct bus_guest *self, uint64_t offset, uint32_t entries)
{
    enum err err = self->asked == offset ? ERR_OK : ask_for(self, offset, entries);
    struct wire_control answer = {0};
    while (err == ERR_OK && answer.request != self->request) {
        err = receive(self, WIRE_RECORDS, ANSWER_TIMEOUT_MS, &answer);
    }
    self->asked = NOT_ASKED;
    if (err == ERR_INVALID) {
        return bytes_equal_text(answer.code, WIRE_CODE_RANGE) ? ERR_INVALID : ERR_UNAVAILABLE;
    }
    if (err == ERR_OK) {
        if (self->reads_ahead && answer.count > 0 && answer.offset < answer.end) {
            err = ask_for(self, answer.offset, READ_ENTRIES);
        }
        self->rest = answer.count == 0 ? (struct bytes){0} : view_of(&self->batch);
        self->log_end = answer.end;
    }
    return err;
}

void bus_guest_read_ahead(struct bus_guest *self)
{
    self->reads_ahead = true;
}

enum err bus_guest_end(struct bus_guest *self, uint64_t *end)
{
    // A read behind the end gives nothing but the end.
    const enum err err = read_more(self, UINT64_MAX, 1);
    *end = self->log_end;
    return err;
}

enum err bus_guest_next(struct bus_guest *self, uint64_t *offset, struct wire_delivered *out)
{
    if (self->rest.size == 0 || self->at != *offset) {
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
    self->at = out->offset + 1;
    *offset = self->at;
    return ERR_OK;
}

// Says what was refused, and what a person can do about it.
static void say_refusal(const struct wire_control *question, const struct wire_control *error)
{
    static const struct {
        const char *code;
        const char *before, *after; // the name of the command
    } hints[] = {
        {WIRE_CODE_UNKNOWN_GROUP, ". Those that are there: ", " groups"},
        {WIRE_CODE_GROUP_BUSY, ". A service's members end with it: ", " kill SERVICE"},
    };
    size_t hint = 0;
    while (hint < ARRAY_LEN(hints) && !bytes_equal_text(error->code, hints[hint].code)) {
        hint++;
    }
    const bool found = hint < ARRAY_LEN(hints);
    cli_problem("%.*s: %.*s%s%s%s",
                (int)question->group.size,
                (const char *)question->group.data,
                (int)error->detail.size,
                (const char *)error->detail.data,
                found ? hints[hint].before : "",
                found ? cli_name() : "",
                found ? hints[hint].after : "");
}

enum cli_exit bus_guest_ask(struct bus_guest *self, struct wire_control question,
                            struct wire_control *answer)
{
    const enum wire_type type = question.type == WIRE_STATUS ? WIRE_REPORT : WIRE_DONE;
    question.request = ++self->request;
    self->asked = NOT_ASKED;
    const char *problem = wire_control_problem(&question);
    if (problem != NULL) {
        cli_problem("%s", problem); // the name of a group that can be none
        return CLI_UNKNOWN;
    }
    enum err err = send_control(self, &question);
    *answer = (struct wire_control){0};
    while (err == ERR_OK && answer->request != question.request) {
        err = receive(self, type, ASK_TIMEOUT_MS, answer);
    }
    if (err == ERR_INVALID) {
        say_refusal(&question, answer);
        return CLI_NO;
    }
    if (err != ERR_OK) {
        cli_problem("the broker does not answer any more. Is it up? %s ps", cli_name());
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}

struct bytes bus_guest_batch(struct bus_guest *self)
{
    return view_of(&self->batch);
}
