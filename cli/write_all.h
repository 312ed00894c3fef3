// write_all - a write that is whole, or says why it is not.
#ifndef FAULTLINE_CLI_WRITE_ALL_H
#define FAULTLINE_CLI_WRITE_ALL_H

#include "common/bytes.h"
#include "common/err.h"

// write_all writes bytes in as few writes as the file takes, one as a rule. A disk that gets
// full takes a piece of one and sets no errno; only the next write tells. ERR_IO: errno
// tells why, and a piece may have been written.
enum err write_all(int fd, struct bytes bytes);

#endif
