// report - what was measured, as a table for people and as JSON lines for programs.
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench/messages/workload.h"

enum {
    RUNS_MAX = 64,
    ENGINES_MAX = 8,
    WORKLOADS_MAX = 32,
};

// The runs of one workload on one engine, in the order in which they ran.
struct cell {
    struct result runs[RUNS_MAX];
    size_t count;
};

struct report {
    const struct workload *workloads[WORKLOADS_MAX];
    const struct engine *engines[ENGINES_MAX];
    struct cell cells[WORKLOADS_MAX][ENGINES_MAX];
    size_t workloads_count, engines_count;
};

void report_print(const struct report *self, FILE *out);
void report_print_json(const struct report *self, FILE *out);

#endif
