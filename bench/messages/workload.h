// workload - what is measured, the same for every broker.
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "bench/messages/engine.h"
#include "bench/messages/server.h"

struct options {
    const char *folder;  // where servers keep their files
    double seconds;      // of one measurement
    uint64_t events;     // of catch-up and recovery
    uint64_t backlog;    // of memory-full
    struct lanes *lanes; // borrowed; one piece of memory for all measurements
};

// One measurement. What does not apply is 0.
struct result {
    double rate; // events, or deliveries in all, a second
    double p50_us, p99_us;
    double server_us; // of the server's processor time, for each event or delivery
    double cpu_cores; // which the server used
    double rss_peak_mb, pss_mb;
    double ms;
    uint64_t wrong; // events out of order: there must be none
};

// Which of a result's figures a workload is about.
enum figure {
    FIGURE_RATE,
    FIGURE_P50,
    FIGURE_MEMORY, // PSS
    FIGURE_MS,
};

struct workload {
    const char *name;
    const char *title;
    enum figure figure;
    uint32_t producers, groups;
    uint64_t window;
    uint64_t rate;  // a second; 0: as fast as it goes
    bool preloaded; // the events are there before the consumers come
    bool ours_only; // no other broker is asked
    bool has_disk;  // the bare fdatasync loop runs beside it
    void (*run)(const struct workload *self, struct server *server, const struct options *options,
                struct result *out); // NULL: as the fields above say
    const char *against;             // the engine, and the ratio to it that is to be reached
    double target;                   // rates: at least; times: at most
};

// workloads_at gives the workload at a place; NULL: none.
const struct workload *workloads_at(size_t place);

// workload_run measures once, with a server of its own. It ends the process with a
// sentence when a part of it fails.
void workload_run(const struct workload *self, const struct engine *engine,
                  const struct options *options, struct result *out);

// workload_figure is the figure of a result that the workload is about.
double workload_figure(const struct workload *self, const struct result *result);

#endif
