// report - what there is to see of a broker, from one place for all who ask: REPORT on the
// bus, GET /status, GET /metrics. docs/protocol.md has the members.
#ifndef FAULTLINE_REPORT_H
#define FAULTLINE_REPORT_H

#include "common/bytes.h"

struct broker;

enum {
    REPORT_FAILING_MAX = 20, // failing events shown of a group
};

// report_json appends the state of the log, the groups and their members, and what was
// counted, as one JSON object.
void report_json(struct broker *broker, struct buf *out);

// report_metrics appends the same, but for the failing events, for Prometheus.
void report_metrics(struct broker *broker, struct buf *out);

#endif
