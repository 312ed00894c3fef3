#include <assert.h>
#include <stdlib.h>

#include "common/bus_session_state.h"
#include "common/mem.h"

// --- receiving

static void come_up(struct bus_session *self, int64_t now_ms)
{
    self->state = SESSION_UP;
    self->up_ms = now_ms;
    self->connected = true;
    if (self->credit_changed) {
        bus_session_flush(self); // changed since SUBSCRIBE went out
    }
}

static void on_welcome(struct bus_session *self, const struct wire_control *control, int64_t now_ms)
{
    self->heartbeat_ms = control->heartbeat_ms;
    if (self->group == NULL) {
        come_up(self, now_ms);
        return;
    }
    self->state = SESSION_SUBSCRIBING;
    bus_session_say_subscribe(self);
}

static void on_published(struct bus_session *self, const struct wire_control *control,
                         int64_t now_ms)
{
    struct bus_request *request = bus_requests_find(&self->requests, control->request);
    if (request == NULL || control->count > request->count - request->answered) {
        bus_session_lose(self, now_ms, mem_strdup("the broker answered what was not asked"), false);
        return;
    }
    self->present = (struct present){.kind = PRESENT_ANSWERING,
                                     .left = control->count,
                                     .request = request,
                                     .offset = control->offset,
                                     .err = ERR_OK};
}

// What the codes of ERROR mean for a request; what is not listed may pass.
static const struct code {
    const char *code;
    bool ends_session;
    enum err err;
} codes[] = {
    {WIRE_CODE_NO_SESSION, true, ERR_FULL},
    {WIRE_CODE_STALE, true, ERR_FULL},
    {WIRE_CODE_EVICTED, true, ERR_FULL},
    {WIRE_CODE_MALFORMED, false, ERR_INVALID},
    {WIRE_CODE_FORBIDDEN, false, ERR_INVALID},
    {WIRE_CODE_TOO_LARGE, false, ERR_TOO_LARGE},
    {WIRE_CODE_CORRUPT, false, ERR_CORRUPT},
    {WIRE_CODE_DISK_FULL, false, ERR_FULL},
    {WIRE_CODE_LIMIT, false, ERR_FULL},
};

static struct code code_of(struct bytes text)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (bytes_equal_text(text, codes[i].code)) {
            return codes[i];
        }
    }
    return (struct code){.err = ERR_FULL};
}

static char *error_text(const struct wire_control *control)
{
    return mem_format("%.*s: %.*s",
                      (int)control->code.size,
                      (const char *)control->code.data,
                      (int)control->detail.size,
                      (const char *)control->detail.data);
}

static void on_error(struct bus_session *self, const struct wire_control *control, int64_t now_ms)
{
    const struct code code = code_of(control->code);
    if (code.ends_session || control->request == 0) {
        bus_session_lose(self, now_ms, error_text(control), true);
        return;
    }
    struct bus_request *request = bus_requests_find(&self->requests, control->request);
    if (request == NULL) {
        return; // sent without acks
    }
    if (control->index != WIRE_INDEX_NONE) {
        if (control->index < request->answered || control->index >= request->count) {
            bus_session_lose(
                self, now_ms, mem_strdup("the broker refused a record that is not there"), false);
            return;
        }
        // One bad record must not hold back the others of its batch.
        bus_session_say_publish(self, bus_requests_split(&self->requests, request, control->index));
    }
    free(self->detail);
    self->detail = error_text(control);
    self->present = (struct present){.kind = PRESENT_ANSWERING,
                                     .left = request->count - request->answered,
                                     .request = request,
                                     .err = code.err};
}

// Acts on a message; false: it must not come in this state.
static bool act(struct bus_session *self, const struct wire_control *control, struct bytes batch,
                int64_t now_ms)
{
    switch (control->type) {
    case WIRE_WELCOME:
        if (self->state != SESSION_GREETING) {
            return false;
        }
        on_welcome(self, control, now_ms);
        return true;
    case WIRE_SUBSCRIBED:
        if (self->state != SESSION_SUBSCRIBING) {
            return false;
        }
        come_up(self, now_ms);
        return true;
    case WIRE_PUBLISHED:
        if (self->state != SESSION_UP) {
            return false;
        }
        on_published(self, control, now_ms);
        return true;
    case WIRE_DELIVER:
        if (self->state != SESSION_UP || self->group == NULL) {
            return false;
        }
        self->present =
            (struct present){.kind = PRESENT_DELIVERING, .left = control->count, .rest = batch};
        return true;
    case WIRE_ERROR:
        on_error(self, control, now_ms);
        return true;
    case WIRE_PING:
        bus_session_say(self, WIRE_PONG);
        return true;
    case WIRE_PONG:
        return true; // that it came is all it says
    case WIRE_BYE:
        bus_session_lose(self, now_ms, mem_strdup("the broker stopped"), false);
        return true;
    default:
        return false;
    }
}

void bus_session_receive(struct bus_session *self, struct bytes control, struct bytes batch,
                         size_t frames, int64_t now_ms)
{
    assert(!bus_session_has_input(self));
    if (self->state == SESSION_CLOSED) {
        return;
    }
    struct wire_control parsed;
    const char *problem = NULL;
    if (wire_control_parse(control, &parsed, &problem) != ERR_OK) {
        bus_session_lose(
            self, now_ms, mem_format("the broker sent what is no message: %s", problem), false);
        return;
    }
    self->heard_ms = now_ms;
    if (self->leaving && parsed.type != WIRE_BYE && parsed.type != WIRE_ERROR) {
        return; // nobody takes it any more
    }
    const size_t frames_expected = wire_type_has_batch(parsed.type) ? 2 : 1;
    if (frames != frames_expected || !act(self, &parsed, batch, now_ms)) {
        bus_session_lose(self,
                         now_ms,
                         mem_format("the broker sent %s out of turn", wire_type_name(parsed.type)),
                         false);
    }
}

// --- taking

// Without acks nobody answers: that a request was sent is all there is to know.
static bool has_unanswerable(const struct bus_session *self)
{
    return self->without_acks && self->requests.first != NULL && self->requests.first->sent;
}

static void take_unanswerable(struct bus_session *self, struct bus_input *out)
{
    struct bus_request *request = self->requests.first;
    *out = (struct bus_input){.kind = BUS_PUBLISHED, .tag = request->tags[request->answered]};
    bus_requests_answer(&self->requests, request, 1);
}

bool bus_session_has_input(const struct bus_session *self)
{
    return has_unanswerable(self) || self->lost || self->connected ||
           self->present.kind != PRESENT_NOTHING;
}

static void take_answer(struct bus_session *self, struct bus_input *out)
{
    struct present *present = &self->present;
    struct bus_request *request = present->request;
    *out = (struct bus_input){.kind = present->err == ERR_OK ? BUS_PUBLISHED : BUS_REFUSED,
                              .tag = request->tags[request->answered],
                              .offset = present->offset,
                              .err = present->err,
                              .detail = present->err == ERR_OK ? NULL : self->detail};
    bus_requests_answer(&self->requests, request, 1);
    present->offset++;
    present->left--;
    if (present->left == 0) {
        *present = (struct present){0};
    }
}

// Gives the next entry of a DELIVER; false: there is none any more, or the
// message proved bad and the session is lost.
static bool take_delivery(struct bus_session *self, struct bus_input *out, int64_t now_ms)
{
    struct present *present = &self->present;
    while (present->left > 0) {
        struct wire_delivered delivered;
        const enum err err = wire_delivered_take(&present->rest, &delivered);
        if (err == ERR_INVALID) {
            break;
        }
        present->left--;
        if (err == ERR_CORRUPT) {
            bus_session_reject(
                self, delivered.offset, delivered.attempt, "its CRC was wrong at the consumer");
            continue;
        }
        *out = (struct bus_input){.kind = BUS_DELIVERY,
                                  .delivery = {.offset = delivered.offset,
                                               .time_us = delivered.time_us,
                                               .attempt = delivered.attempt,
                                               .topic = delivered.record.topic,
                                               .key = delivered.record.key,
                                               .id = delivered.record.id,
                                               .body = delivered.record.body}};
        if (present->left == 0 && present->rest.size == 0) {
            *present = (struct present){0};
        }
        return true;
    }
    const bool whole = present->left == 0 && present->rest.size == 0;
    *present = (struct present){0};
    if (!whole) {
        bus_session_lose(
            self, now_ms, mem_strdup("the broker sent deliveries that are none"), false);
    }
    return false;
}

static bool take_one(struct bus_session *self, struct bus_input *out, int64_t now_ms)
{
    if (self->lost) {
        self->lost = false;
        *out = (struct bus_input){.kind = BUS_LOST, .detail = self->lost_why};
        return true;
    }
    if (self->connected) {
        self->connected = false;
        *out = (struct bus_input){.kind = BUS_CONNECTED};
        return true;
    }
    if (has_unanswerable(self)) {
        take_unanswerable(self, out);
        return true;
    }
    switch (self->present.kind) {
    case PRESENT_ANSWERING:
        take_answer(self, out);
        return true;
    case PRESENT_DELIVERING:
        return take_delivery(self, out, now_ms) || (self->lost && take_one(self, out, now_ms));
    case PRESENT_NOTHING:
        break;
    }
    return false;
}

size_t bus_session_take(struct bus_session *self, struct bus_input *inputs, size_t max,
                        int64_t now_ms)
{
    size_t count = 0;
    while (count < max && take_one(self, &inputs[count], now_ms)) {
        count++;
    }
    return count;
}
