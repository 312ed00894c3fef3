// uuid - identities: UUID version 7 (RFC 9562), so that ids sort by time and
// database pages fill in order. Any thread.
#ifndef FAULTLINE_UUID_H
#define FAULTLINE_UUID_H

#include <stdbool.h>

enum {
    UUID_SIZE = 37
}; // 36 characters and a NUL

// uuid_new writes a new UUID in lower case. It aborts when the operating system
// has no randomness, which does not happen after boot.
void uuid_new(char out[UUID_SIZE]);

// uuid_is_valid tells whether text is a UUID of any version, in lower case.
bool uuid_is_valid(const char *text);

#endif
