// end_table - which orders have reached their end, and when: a hash table by order
// id. One thread adds; others look while they hold the lock, or when it has ended.
#ifndef FAULTLINE_CLI_END_TABLE_H
#define FAULTLINE_CLI_END_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

struct end_table; // opaque

struct end_table *end_table_new(void);
void end_table_destroy(struct end_table **self_p);

// end_table_add notes an end; takes the lock itself. Returns whether it is the first of
// that id. Ids that are no UUIDs are not kept.
bool end_table_add(struct end_table *self, struct bytes id, bool confirmed, int64_t at_us);

// end_table_find looks one up. The caller holds the lock.
bool end_table_find(const struct end_table *self, const char *id, bool *confirmed, int64_t *at_us);

void end_table_lock(struct end_table *self);
void end_table_unlock(struct end_table *self);

#endif
