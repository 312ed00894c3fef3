// What every service measures of itself.
#include "common/mem.h"
#include "common/service_state.h"

static const double batch_bounds[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 256};

// clang-format off
const struct metric_def service_metric_requests = {
    "faultline_http_requests_total", "HTTP requests answered, by route and status.",
    METRIC_COUNTER, .label_names = {"method", "route", "status"}
};
const struct metric_def service_metric_request_seconds = {
    "faultline_http_request_seconds", "Time from the whole request to its answer.",
    METRIC_HISTOGRAM, .label_names = {"route"}
};
const struct metric_def service_metric_events = {
    "faultline_events_total",
    "Deliveries by outcome: done, duplicate, failed (will be retried), rejected (dead-lettered).",
    METRIC_COUNTER, .label_names = {"topic", "result"}
};
const struct metric_def service_metric_event_age_seconds = {
    "faultline_event_age_seconds",
    "Time from an event's sync in the broker to the end of its handling.",
    METRIC_HISTOGRAM, .label_names = {"topic"}
};
const struct metric_def service_metric_batch_size = {
    "faultline_batch_inputs", "Inputs that shared one transaction.",
    METRIC_HISTOGRAM, .bounds = batch_bounds, .bounds_count = ARRAY_LEN(batch_bounds)
};
const struct metric_def service_metric_commit_seconds = {
    .name = "faultline_commit_seconds", .help = "Time of a commit, its sync included.",
    .kind = METRIC_HISTOGRAM
};

enum { OUTBOX_WAITING, OUTBOX_REFUSED, CONNECTED, WORKERS_BUSY, WORKERS, WORKERS_QUEUE, GAUGES };
static const struct metric_def gauges[GAUGES] = {
    [OUTBOX_WAITING] = {.name = "faultline_outbox_events", .kind = METRIC_GAUGE,
        .help = "Committed events that the broker has not confirmed yet."},
    [OUTBOX_REFUSED] = {.name = "faultline_outbox_refused_events", .kind = METRIC_GAUGE,
        .help = "Events that the broker refused for good."},
    [CONNECTED] = {.name = "faultline_bus_connected", .kind = METRIC_GAUGE,
        .help = "1 while the session with the broker is up."},
    [WORKERS_BUSY] = {.name = "faultline_sync_workers_busy", .kind = METRIC_GAUGE,
        .help = "Worker threads that block in a call of the synchronous chain now."},
    [WORKERS] = {.name = "faultline_sync_workers", .kind = METRIC_GAUGE,
        .help = "Worker threads there are."},
    [WORKERS_QUEUE] = {.name = "faultline_sync_queue_jobs", .kind = METRIC_GAUGE,
        .help = "Jobs that wait for a worker thread."},
};
// clang-format on

void service_metrics_format(struct service *self, struct buf *out)
{
    const struct worker_counts workers = worker_pool_counts(self->workers);
    const double values[GAUGES] = {
        [OUTBOX_WAITING] = (double)outbox_depth(self->outbox),
        [OUTBOX_REFUSED] = (double)outbox_refused(self->outbox),
        [CONNECTED] = bus_is_connected(self->bus) ? 1 : 0,
        [WORKERS_BUSY] = (double)workers.busy,
        [WORKERS] = (double)config_int(self->config, "SYNC_WORKERS"),
        [WORKERS_QUEUE] = (double)workers.queued,
    };
    for (size_t i = 0; i < GAUGES; i++) {
        metrics_set(self->metrics, &gauges[i], METRIC_NO_LABELS, values[i]);
    }
    metrics_format(self->metrics, out);
}
