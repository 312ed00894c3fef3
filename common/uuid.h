// uuid - identities (RFC 9562): version 7 for what is new in the world, so that ids sort
// by time and database pages fill in order; version 5 for what follows from something
// else, so that whoever makes it again gives it the same id. Any thread.
#ifndef FAULTLINE_UUID_H
#define FAULTLINE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

enum {
    UUID_SIZE = 37, // 36 characters and a NUL
    UUID_BYTES = 16
};

// uuid_new writes a new UUID, version 7, in lower case. It aborts when the operating
// system has no randomness, which does not happen after boot.
void uuid_new(char out[UUID_SIZE]);

// uuid_of_name writes the UUID, version 5, that name has in a namespace: always the same.
void uuid_of_name(const uint8_t namespace[UUID_BYTES], struct bytes name, char out[UUID_SIZE]);

// uuid_derive writes the UUID that count texts have, in this order, in Faultline's own
// namespace. No text may have a line feed in it.
void uuid_derive(const char *const *texts, size_t count, char out[UUID_SIZE]);

// uuid_is_valid tells whether text is a UUID of any version, in lower case.
bool uuid_is_valid(const char *text);

#endif
