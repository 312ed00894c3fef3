// verify_broker - a broker of our own over the log of a stack whose broker is dead, on an
// endpoint that nobody else knows.
//
// It is the real broker, so it starts as that does: a torn tail is cut off. It ends with
// this process, however that ends.
#ifndef FAULTLINE_CLI_VERIFY_BROKER_H
#define FAULTLINE_CLI_VERIFY_BROKER_H

#include "common/err.h"

struct verify_broker; // opaque

// verify_broker_start runs the faultline-broker in folder bin over the log in folder
// data and waits until it serves. ERR_NOT_FOUND, ERR_UNAVAILABLE, ERR_IO: *problem,
// which the caller frees, is a sentence. The caller owns *out.
enum err verify_broker_start(struct verify_broker **out, const char *bin, const char *data,
                             char **problem);

// verify_broker_stop ends it and waits for that.
void verify_broker_stop(struct verify_broker **self_p);

// verify_broker_url is where it answers; borrowed.
const char *verify_broker_url(const struct verify_broker *self);

#endif
