// server - a broker's process while it is measured: its folder, its port, what it takes.
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <sys/types.h>

#include "bench/messages/engine.h"

struct server {
    const struct engine *engine;
    struct engine_place place;
    char folder[256];
    pid_t pid; // 0: none runs
};

// What a process has taken so far.
struct server_use {
    double cpu_s;
    double rss_mb, rss_peak_mb, pss_mb;
};

// server_open makes a folder below parent, which must not be a tmpfs: a sync there is
// none. server_start starts the process and waits until it takes connections; it
// gives the milliseconds that took. All end the process with a sentence when they fail.
void server_open(struct server *self, const struct engine *engine, const char *parent,
                 uint32_t groups);
double server_start(struct server *self);
void server_use(const struct server *self, struct server_use *out);

// server_kill ends the process with SIGKILL, server_close also removes the folder.
void server_kill(struct server *self);
void server_close(struct server *self);

#endif
