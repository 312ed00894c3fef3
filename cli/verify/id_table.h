// id_table - many ids, each with a number: 0, 1, 2 … in the order of adding.
//
// An id takes 16 bytes. A UUID is its own value; any other text is known by a 128-bit
// fingerprint, which two texts share by chance about as often as two UUIDs are equal.
// One thread.
#ifndef FAULTLINE_CLI_ID_TABLE_H
#define FAULTLINE_CLI_ID_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/uuid.h"

struct id {
    uint64_t high, low;
};

// id_of_text makes the id of a text.
struct id id_of_text(struct bytes text);

bool id_is_equal(struct id a, struct id b);

// id_to_text writes a UUID in lower case. False: the id is the fingerprint of another
// text, which is not kept; out is empty then.
bool id_to_text(struct id id, char out[UUID_SIZE]);

struct id_table; // opaque

#define ID_NONE UINT32_MAX

struct id_table *id_table_new(void);
void id_table_destroy(struct id_table **self_p);

// id_table_reserve makes room for count ids in all, so that adding them moves nothing.
void id_table_reserve(struct id_table *self, uint32_t count);

// id_table_add gives the number of id, a new one when it is not there yet.
uint32_t id_table_add(struct id_table *self, struct id id);

// id_table_find gives the number of id, or ID_NONE.
uint32_t id_table_find(const struct id_table *self, struct id id);

uint32_t id_table_count(const struct id_table *self);

// id_table_at is the id of a number below the count.
struct id id_table_at(const struct id_table *self, uint32_t number);

#endif
