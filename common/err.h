// err - the expected errors, one enum for the whole house.
//
// Expected errors are returned and always checked. A programmer's mistake is an
// assert. What is hopeless (out of memory, a failed fdatasync) aborts.
#ifndef FAULTLINE_ERR_H
#define FAULTLINE_ERR_H

enum err {
    ERR_OK = 0,
    ERR_INVALID,     // the input breaks its format or a rule; trying again will not help
    ERR_NOT_FOUND,   // there is no such thing
    ERR_EXISTS,      // there is such a thing already
    ERR_CONFLICT,    // it is in a state in which this cannot be done
    ERR_TOO_LARGE,   // over a documented limit
    ERR_FULL,        // no room now: disk, queue, window; later there may be
    ERR_IO,          // the operating system or the database said no
    ERR_CORRUPT,     // stored data is damaged
    ERR_TIMEOUT,     // no answer in time; what happened there is unknown
    ERR_UNAVAILABLE, // the other side is not there; nothing happened
    ERR_COUNT,
};

// err_name returns a short kebab-case name ("not-found"), for logs and wire.
const char *err_name(enum err err);

#endif
