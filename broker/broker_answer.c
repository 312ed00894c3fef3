#include "broker/broker_state.h"
#include "common/log.h"
#include "common/metrics.h"

int64_t broker_now_ms(const struct broker *self)
{
    return self->world.mono_us(self->world.context) / 1000;
}

int64_t broker_wall_us(const struct broker *self)
{
    return self->world.wall_us(self->world.context);
}

void broker_lose(struct broker *self, struct session *session)
{
    session->lost = true;
    self->more = true; // the next turn ends it
}

enum err broker_transmit(struct broker *self, struct bytes peer, const struct wire_control *control,
                         struct bytes batch)
{
    buf_clear(&self->frame);
    wire_control_append(&self->frame, control);
    const enum err err = self->world.send(self->world.context, peer, buf_view(&self->frame), batch);
    self->counters.send_failures += err != ERR_OK;
    return err;
}

static void send_batch(struct broker *self, struct session *session,
                       const struct wire_control *control, struct bytes batch)
{
    if (broker_transmit(self, session->peer, control, batch) == ERR_OK) {
        session->sent_ms = broker_now_ms(self);
    } else {
        broker_lose(self, session);
    }
}

void broker_send(struct broker *self, struct session *session, const struct wire_control *control)
{
    send_batch(self, session, control, (struct bytes){0});
}

bool broker_listens(struct broker *self, const struct message *message)
{
    const bool listens = message->session->unread_bytes < BROKER_UNREAD_BYTES_MAX;
    if (!listens) {
        broker_refuse(self, message, WIRE_CODE_LIMIT, "take what was answered, and answer PING");
    }
    return listens;
}

void broker_answer_large(struct broker *self, struct session *session,
                         const struct wire_control *control, struct bytes batch)
{
    send_batch(self, session, control, batch);
    session->unread_bytes += batch.size;
    if (session->unread_bytes >= BROKER_UNREAD_BYTES_MAX / 2) {
        broker_send(self, session, &(struct wire_control){.type = WIRE_PING}); // PONG: it listens
    }
}

void broker_refuse_record(struct broker *self, const struct message *message, uint32_t index,
                          const char *code, const char *detail)
{
    static const struct metric_def refused = {
        .name = "faultline_broker_refused_total",
        .help = "Messages answered with an error, by its code.",
        .kind = METRIC_COUNTER,
        .label_names = {"code"},
    };
    struct session *session = message->session;
    const struct wire_control answer = {
        .type = WIRE_ERROR,
        .request = message->control->request,
        .index = index,
        .code = bytes_of_text(code),
        .detail = bytes_of_text(detail),
    };
    const enum err err = broker_transmit(self, message->peer, &answer, (struct bytes){0});
    if (err != ERR_OK && session != NULL) {
        broker_lose(self, session); // as broker_send: it would wait for this answer
    }
    self->counters.refused++;
    metrics_add(self->metrics, &refused, METRIC_LABELS(code), 1);
    // A foreign client can send nonsense as fast as the network carries it: one line
    // a second says so, the metrics count.
    const int64_t now_ms = broker_now_ms(self);
    if (now_ms >= self->complain_ms) {
        self->complain_ms = now_ms + BROKER_RETRY_MS;
        log_warn("message refused",
                 LOG_STR("member", session == NULL ? NULL : session->member),
                 LOG_STR("code", code),
                 LOG_STR("detail", detail));
    }
}

void broker_refuse(struct broker *self, const struct message *message, const char *code,
                   const char *detail)
{
    broker_refuse_record(self, message, WIRE_INDEX_NONE, code, detail);
}

void broker_refuse_session(struct broker *self, struct session *session, const char *code,
                           const char *detail)
{
    static const struct wire_control none = {0};
    const struct message nothing = {.peer = session->peer, .session = session, .control = &none};
    broker_refuse(self, &nothing, code, detail);
}
