// metrics - counters, gauges and histograms in Prometheus text format 0.0.4.
//
//   static const struct metric_def handled = {
//       .name = "faultline_events_handled_total", .help = "Events handled.",
//       .kind = METRIC_COUNTER, .label_names = {"topic", "result"}};
//   metrics_add(metrics, &handled, METRIC_LABELS(topic, "done"), 1);
//
// Any thread: a mutex guards the samples.
#ifndef FAULTLINE_METRICS_H
#define FAULTLINE_METRICS_H

#include "common/bytes.h"

enum {
    METRIC_LABELS_MAX = 3,
    METRIC_SERIES_MAX = 4096, // series in all, a histogram being one; updates of more are
                              // dropped and counted in faultline_metrics_dropped_total
};

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM
};

// A metric is a static const definition; its name is its identity. help is one line
// without backslashes.
// Histograms have the fixed bounds 0.0001 .. 10 in steps of 1, 2.5, 5 unless
// bounds (ascending, bounds_count of them) are given.
struct metric_def {
    const char *name;
    const char *help;
    enum metric_kind kind;
    const char *label_names[METRIC_LABELS_MAX]; // as many as are not NULL
    const double *bounds;
    size_t bounds_count;
};

#define METRIC_LABELS(...) ((const char *const[METRIC_LABELS_MAX]){__VA_ARGS__})
#define METRIC_NO_LABELS   ((const char *const[METRIC_LABELS_MAX]){NULL})

struct metrics; // opaque

struct metrics *metrics_new(void);
void metrics_destroy(struct metrics **self_p);

enum metric_update {
    METRIC_ADD,
    METRIC_SET,
    METRIC_OBSERVE
};

// metrics_add adds to a counter or gauge; metrics_set sets a gauge, or a counter
// that is kept elsewhere; metrics_observe puts value into a histogram (seconds
// for times). Label values are copied at first sight; one that is missing is "". They
// may have line breaks, but no other control characters: Prometheus has no escape for
// those. A series once seen costs no allocation.
#define metrics_add(self, def, labels, value)                                                      \
    metrics_update((self), (def), (labels), METRIC_ADD, (value))
#define metrics_set(self, def, labels, value)                                                      \
    metrics_update((self), (def), (labels), METRIC_SET, (value))
#define metrics_observe(self, def, labels, value)                                                  \
    metrics_update((self), (def), (labels), METRIC_OBSERVE, (value))
void metrics_update(struct metrics *self, const struct metric_def *def, const char *const *labels,
                    enum metric_update update, double value);

// metrics_forget drops all series of a metric, for those that count what may be gone.
void metrics_forget(struct metrics *self, const struct metric_def *def);

// metrics_format appends all samples as text, sorted, HELP and TYPE once a metric.
void metrics_format(struct metrics *self, struct buf *out);

#endif
