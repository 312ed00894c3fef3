#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/messages/engine.h"

#ifndef BENCH_REDIS
static const char *without_redis(void)
{
    return "built without its client library hiredis";
}

const struct engine engine_redis_always = {.name = "redis-always", .missing = without_redis};
const struct engine engine_redis_everysec = {.name = "redis-everysec", .missing = without_redis};
#endif

#ifndef BENCH_NATS
static const char *without_nats(void)
{
    return "built without its client library libnats";
}

const struct engine engine_nats = {.name = "nats", .missing = without_nats};
#endif

static const struct engine *const engines[] = {
    &engine_faultline,
    &engine_faultline_nosync,
    &engine_disk,
    &engine_redis_always,
    &engine_redis_everysec,
    &engine_nats,
    NULL,
};

const struct engine *engines_at(size_t place)
{
    return engines[place];
}

const struct engine *engines_find(const char *name)
{
    size_t i = 0;
    while (engines[i] != NULL && strcmp(engines[i]->name, name) != 0) {
        i++;
    }
    return engines[i];
}

void engine_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void engine_wait(int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    (void)poll(&item, 1, timeout_ms);
}
