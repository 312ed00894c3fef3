// event_log_private - what the log and its cursors share, and nobody else sees.
#ifndef FAULTLINE_EVENT_LOG_PRIVATE_H
#define FAULTLINE_EVENT_LOG_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "broker/event_log.h"
#include "broker/event_log_io.h"
#include "broker/log_directory.h"
#include "broker/segment.h"
#include "common/bytes.h"

struct event_log {
    const struct event_log_io *io; // borrowed
    struct log_directory directory;
    uint64_t segment_bytes;
    uint64_t disk_bytes_max;
    struct segment *segments; // owned; oldest first, at least one, the last is written to
    size_t segments_count;
    size_t segments_capacity;
    struct buf batch; // room for a header, then the records not synced yet
    uint32_t pending; // how many
};

// event_log_segment_of gives the segment that holds offset, which must be in the
// log. Borrowed until the next sync.
const struct segment *event_log_segment_of(const struct event_log *self, uint64_t offset);

#endif
