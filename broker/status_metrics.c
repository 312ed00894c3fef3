#include "broker/status_metrics.h"

#include <stddef.h>

#include "broker/broker_state.h"
#include "common/mem.h"

// Counters live in struct broker_counters, where counting costs nothing; they are
// copied when somebody asks.
static const struct {
    struct metric_def def;
    size_t at; // in struct broker_counters
} counters[] = {
#define COUNTER(metric, text, field)                                                               \
    {                                                                                              \
        .def = {.name = "faultline_broker_" metric "_total",                                       \
                .help = (text),                                                                    \
                .kind = METRIC_COUNTER},                                                           \
        .at = offsetof(struct broker_counters, field)                                              \
    }
    COUNTER("published", "Events stored and synced.", published),
    COUNTER("delivered", "Events sent to members, redeliveries included.", delivered),
    COUNTER("redelivered", "Events sent to members again.", redelivered),
    COUNTER("acked", "Events acked.", acked),
    COUNTER("stale_acks", "Answers to deliveries that the member does not hold.", stale_acks),
    COUNTER("nacked", "Failures of events: nacks and rejects.", failed),
    COUNTER("dead_lettered", "Events given up and kept as dead letters.", dead_lettered),
    COUNTER("evicted", "Sessions ended by a newer incarnation.", evicted),
    COUNTER("syncs", "Batches made durable.", syncs),
    COUNTER("send_failures", "Messages that could not be handed to a peer.", send_failures),
#undef COUNTER
};

static const struct metric_def refused = {
    .name = "faultline_broker_refused_total",
    .help = "Messages answered with an error, by its code.",
    .kind = METRIC_COUNTER,
    .label_names = {"code"},
};

static const struct metric_def group_lag = {
    .name = "faultline_broker_group_lag_events",
    .help = "Matching events that a group has not done.",
    .kind = METRIC_GAUGE,
    .label_names = {"group"},
};

static const struct metric_def group_dead_letters = {
    .name = "faultline_broker_group_dead_letters",
    .help = "Dead letters of a group.",
    .kind = METRIC_GAUGE,
    .label_names = {"group"},
};

static const struct metric_def group_members = {
    .name = "faultline_broker_group_members",
    .help = "Members of a group.",
    .kind = METRIC_GAUGE,
    .label_names = {"group"},
};

static const struct metric_def sessions = {
    .name = "faultline_broker_sessions",
    .help = "Sessions of clients.",
    .kind = METRIC_GAUGE,
};

static const struct metric_def log_bytes = {
    .name = "faultline_broker_log_bytes",
    .help = "Bytes that the files of the log take.",
    .kind = METRIC_GAUGE,
};

static const struct metric_def log_segments = {
    .name = "faultline_broker_log_segments",
    .help = "Files of the log.",
    .kind = METRIC_GAUGE,
};

static const struct metric_def log_next_offset = {
    .name = "faultline_broker_log_next_offset",
    .help = "Offset that the next event gets.",
    .kind = METRIC_GAUGE,
};

static void set_groups(struct broker *self, struct metrics *metrics)
{
    for (size_t i = 0; i < self->consumers_count; i++) {
        const struct consumer *consumer = self->consumers[i];
        const char *const *labels = METRIC_LABELS(group_name(consumer->group));
        struct group_stats stats;
        group_stats_get(consumer->group, &stats);
        metrics_set(metrics, &group_lag, labels, (double)consumer->backlog);
        metrics_set(metrics, &group_dead_letters, labels, (double)consumer->dead_letters_count);
        metrics_set(metrics, &group_members, labels, stats.members);
    }
}

void status_metrics_format(struct broker *broker, struct buf *out)
{
    struct metrics *metrics = broker->options.metrics;
    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        const char *field = (const char *)&broker->counters + counters[i].at;
        metrics_set(metrics,
                    &counters[i].def,
                    METRIC_NO_LABELS,
                    (double)*(const uint64_t *)(const void *)field);
    }
    for (size_t i = 0; i < BROKER_CODES; i++) {
        metrics_set(metrics, &refused, METRIC_LABELS(broker_codes[i]), (double)broker->refused[i]);
    }
    set_groups(broker, metrics);
    metrics_set(metrics, &sessions, METRIC_NO_LABELS, (double)session_count(broker->sessions));
    metrics_set(metrics, &log_bytes, METRIC_NO_LABELS, (double)event_log_bytes(broker->log));
    metrics_set(metrics, &log_segments, METRIC_NO_LABELS, (double)event_log_segments(broker->log));
    metrics_set(metrics, &log_next_offset, METRIC_NO_LABELS, (double)event_log_next(broker->log));
    metrics_format(metrics, out);
}
