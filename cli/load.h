// load - places many orders and measures: how long the answer takes, and how long
// until the order has its end.
//
// Clients are threads that share one sequence of orders. With a rate, an order's
// time counts from when it was due, not from when a busy client came round to send
// it, so that a slow server cannot hide by slowing the clients down (coordinated
// omission; Gil Tene). Ends are read from the broker's log, by the broker's time.
//
// With a record every answer is written down as answer_record.h says.
#ifndef FAULTLINE_CLI_LOAD_H
#define FAULTLINE_CLI_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOAD_ORDERS_MAX = 10000000,
    LOAD_CLIENTS_MAX = 512,
    LOAD_CAUSES_MAX = 16
};

struct load_options {
    const char *order_url; // "http://127.0.0.1:8001"
    const char *bus_url;   // "tcp://127.0.0.1:5550"
    const char *payment_token;
    size_t orders_count;
    int64_t rate; // orders a second; 0: as fast as they are taken
    size_t clients_count;
    bool sync;          // over the synchronous chain; its answer is its end
    int64_t timeout_ms; // how long to wait for the last end after the last answer
    bool progress;      // a line a second on standard error
    int record_fd;      // of answer_record_open; -1: nothing is written down
};

// Times in microseconds, of count samples.
struct load_times {
    size_t count;
    int64_t p50_us;
    int64_t p99_us;
    int64_t max_us;
};

struct load_result {
    size_t accepted; // 202, or 201 over the chain
    size_t confirmed;
    size_t cancelled;
    size_t failed;     // neither accepted nor refused by a rule: 5xx, no answer
    size_t refused;    // 4xx
    size_t unfinished; // accepted, no end within timeout_ms
    bool ends_unknown; // the broker's log could not be read
    struct {
        int status; // 0: no answer
        size_t count;
    } statuses[LOAD_CAUSES_MAX];
    size_t statuses_count;
    int64_t sending_us;   // first order sent to last answer
    int64_t finishing_us; // first order sent to last end
    struct load_times answer;
    struct load_times end;
};

// load_run does it, which takes as long as it takes.
void load_run(const struct load_options *options, struct load_result *out);

#endif
