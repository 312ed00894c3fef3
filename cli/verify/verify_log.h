// verify_log - the broker's log, read once and kept as a few bytes for each event.
//
// An event's index is its offset less the first one that retention has left. What does not
// fit becomes rows of tables in the verify_db:
//
//   letter   dead letters of the services' groups, and copies of events that were given
//            back to them, in the order of the log; event is the offset of what they are of
//   twice    an event whose id the log had before
//   again    an event of a topic that its order or transfer has had already
//   odd      an event whose body or cause does not fit (verify_envelope.h)
//
// SQL gets the functions offset_of_event(id), NULL when the log has none, and
// event_is(id, topic, subject), 1 when that is what the event with the id is.
#ifndef FAULTLINE_CLI_VERIFY_LOG_H
#define FAULTLINE_CLI_VERIFY_LOG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/bus_guest.h"
#include "cli/verify/id_table.h"
#include "cli/verify/verify_db.h"
#include "cli/verify/verify_subjects.h"

struct verify_log; // opaque

struct verify_event {
    uint32_t id;      // internal number; ID_NONE: a dead letter, a copy, or known before
    uint32_t subject; // number of verify_subjects; ID_NONE: its key is empty
    uint8_t topic;    // index, or VERIFY_NO_TOPIC
    uint8_t handled;  // services whose inbox has it; verify_handled fills it in
    uint8_t given_up; // groups that have or had a dead letter of it
    bool is_strange;  // of a topic of the house, and said by nobody of it
};

#define VERIFY_NO_EVENT SIZE_MAX

// verify_log_new makes an empty one. status is the broker's REPORT from before the
// databases were opened: what a group had dealt with by then is in its service's snapshot,
// and so is the cause of each event that was in the log by then. db and subjects, to which
// reading adds, are borrowed.
struct verify_log *verify_log_new(struct verify_db *db, struct verify_subjects *subjects,
                                  const cJSON *status);
void verify_log_destroy(struct verify_log **self_p);

// verify_log_read reads all of the log that is there. ERR_UNAVAILABLE: the broker went
// away; ERR_INVALID: its beginning was dropped meanwhile; ERR_IO: the temporary file;
// verify_db_problem says why. progress is called now and then with how many events there
// are and how many were read.
typedef void verify_progress(void *context, const char *what, uint64_t done, uint64_t all);
enum err verify_log_read(struct verify_log *self, const char *bus_url, verify_progress *progress,
                         void *context);

// verify_log_note_strange counts those events as said that are strange and that a service has
// handled all the same, or nobody could have: what is left is a stranger's. To be called when
// the inboxes were read. ERR_IO.
enum err verify_log_note_strange(struct verify_log *self);

// How much was read.
struct verify_log_counts {
    uint64_t first_offset; // below it retention has dropped everything
    uint64_t end;          // the log's, when it was read
    uint64_t events;       // of the shop and the bank; dead letters and copies are none
    uint64_t strangers;    // events of other topics, or about no order or transfer
};
struct verify_log_counts verify_log_counts(const struct verify_log *self);

// verify_log_events is how many there are; verify_log_event one of them; verify_log_id its
// id, where event->id is not ID_NONE; verify_log_offset its offset.
size_t verify_log_events(const struct verify_log *self);
struct verify_event *verify_log_event(struct verify_log *self, size_t index);
struct id verify_log_id(const struct verify_log *self, size_t index);
uint64_t verify_log_offset(const struct verify_log *self, size_t index);

// verify_log_find gives the index of the first event with an id, or VERIFY_NO_EVENT.
size_t verify_log_find(const struct verify_log *self, struct id id);

// verify_log_offsets finds the events of a subject, dead letters and copies among them, in
// their order; at most max are written to out. Returns how many.
size_t verify_log_offsets(const struct verify_log *self, const char *subject, uint64_t *out,
                          size_t max);

#endif
