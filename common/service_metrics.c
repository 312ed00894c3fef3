// What every service measures of itself.
#include "common/mem.h"
#include "common/service_state.h"

static const double batch_bounds[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 256};

const struct metric_def service_metric_requests = {
    .name = "faultline_http_requests_total",
    .help = "HTTP requests answered, by route and status.",
    .kind = METRIC_COUNTER,
    .label_names = {"method", "route", "status"},
};
const struct metric_def service_metric_request_seconds = {
    .name = "faultline_http_request_seconds",
    .help = "Time from the whole request to its answer.",
    .kind = METRIC_HISTOGRAM,
    .label_names = {"route"},
};
const struct metric_def service_metric_events = {
    .name = "faultline_events_total",
    .help = "Deliveries by outcome: done, duplicate, failed (will be retried), rejected "
            "(dead-lettered).",
    .kind = METRIC_COUNTER,
    .label_names = {"topic", "result"},
};
const struct metric_def service_metric_event_age_seconds = {
    .name = "faultline_event_age_seconds",
    .help = "Time from an event's sync in the broker to the end of its handling.",
    .kind = METRIC_HISTOGRAM,
    .label_names = {"topic"},
};
const struct metric_def service_metric_batch_size = {
    .name = "faultline_batch_inputs",
    .help = "Inputs that shared one transaction.",
    .kind = METRIC_HISTOGRAM,
    .bounds = batch_bounds,
    .bounds_count = ARRAY_LEN(batch_bounds),
};
const struct metric_def service_metric_commit_seconds = {
    .name = "faultline_commit_seconds",
    .help = "Time of a commit, its sync included.",
    .kind = METRIC_HISTOGRAM,
};

static const struct metric_def outbox_waiting = {
    .name = "faultline_outbox_events",
    .help = "Committed events that the broker has not confirmed yet.",
    .kind = METRIC_GAUGE,
};
static const struct metric_def outbox_refused_count = {
    .name = "faultline_outbox_refused_events",
    .help = "Events that the broker refused for good.",
    .kind = METRIC_GAUGE,
};
static const struct metric_def connected = {
    .name = "faultline_bus_connected",
    .help = "1 while the session with the broker is up.",
    .kind = METRIC_GAUGE,
};
static const struct metric_def workers_busy = {
    .name = "faultline_sync_workers_busy",
    .help = "Worker threads that block in a call of the synchronous chain now.",
    .kind = METRIC_GAUGE,
};
static const struct metric_def workers_max = {
    .name = "faultline_sync_workers",
    .help = "Worker threads there are.",
    .kind = METRIC_GAUGE,
};
static const struct metric_def workers_queue = {
    .name = "faultline_sync_queue_jobs",
    .help = "Jobs that wait for a worker thread.",
    .kind = METRIC_GAUGE,
};

static void set(struct service *self, const struct metric_def *def, double value)
{
    metrics_set(self->metrics, def, METRIC_NO_LABELS, value);
}

void service_metrics_format(struct service *self, struct buf *out)
{
    set(self, &outbox_waiting, (double)outbox_depth(self->outbox));
    set(self, &outbox_refused_count, (double)outbox_refused(self->outbox));
    set(self, &connected, bus_is_connected(self->bus) ? 1 : 0);
    const struct worker_counts workers = worker_pool_counts(self->workers);
    set(self, &workers_busy, (double)workers.busy);
    set(self, &workers_max, (double)config_int(self->config, "SYNC_WORKERS"));
    set(self, &workers_queue, (double)workers.queued);
    metrics_format(self->metrics, out);
}
