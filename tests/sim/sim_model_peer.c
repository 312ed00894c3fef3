// The messages that the broker takes and sends, as far as they mean something for the
// groups: who has a session, is a member, holds and answers what.
#include <inttypes.h>
#include <string.h>

#include "common/mem.h"
#include "common/wire.h"
#include "tests/sim/sim_model_state.h"
#include "tests/sim/sim_net.h"

static uint32_t peer_of(struct sim_model *self, struct bytes routing_id)
{
    const uint32_t peer = load_u32(routing_id.data + 1);
    if (peer >= self->peers_count) {
        const uint32_t count = 2 * peer + 16;
        self->peers = mem_realloc(self->peers, count * sizeof *self->peers);
        for (uint32_t i = self->peers_count; i < count; i++) {
            self->peers[i] = (struct sim_peer){.group = SIM_NONE, .asked_group = SIM_NONE};
        }
        self->peers_count = count;
    }
    return peer;
}

static int group_of(const struct sim_model *self, struct bytes name)
{
    for (size_t i = 0; i < self->groups_count; i++) {
        if (bytes_equal_text(name, self->groups[i].options.name)) {
            return (int)i;
        }
    }
    return SIM_NONE;
}

static uint32_t topics_of(const struct wire_control *control)
{
    uint32_t topics = 0;
    for (size_t i = 0; i < control->topics_count; i++) {
        for (uint32_t topic = 0; topic < SIM_TOPICS_MAX; topic++) {
            topics |= bytes_equal_text(control->topics[i], sim_topic_name(topic)) ? 1U << topic : 0;
        }
    }
    return topics;
}

// --- what it takes

static void take_acks(struct sim_model *self, uint32_t peer, struct bytes batch)
{
    struct wire_ack ack;
    while (wire_ack_take(&batch, &ack) == ERR_OK) {
        for (uint64_t offset = ack.offset; offset < ack.offset + ack.count; offset++) {
            sim_group_ack(self, peer, offset, ack.attempt);
        }
    }
}

static void take_asked(struct sim_model *self, uint32_t peer, const struct wire_control *control)
{
    self->asked = (struct sim_asked){.peer = peer,
                                     .request = control->request,
                                     .type = (uint8_t)control->type,
                                     .group = group_of(self, control->group),
                                     .reset_to = control->reset_to,
                                     .offset = control->offset};
}

uint64_t sim_reset_target(const struct sim_model *self)
{
    uint64_t offset = self->first_kept;
    switch ((enum wire_reset_to)self->asked.reset_to) {
    case WIRE_RESET_EARLIEST:
        return offset;
    case WIRE_RESET_LATEST:
        return self->stored_count;
    case WIRE_RESET_OFFSET:
        return self->asked.offset;
    case WIRE_RESET_TIME:
        while (offset < self->stored_count && self->stored[offset].time_us < self->asked.offset) {
            offset++;
        }
    }
    return offset;
}

void sim_model_broker_takes(struct sim_model *self, struct bytes routing_id, struct bytes frame,
                            struct bytes batch)
{
    const uint32_t peer = peer_of(self, routing_id);
    struct sim_peer *from = &self->peers[peer];
    struct wire_control control;
    const char *problem = NULL;
    if (wire_control_parse(frame, &control, &problem) != ERR_OK) {
        return;
    }
    sim_trace(self->sim, "broker: takes %s from peer %u", wire_type_name(control.type), peer);
    if (control.type == WIRE_HELLO) {
        sim_group_leave(self, peer);
    } else if (!from->has_session) {
        return;
    } else if (control.type == WIRE_BYE) {
        sim_group_leave(self, peer);
    } else if (control.type == WIRE_RESET || control.type == WIRE_DELETE) {
        take_asked(self, peer, &control);
    } else if (control.type == WIRE_SUBSCRIBE) {
        from->asked_group = group_of(self, control.group);
        from->asked_credit = control.credit;
        from->asked_topics = topics_of(&control);
    } else if (from->group == SIM_NONE) {
        return;
    } else if (control.type == WIRE_CREDIT) {
        from->credit = control.credit;
    } else if (control.type == WIRE_ACK) {
        take_acks(self, peer, batch);
    } else if (control.type == WIRE_NACK || control.type == WIRE_REJECT) {
        const int64_t delay_ms =
            control.delay_ms == WIRE_DELAY_DEFAULT ? -1 : (int64_t)control.delay_ms;
        sim_group_fail(
            self, peer, control.offset, control.attempt, delay_ms, control.type == WIRE_REJECT);
    }
}

// --- what it sends

static void send_entries(struct sim_model *self, uint32_t peer, const struct wire_control *control,
                         struct bytes batch)
{
    struct wire_delivered entry;
    for (uint32_t i = 0; i < control->count; i++) {
        if (wire_delivered_take(&batch, &entry) != ERR_OK) {
            sim_fail(self->sim, "the broker sends a broken %s", wire_type_name(control->type));
        }
        if (control->type == WIRE_DELIVER) {
            sim_log_expect_event(self, entry.offset, &entry.record, "delivered");
            sim_group_deliver(self, peer, entry.offset, entry.attempt);
            sim_trace(self->sim,
                      "broker: delivers %" PRIu64 " to peer %u, attempt %u",
                      entry.offset,
                      peer,
                      entry.attempt);
        } else {
            sim_log_expect(self, entry.offset, &entry.record, "read");
            sim_count(self->sim, SIM_READS);
        }
    }
}

static void send_published(struct sim_model *self, const struct wire_control *control)
{
    if (control->offset + control->count > self->stored_count) {
        sim_fail(self->sim,
                 "a publish is answered with offset %" PRIu64 ", which is not durable",
                 control->offset + control->count - 1);
    }
}

static void send_subscribed(struct sim_model *self, uint32_t peer,
                            const struct wire_control *control)
{
    struct sim_peer *to = &self->peers[peer];
    struct sim_group *group = &self->groups[to->asked_group];
    if (!group->exists) {
        sim_group_begin(self, group, control->offset);
    }
    if (control->offset > sim_group_first_left(self, group)) {
        sim_fail(self->sim,
                 "%s begins at %" PRIu64 ", but needs %" PRIu64,
                 group->options.name,
                 control->offset,
                 group->first_left);
    }
    to->group = to->asked_group;
    to->credit = to->asked_credit;
}

static void send_done(struct sim_model *self, const struct wire_control *control)
{
    struct sim_group *group = &self->groups[self->asked.group == SIM_NONE ? 0 : self->asked.group];
    if (self->asked.type == WIRE_DELETE) {
        sim_count(self->sim, SIM_DELETES);
        sim_group_delete(group);
    } else if (self->asked.type == WIRE_RESET) {
        if (control->offset != sim_reset_target(self)) {
            sim_fail(self->sim,
                     "%s is reset to %" PRIu64 ", not to %" PRIu64,
                     group->options.name,
                     control->offset,
                     sim_reset_target(self));
        }
        sim_count(self->sim, SIM_RESETS);
        sim_group_reset(self, group, control->offset);
    }
    self->asked = (struct sim_asked){0};
}

static void send_error(struct sim_model *self, uint32_t peer, const struct wire_control *control)
{
    const bool is_evicted = bytes_equal_text(control->code, WIRE_CODE_EVICTED);
    const bool is_lost = bytes_equal_text(control->code, WIRE_CODE_NO_SESSION);
    if (self->asked.peer == peer && self->asked.request == control->request) {
        self->asked = (struct sim_asked){0};
    }
    if (is_evicted || is_lost) {
        sim_count(self->sim, is_evicted ? SIM_EVICTIONS : SIM_SILENT_SESSIONS);
        sim_group_leave(self, peer);
    } else if (bytes_equal_text(control->code, WIRE_CODE_STALE)) {
        sim_count(self->sim, SIM_STALE_HELLOS);
    } else if (bytes_equal_text(control->code, WIRE_CODE_DISK_FULL)) {
        sim_count(self->sim, SIM_REFUSED_PUBLISHES);
    } else if (bytes_equal_text(control->code, WIRE_CODE_UNKNOWN_GROUP) ||
               bytes_equal_text(control->code, WIRE_CODE_GROUP_BUSY) ||
               bytes_equal_text(control->code, WIRE_CODE_RANGE)) {
        sim_count(self->sim, SIM_REFUSED_REQUESTS);
    } else {
        sim_fail(self->sim,
                 "the broker says %.*s: %.*s",
                 (int)control->code.size,
                 (const char *)control->code.data,
                 (int)control->detail.size,
                 (const char *)control->detail.data);
    }
}

void sim_model_broker_sends(struct sim_model *self, struct bytes routing_id, struct bytes frame,
                            struct bytes batch, enum err result)
{
    const uint32_t peer = peer_of(self, routing_id);
    struct wire_control control;
    const char *problem = NULL;
    if (wire_control_parse(frame, &control, &problem) != ERR_OK) {
        sim_fail(self->sim, "the broker sends what is no message: %s", problem);
    }
    sim_trace(self->sim,
              "broker: sends %s to peer %u: %s",
              wire_type_name(control.type),
              peer,
              err_name(result));
    if (control.type == WIRE_ERROR) {
        send_error(self, peer, &control);
    } else if (control.type == WIRE_PUBLISHED) {
        send_published(self, &control);
    } else if (control.type == WIRE_DONE) {
        send_done(self, &control);
    } else if (control.type == WIRE_SUBSCRIBED) { // whether it arrives or not
        const struct sim_peer *to = &self->peers[peer];
        sim_group_topics(self, &self->groups[to->asked_group], to->asked_topics);
    } else if (control.type == WIRE_REPORT) {
        sim_report_check(self, batch);
    }
    const bool is_blocked = control.type == WIRE_DELIVER && result == ERR_FULL;
    if (result != ERR_OK && !is_blocked) {
        sim_group_leave(self, peer); // the broker has lost it
    } else if (result != ERR_OK) {
        return;
    } else if (control.type == WIRE_WELCOME) {
        self->peers[peer].has_session = true;
    } else if (control.type == WIRE_SUBSCRIBED) {
        send_subscribed(self, peer, &control);
    } else if (control.type == WIRE_DELIVER || control.type == WIRE_RECORDS) {
        send_entries(self, peer, &control, batch);
    }
}
