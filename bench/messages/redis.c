// Redis Streams by hiredis: XADD pipelined; XREADGROUP of many entries at once, and one
// XACK for all of them in the same write as the next XREADGROUP.
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/messages/engine.h"
#include "common/mem.h"

#define XADD_HEAD "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nd\r\n$256\r\n"

enum {
    HEAD_BYTES = sizeof XADD_HEAD - 1,
    COMMAND_BYTES = HEAD_BYTES + EVENT_BYTES + 2,
    ENTRIES_MAX = 1024, // of one XREADGROUP
    BLOCK_MS = 100,
    ID_BYTES = 48,
};

struct client {
    redisContext *redis; // owned
    const struct engine_role *role;
    uint64_t next;        // expected by a consumer
    size_t acks_expected; // answers of XACK under way
    char command[COMMAND_BYTES];
};

static const char *missing(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0 ? NULL : "redis-server is not installed";
}

static void command(struct engine_command *out, const struct engine_place *place,
                    const char *appendfsync)
{
    *out = (struct engine_command){.args = {"/usr/bin/redis-server",
                                            "--bind",
                                            "127.0.0.1",
                                            "--port",
                                            out->words[0],
                                            "--dir",
                                            place->folder,
                                            "--save",
                                            "",
                                            "--appendonly",
                                            "yes",
                                            "--appendfsync",
                                            appendfsync,
                                            "--auto-aof-rewrite-percentage",
                                            "0",
                                            "--loglevel",
                                            "warning"}};
    snprintf(out->words[0], sizeof out->words[0], "%u", place->port);
}

static void command_always(struct engine_command *out, const struct engine_place *place)
{
    command(out, place, "always");
}

static void command_everysec(struct engine_command *out, const struct engine_place *place)
{
    command(out, place, "everysec");
}

static redisContext *redis_connect(uint16_t port)
{
    redisContext *redis = redisConnect("127.0.0.1", port);
    if (redis == NULL || redis->err != 0) {
        engine_fail("redis: %s", redis == NULL ? "no memory" : redis->errstr);
    }
    return redis;
}

static void prepare(const struct engine_place *place)
{
    redisContext *redis = redis_connect(place->port);
    for (uint32_t group = 0; group < place->groups; group++) {
        redisReply *reply = redisCommand(redis, "XGROUP CREATE s group-%u 0 MKSTREAM", group);
        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            engine_fail("redis: %s", reply == NULL ? redis->errstr : reply->str);
        }
        freeReplyObject(reply);
    }
    redisFree(redis);
}

static struct client *open_client(const struct engine_role *role)
{
    struct client *self = mem_calloc(1, sizeof *self);
    self->role = role;
    self->redis = redis_connect(role->place->port);
    memset(self->command, 'x', sizeof self->command);
    memcpy(self->command, XADD_HEAD, HEAD_BYTES);
    memcpy(self->command + COMMAND_BYTES - 2, "\r\n", 2);
    return self;
}

static void flush(struct client *self)
{
    int done = 0;
    while (done == 0) {
        if (redisBufferWrite(self->redis, &done) != REDIS_OK) {
            engine_fail("redis: %s", self->redis->errstr);
        }
    }
}

static void publish(struct client *self, uint64_t first, size_t count, int64_t stamp_us)
{
    for (size_t i = 0; i < count; i++) {
        event_stamp((uint8_t *)self->command + HEAD_BYTES, stamp_us, first + i);
        if (redisAppendFormattedCommand(self->redis, self->command, COMMAND_BYTES) != REDIS_OK) {
            engine_fail("redis: %s", self->redis->errstr);
        }
    }
    flush(self);
}

static redisReply *reply_next(struct client *self)
{
    void *reply = NULL;
    if (redisGetReplyFromReader(self->redis, &reply) != REDIS_OK) {
        engine_fail("redis: %s", self->redis->errstr);
    }
    redisReply *typed = reply;
    if (typed != NULL && typed->type == REDIS_REPLY_ERROR) {
        engine_fail("redis: %s", typed->str);
    }
    return typed;
}

static void input_read(struct client *self)
{
    if (redisBufferRead(self->redis) != REDIS_OK) {
        engine_fail("redis: %s", self->redis->errstr);
    }
}

static size_t answers(struct client *self, int timeout_ms)
{
    size_t count = 0;
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    if (timeout_ms == 0) {
        timeout.tv_usec = 1; // 0 would be for ever
    }
    redisSetTimeout(self->redis, timeout);
    if (redisBufferRead(self->redis) != REDIS_OK) {
        if (errno != EAGAIN) {
            engine_fail("redis: %s", self->redis->errstr);
        }
        self->redis->err = 0; // nothing came in time
        return 0;
    }
    for (redisReply *reply = reply_next(self); reply != NULL; reply = reply_next(self)) {
        freeReplyObject(reply);
        count++;
    }
    return count;
}

// Gives the entries of an XREADGROUP's answer out and queues their XACK.
static size_t entries_take(struct client *self, const redisReply *reply, const char *group)
{
    if (reply->type != REDIS_REPLY_ARRAY) {
        return 0; // nothing in time
    }
    const redisReply *entries = reply->element[0]->element[1];
    const char *args[ENTRIES_MAX + 3] = {"XACK", "s", group};
    size_t sizes[ENTRIES_MAX + 3] = {4, 1, strlen(group)};
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        const redisReply *value = entry->element[1]->element[1];
        event_take(self->role->lanes, self->role->lane, (const uint8_t *)value->str, &self->next);
        args[3 + i] = entry->element[0]->str;
        sizes[3 + i] = entry->element[0]->len;
    }
    redisAppendCommandArgv(self->redis, (int)entries->elements + 3, args, sizes);
    self->acks_expected++;
    return entries->elements;
}

static size_t take(struct client *self, int timeout_ms)
{
    char group[32];
    snprintf(group, sizeof group, "group-%u", self->role->number);
    redisAppendCommand(self->redis,
                       "XREADGROUP GROUP %s c COUNT %d BLOCK %d STREAMS s >",
                       group,
                       ENTRIES_MAX,
                       timeout_ms < BLOCK_MS ? timeout_ms + 1 : BLOCK_MS);
    flush(self);
    redisReply *reply = NULL;
    do {
        while ((reply = reply_next(self)) == NULL) {
            input_read(self);
        }
        if (self->acks_expected > 0) {
            self->acks_expected--;
            freeReplyObject(reply);
            reply = NULL;
        }
    } while (reply == NULL);
    const size_t count = entries_take(self, reply, group);
    freeReplyObject(reply);
    return count;
}

static void close_client(struct client *self)
{
    redisFree(self->redis);
    free(self);
}

const struct engine engine_redis_always = {
    .name = "redis-always",
    .title = "Redis, appendfsync always",
    .durable = true,
    .missing = missing,
    .command = command_always,
    .prepare = prepare,
    .open = open_client,
    .publish = publish,
    .answers = answers,
    .take = take,
    .close = close_client,
};

const struct engine engine_redis_everysec = {
    .name = "redis-everysec",
    .title = "Redis, appendfsync everysec",
    .missing = missing,
    .command = command_everysec,
    .prepare = prepare,
    .open = open_client,
    .publish = publish,
    .answers = answers,
    .take = take,
    .close = close_client,
};
