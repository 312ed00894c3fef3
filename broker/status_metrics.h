// status_metrics - the broker's counters and gauges in Prometheus text.
#ifndef FAULTLINE_STATUS_METRICS_H
#define FAULTLINE_STATUS_METRICS_H

#include "common/bytes.h"

struct broker;

// status_metrics_format brings the metrics up to date and appends them. The broker
// must have been opened with metrics.
void status_metrics_format(struct broker *broker, struct buf *out);

#endif
