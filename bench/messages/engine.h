// engine - a broker that is measured: how its server is started, and how its own client
// library publishes and consumes. The loops around that are the same for all (role.c).
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "bench/messages/lane.h"

struct client; // each engine's own

enum {
    ENGINE_ARGS_MAX = 24,
    ENGINE_CREDIT = 4096, // deliveries that a consumer may hold; entries it asks for at once
};

// What a server is started with: text is borrowed from the words below it.
struct engine_command {
    const char *args[ENGINE_ARGS_MAX];        // args[0] is the program, looked for in PATH
    const char *environment[ENGINE_ARGS_MAX]; // NAME=VALUE
    char words[8][512];
};

struct engine_place {
    const char *folder; // the server's own, on a real disk
    uint16_t port;
    uint32_t groups; // consumer groups 0 .. groups - 1
};

// Who a client is.
struct engine_role {
    const struct engine_place *place;
    uint32_t number; // of the producer, or of the group
    bool consumes;
    bool prompt; // one event at a time counts more than many at once
    struct lanes *lanes;
    struct lane *lane;
};

struct engine {
    const char *name;
    const char *title;
    bool durable;                 // a publish is synced before its ack
    const char *(*missing)(void); // why it cannot run here; NULL: it can
    void (*command)(struct engine_command *out, const struct engine_place *place);
    void (*prepare)(const struct engine_place *place); // stream and groups; may be NULL

    // All in a process of their own. What fails ends it with a sentence.
    struct client *(*open)(const struct engine_role *role);
    // Publishes and sends count events, numbers from first on, stamped stamp_us.
    void (*publish)(struct client *self, uint64_t first, size_t count, int64_t stamp_us);
    // Waits for answers of publishes, timeout_ms at most, and says how many came.
    size_t (*answers)(struct client *self, int timeout_ms);
    // Waits for deliveries, gives each to event_take, acks them, and says how many.
    size_t (*take)(struct client *self, int timeout_ms);
    void (*close)(struct client *self);
};

// engines_find gives an engine by name, engines_at the one at a place; NULL: none.
const struct engine *engines_at(size_t place);
const struct engine *engines_find(const char *name);

// engine_fail ends the process with a sentence.
__attribute__((noreturn, format(printf, 1, 2))) void engine_fail(const char *format, ...);

// engine_wait polls fd for input.
void engine_wait(int fd, int timeout_ms);

extern const struct engine engine_faultline;
extern const struct engine engine_faultline_nosync;
extern const struct engine engine_redis_always;
extern const struct engine engine_redis_everysec;
extern const struct engine engine_nats;
extern const struct engine engine_disk;

#endif
