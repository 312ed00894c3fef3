// NATS JetStream by libnats: a file stream, async publishes whose acks come to one inbox,
// a durable push consumer with explicit acks for each group.
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/messages/engine.h"
#include "common/mem.h"

#define SUBJECT "events"

enum {
    MESSAGES_MAX = 1024, // taken in one go
};

struct client {
    natsConnection *connection;     // owned
    natsSubscription *subscription; // owned; of acks, or of deliveries
    jsCtx *stream;                  // owned
    char *inbox;                    // owned; of acks
    const struct engine_role *role;
    uint64_t next; // expected by a consumer
    uint8_t value[EVENT_BYTES];
};

static const char *missing(void)
{
    return access("/usr/sbin/nats-server", X_OK) == 0 ? NULL : "nats-server is not installed";
}

static void command(struct engine_command *out, const struct engine_place *place)
{
    *out = (struct engine_command){.args = {"/usr/sbin/nats-server",
                                            "-a",
                                            "127.0.0.1",
                                            "-p",
                                            out->words[0],
                                            "-js",
                                            "-sd",
                                            place->folder,
                                            "-l",
                                            out->words[1]}};
    snprintf(out->words[0], sizeof out->words[0], "%u", place->port);
    snprintf(out->words[1], sizeof out->words[1], "%s/server.log", place->folder);
}

static void must(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        engine_fail("nats: %s: %s", what, natsStatus_GetText(status));
    }
}

static natsConnection *nats_connect(const struct engine_place *place, bool prompt)
{
    char url[64];
    snprintf(url, sizeof url, "nats://127.0.0.1:%u", place->port);
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    must(natsOptions_Create(&options), "options");
    must(natsOptions_SetURL(options, url), "url");
    must(natsOptions_SetSendAsap(options, prompt), "options");
    must(natsConnection_Connect(&connection, options), "connect");
    natsOptions_Destroy(options);
    return connection;
}

static void prepare(const struct engine_place *place)
{
    natsConnection *connection = nats_connect(place, false);
    jsCtx *stream = NULL;
    jsStreamInfo *info = NULL;
    jsStreamConfig config;
    const char *subjects[] = {SUBJECT};
    must(natsConnection_JetStream(&stream, connection, NULL), "jetstream");
    must(jsStreamConfig_Init(&config), "stream");
    config.Name = "EVENTS";
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    must(js_AddStream(&info, stream, &config, NULL, NULL), "add stream");
    jsStreamInfo_Destroy(info);
    jsCtx_Destroy(stream);
    natsConnection_Destroy(connection);
}

static void subscribe(struct client *self)
{
    char durable[32];
    snprintf(durable, sizeof durable, "group-%u", self->role->number);
    jsSubOptions options;
    must(jsSubOptions_Init(&options), "options");
    options.ManualAck = true;
    options.Config.Durable = durable;
    options.Config.AckPolicy = js_AckExplicit;
    options.Config.MaxAckPending = ENGINE_CREDIT;
    must(natsConnection_JetStream(&self->stream, self->connection, NULL), "jetstream");
    must(js_SubscribeSync(&self->subscription, self->stream, SUBJECT, NULL, &options, NULL),
         "subscribe");
}

static struct client *open_client(const struct engine_role *role)
{
    struct client *self = mem_calloc(1, sizeof *self);
    self->role = role;
    self->next = 0;
    memset(self->value, 'x', sizeof self->value);
    self->connection = nats_connect(role->place, role->prompt);
    if (role->consumes) {
        subscribe(self);
    } else {
        must(natsInbox_Create(&self->inbox), "inbox");
        must(natsConnection_SubscribeSync(&self->subscription, self->connection, self->inbox),
             "subscribe");
    }
    must(natsSubscription_SetPendingLimits(self->subscription, -1, -1), "limits");
    return self;
}

static void publish(struct client *self, uint64_t first, size_t count, int64_t stamp_us)
{
    for (size_t i = 0; i < count; i++) {
        event_stamp(self->value, stamp_us, first + i);
        must(natsConnection_PublishRequest(
                 self->connection, SUBJECT, self->inbox, self->value, sizeof self->value),
             "publish");
    }
}

// The next message; NULL: none in time.
static natsMsg *message_next(struct client *self, int timeout_ms)
{
    natsMsg *message = NULL;
    const natsStatus status = natsSubscription_NextMsg(&message, self->subscription, timeout_ms);
    if (status != NATS_OK && status != NATS_TIMEOUT) {
        must(status, "receive");
    }
    return message;
}

// Waits for one, and takes what came with it.
static size_t messages_take(struct client *self, int timeout_ms, bool deliveries)
{
    size_t count = 0;
    uint64_t waiting = 1;
    while (waiting > 0 && count < MESSAGES_MAX) {
        natsMsg *message = message_next(self, count == 0 ? timeout_ms : 1);
        if (message == NULL) {
            return count;
        }
        if (deliveries) {
            event_take(self->role->lanes,
                       self->role->lane,
                       (const uint8_t *)natsMsg_GetData(message),
                       &self->next);
            must(natsMsg_Ack(message, NULL), "ack");
        } else if (strstr(natsMsg_GetData(message), "\"error\"") != NULL) {
            engine_fail("nats: %s", natsMsg_GetData(message));
        }
        natsMsg_Destroy(message);
        count++;
        must(natsSubscription_QueuedMsgs(self->subscription, &waiting), "queue");
    }
    return count;
}

static size_t answers(struct client *self, int timeout_ms)
{
    return messages_take(self, timeout_ms, false);
}

static size_t take(struct client *self, int timeout_ms)
{
    return messages_take(self, timeout_ms, true);
}

static void close_client(struct client *self)
{
    natsSubscription_Destroy(self->subscription);
    jsCtx_Destroy(self->stream);
    natsConnection_Destroy(self->connection);
    free(self->inbox);
    free(self);
}

const struct engine engine_nats = {
    .name = "nats",
    .title = "NATS JetStream, file (no sync per ack)",
    .missing = missing,
    .command = command,
    .prepare = prepare,
    .open = open_client,
    .publish = publish,
    .answers = answers,
    .take = take,
    .close = close_client,
};
