// verify_record - what a load generator wrote down with --record: the answers that its
// clients got, one JSON object a line.
#ifndef FAULTLINE_CLI_VERIFY_RECORD_H
#define FAULTLINE_CLI_VERIFY_RECORD_H

#include <stddef.h>

#include "cli/verify/verify_db.h"

struct verify_record; // opaque

// verify_record_read reads files whole. A line that breaks off, beside others, is passed
// over: the load was killed while it wrote it. ERR_NOT_FOUND, ERR_IO, ERR_INVALID: *problem, which
// the caller frees, names the file and the line. The caller owns *out.
enum err verify_record_read(struct verify_record **out, const char *const *paths, size_t count,
                            char **problem);
void verify_record_destroy(struct verify_record **self_p);

// verify_record_store makes the table accepted of it. ERR_IO.
enum err verify_record_store(const struct verify_record *self, struct verify_db *db);

#endif
