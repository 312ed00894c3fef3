// bus_reader - reads the broker's log from an offset on, as a guest: no group, no
// state left behind (READ of docs/protocol.md). Blocking; one thread owns a reader.
#ifndef FAULTLINE_CLI_BUS_READER_H
#define FAULTLINE_CLI_BUS_READER_H

#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

struct bus_reader; // opaque

// bus_reader_open connects to url and says HELLO. ERR_UNAVAILABLE: no broker answered
// within timeout_ms. The caller owns *out.
enum err bus_reader_open(struct bus_reader **out, const char *url, int64_t timeout_ms);
void bus_reader_destroy(struct bus_reader **self_p);

// bus_reader_end asks for the offset that the next event will get.
enum err bus_reader_end(struct bus_reader *self, uint64_t *end);

// bus_reader_next gives the event at or behind *offset and moves *offset past it.
// ERR_NOT_FOUND: there is none yet. ERR_UNAVAILABLE: the broker went away; a new
// reader may go on at *offset. ERR_INVALID: the log no longer reaches back to
// *offset. Views live until the next call.
enum err bus_reader_next(struct bus_reader *self, uint64_t *offset, struct wire_delivered *out);

#endif
