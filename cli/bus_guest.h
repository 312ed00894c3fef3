// bus_guest - what the command says to the broker over the bus as nobody in particular: it
// reads the log and asks for things to be done, and leaves no group and no state behind
// (READ and section 8 of docs/protocol.md). Blocking; one thread owns a guest.
#ifndef FAULTLINE_CLI_BUS_GUEST_H
#define FAULTLINE_CLI_BUS_GUEST_H

#include <stdint.h>

#include "cli/command.h"
#include "common/err.h"
#include "common/wire.h"

struct bus_guest; // opaque

// bus_guest_open connects to url and says HELLO. ERR_UNAVAILABLE: no broker answered
// within timeout_ms. The caller owns *out.
enum err bus_guest_open(struct bus_guest **out, const char *url, int64_t timeout_ms);
void bus_guest_destroy(struct bus_guest **self_p);

// bus_guest_visit opens one for a command; NULL: nobody answered, and that was said on
// standard error with what to do.
struct bus_guest *bus_guest_visit(const char *url);

// bus_guest_end asks for the offset that the next event will get.
enum err bus_guest_end(struct bus_guest *self, uint64_t *end);

// bus_guest_read_ahead lets the broker look up the next events while the last ones are
// being dealt with: for whoever reads on and on. Ask nothing but bus_guest_next then.
void bus_guest_read_ahead(struct bus_guest *self);

// bus_guest_next gives the event at or behind *offset and moves *offset past it.
// ERR_NOT_FOUND: there is none yet. ERR_UNAVAILABLE: the broker went away; a new
// guest may go on at *offset. ERR_INVALID: the log no longer reaches back to
// *offset. Views live until the next call.
enum err bus_guest_next(struct bus_guest *self, uint64_t *offset, struct wire_delivered *out);

// bus_guest_ask sends a REDRIVE, RESET, DELETE or STATUS, whose request it numbers, and
// waits for DONE or REPORT. CLI_YES: *answer is that, and bus_guest_batch what came with it,
// both borrowed until the next call. CLI_NO: the broker refused; CLI_UNKNOWN: it did not
// answer. Either was said on standard error, with what to do.
enum cli_exit bus_guest_ask(struct bus_guest *self, struct wire_control question,
                            struct wire_control *answer);
struct bytes bus_guest_batch(struct bus_guest *self);

#endif
