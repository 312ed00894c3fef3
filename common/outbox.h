// outbox - events that are committed and not yet known to be in the broker's log.
//
//   add, in the input's savepoint --> commit --> bus_publish --> answered --> DELETE
//                                                    ^   lost, disk full |
//                                                    +--- relay from the table
//
// In the normal case a row goes from memory to the bus right after the commit; after
// a lost connection, a full broker or a restart, the relay reads the table again
// from its first row, in order. Deletions ride on the next transaction. Replicas of a
// service share the table: rows that their process left behind are relayed by any
// other, and what is published twice is handled once (the inbox). Core thread.
#ifndef FAULTLINE_OUTBOX_H
#define FAULTLINE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "common/bus.h"
#include "common/err.h"
#include "common/event.h"
#include "common/store.h"

struct outbox; // opaque

// outbox_open makes the table; the store must outlive the outbox. No event may be larger
// than event_bytes_max. The caller owns *out.
enum err outbox_open(struct outbox **out, struct store *store, size_t event_bytes_max);
void outbox_destroy(struct outbox **self_p);

// outbox_add puts an event into the table, in the caller's transaction, and gives the size
// of its envelope. ERR_TOO_LARGE: it passes event_bytes_max.
enum err outbox_add(struct outbox *self, const struct event *event, int64_t now_ms, size_t *bytes);

// outbox_mark and outbox_undo: what was added since the mark is forgotten with its
// savepoint.
size_t outbox_mark(const struct outbox *self);
void outbox_undo(struct outbox *self, size_t mark);

// outbox_added_count counts the events of a topic and key that were added since a mark.
size_t outbox_added_count(const struct outbox *self, size_t mark, const char *topic,
                          const char *key);

// outbox_forget deletes the row of event id, which was added since a mark, in the
// caller's transaction: the log has it. ERR_NOT_FOUND: no such event was added.
enum err outbox_forget(struct outbox *self, size_t mark, const char *id);

// outbox_clean deletes the rows that were answered since the last time, in the
// caller's transaction, and logs them. outbox_is_dirty: there are such rows.
enum err outbox_clean(struct outbox *self);
bool outbox_is_dirty(const struct outbox *self);

// outbox_committed publishes what the transaction added; outbox_aborted forgets it,
// and what outbox_clean deleted is to be deleted again.
void outbox_committed(struct outbox *self, struct bus *bus);
void outbox_aborted(struct outbox *self);

// outbox_on_input takes what the bus says of publishes and of the connection: any
// input but a delivery, outside of a transaction.
void outbox_on_input(struct outbox *self, const struct bus_input *input, int64_t now_ms);

// outbox_relay publishes rows that wait in the table, when it is time; outside of a
// transaction. Called once a round.
void outbox_relay(struct outbox *self, struct bus *bus, int64_t now_ms);

// outbox_timer_ms: in how many ms outbox_relay has something to do; -1: nothing
// before the bus has new input.
int64_t outbox_timer_ms(const struct outbox *self, const struct bus *bus, int64_t now_ms);

// outbox_depth counts the rows in the table that the broker may yet take;
// outbox_refused those that it refused; they are offered again by the next outbox_open.
int64_t outbox_depth(struct outbox *self);
int64_t outbox_refused(struct outbox *self);

#endif
