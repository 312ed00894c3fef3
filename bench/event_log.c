// bench_event_log DIRECTORY [SECONDS] - how fast the event log alone takes events,
// each batch synced, reads them back, and opens again. DIRECTORY must be empty or
// missing; it is left as it is, for a look at the files.
#include "broker/event_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

enum {
    RECORD_BYTES = 256,
    SYNCS_MAX = 1000000, // of one run
};

static int compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

// One record of RECORD_BYTES bytes in all.
static void record_make(struct buf *out)
{
    static const uint8_t body[RECORD_BYTES];
    struct record record = {.topic = bytes_of_text("order-created"),
                            .key = bytes_of_text("0198b2f0-0000-7000-8000-000000000000"),
                            .id = bytes_of_text("0198b2f0-0000-7000-8000-000000000001")};
    record.body = (struct bytes){.data = body,
                                 .size = RECORD_BYTES - RECORD_HEADER_SIZE - record.topic.size -
                                         record.key.size - record.id.size};
    if (record_append(out, &record) != ERR_OK) {
        fail("record", "refused");
    }
}

static void write_run(struct event_log *log, struct bytes record, uint64_t batch, double seconds)
{
    int64_t *latencies = mem_calloc(SYNCS_MAX, sizeof *latencies);
    size_t syncs = 0;
    const int64_t start = clock_mono_us();
    const int64_t end = start + (int64_t)(seconds * 1e6);
    int64_t now = start;
    while (now < end && syncs < SYNCS_MAX) {
        uint64_t offset = 0;
        for (uint64_t i = 0; i < batch; i++) {
            if (event_log_append(log, record, &offset) != ERR_OK) {
                fail("append", "the batch is too large");
            }
        }
        if (event_log_sync(log, (uint64_t)clock_wall_us(), false) != ERR_OK) {
            fail("sync", "the disk is full");
        }
        const int64_t then = now;
        now = clock_mono_us();
        latencies[syncs++] = now - then;
    }
    const double took = (double)(now - start) / 1e6;
    qsort(latencies, syncs, sizeof *latencies, compare);
    printf("write batches of %4" PRIu64 ": %9.0f events/s %6.0f syncs/s, a sync takes p50 %" PRId64
           " p99 %" PRId64 " p99.9 %" PRId64 " max %" PRId64 " us\n",
           batch,
           (double)(syncs * batch) / took,
           (double)syncs / took,
           latencies[syncs / 2],
           latencies[syncs * 99 / 100],
           latencies[syncs * 999 / 1000],
           latencies[syncs - 1]);
    free(latencies);
}

static void read_run(struct event_log *log)
{
    struct event_log_cursor *cursor = event_log_cursor_new(log);
    const int64_t start = clock_mono_us();
    uint64_t bytes = 0;
    for (uint64_t i = event_log_first(log); i < event_log_next(log); i++) {
        struct event_log_entry entry;
        if (event_log_cursor_read(cursor, i, &entry) != ERR_OK) {
            fail("read", event_log_cursor_problem(cursor));
        }
        bytes += entry.record.whole.size;
    }
    const double took = (double)(clock_mono_us() - start) / 1e6;
    printf("read all in order:     %9.0f events/s %6.0f MB/s\n",
           (double)event_log_next(log) / took,
           (double)bytes / took / 1e6);
    event_log_cursor_destroy(&cursor);
}

static int64_t open_log(struct event_log **log, const struct event_log_options *options)
{
    struct event_log_recovery recovery;
    const int64_t start = clock_mono_us();
    if (event_log_open(log, options, &recovery) != ERR_OK) {
        fail("open", recovery.problem);
    }
    return clock_mono_us() - start;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fail("usage", "bench_event_log DIRECTORY [SECONDS]");
    }
    const struct event_log_options options = {.disk = &disk_os, .directory = argv[1]};
    const double seconds = argc > 2 ? atof(argv[2]) : 2.0;
    struct event_log *log = NULL;
    printf("open an empty log:     %" PRId64 " us\n", open_log(&log, &options));
    struct buf record = {0};
    record_make(&record);
    static const uint64_t batches[] = {1, 64, 1024};
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        write_run(log, buf_view(&record), batches[i], seconds);
    }
    read_run(log);
    event_log_destroy(&log);
    const int64_t took = open_log(&log, &options);
    printf("open %" PRIu64 " events, %" PRIu64 " segments, %.0f MB: %" PRId64 " ms\n",
           event_log_next(log),
           event_log_segments(log),
           (double)event_log_bytes(log) / 1e6,
           took / 1000);
    event_log_destroy(&log);
    buf_release(&record);
    return 0;
}
