// bus_requests - the publishes of a client that have no answer yet: gathered into
// batches, numbered, kept until the broker has answered them. Pure.
//
//   add --> [gathering] --seal--> [under way: 4, 5, 6] --answered--> gone
//                                       |
//                                       +-- split: one record is bad, the others
//                                           become a new request
#ifndef FAULTLINE_BUS_REQUESTS_H
#define FAULTLINE_BUS_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/record.h"

// One batch of records and the caller's tag of each.
struct bus_request {
    uint64_t number;    // on the wire; 0 while gathering
    struct buf records; // owned; encoded, one after another
    uint64_t *tags;     // owned; one a record
    uint32_t count;
    uint32_t capacity; // of tags
    uint32_t answered; // the first so many records have their answer
    bool sent;
    struct bus_request *next;
};

// Zero is an empty one. Release it with bus_requests_clear.
struct bus_requests {
    struct bus_request *first;     // owned; under way, oldest first
    struct bus_request *last;      // borrowed
    struct bus_request *gathering; // owned; NULL: none
    uint64_t numbers;              // given out so far
    size_t tags_count;             // records without an answer, gathering included
    size_t bytes;                  // theirs
};

// bus_requests_has_room tells whether a record of this size still fits the batch
// that is gathering; if not, seal first.
bool bus_requests_has_room(const struct bus_requests *self, size_t record_bytes);

// bus_requests_add adds a record to the batch that is gathering, which must have
// room. Errors as record_append; then nothing has changed.
enum err bus_requests_add(struct bus_requests *self, uint64_t tag, const struct record *record);

// bus_requests_seal numbers the batch and puts it under way. NULL: nothing has
// gathered. The request stays self's.
struct bus_request *bus_requests_seal(struct bus_requests *self);

// bus_requests_find returns the request under way with this number, or NULL.
struct bus_request *bus_requests_find(const struct bus_requests *self, uint64_t number);

// bus_requests_split takes all records but the one at index, from answered on, out
// of request and puts them under way as a new one, which it returns (NULL: there are
// no others). request keeps only the record at index, as its first.
struct bus_request *bus_requests_split(struct bus_requests *self, struct bus_request *request,
                                       uint32_t index);

// bus_requests_answer counts the next count records of request as answered, and
// frees it when none is left; returns whether it did.
bool bus_requests_answer(struct bus_requests *self, struct bus_request *request, uint32_t count);

// bus_requests_clear forgets everything, and keeps counting numbers.
void bus_requests_clear(struct bus_requests *self);

#endif
