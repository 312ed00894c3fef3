// rebuild_living - the database that a service has: copied as it is at one instant, and
// replaced by the rebuilt one.
//
//   --dry-run      living --copy--> copy; nothing of it is changed
//   replacement    lock living; copy; ...; the copy gets the kept name; the rebuilt pages
//                  are written into living, in one transaction of SQLite's
//
// Under the lock nobody else has the file open. As it stays the same file, with SQLite's
// own journal, whatever dies leaves the old database or the new one, and whoever waited
// for the lock finds the new one.
//
// A file that SQLite cannot open has no lock and no transactions. It gets the kept name as
// a second one, with its journals; then these go (they would be played into whatever
// has the name), and the rebuilt file is renamed over it.
#ifndef FAULTLINE_CLI_REBUILD_LIVING_H
#define FAULTLINE_CLI_REBUILD_LIVING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct rebuild_living; // opaque; one thread's

// rebuild_living_open opens the database at path, which need not be there. With locks, for
// a replacement, nobody else can have it open until rebuild_living_destroy. While it is
// locked this process must not open and close the file by other means: POSIX would drop
// the lock. On ERR_OK, also when the file is damaged, the caller owns *out. ERR_TIMEOUT:
// somebody has it open; ERR_IO: it cannot be opened. *problem, which the caller frees, is
// then a sentence.
enum err rebuild_living_open(struct rebuild_living **out, const char *path, bool locks,
                             char **problem);
void rebuild_living_destroy(struct rebuild_living **self_p);

// rebuild_living_copy copies it to a new file. ERR_NOT_FOUND: there is no database;
// ERR_CORRUPT: it is damaged; ERR_CONFLICT: it has the schema of another version; ERR_IO:
// no copy could be made, and the database is not to blame. *problem is then a sentence.
enum err rebuild_living_copy(struct rebuild_living *self, const char *copy, char **problem);

// rebuild_living_replace puts what is in the database rebuilt in its place. It must be
// locked and copied, whatever came of the copy, which may be taken for the kept file.
// It is done as a whole or not at all. What was there is kept as *kept, a path that the
// caller frees; NULL when nothing was, or nothing is. ERR_IO: *problem is a sentence.
enum err rebuild_living_replace(struct rebuild_living *self, const char *copy, const char *rebuilt,
                                char **kept, char **problem);

// rebuild_living_count_sync counts the orders that were placed over the synchronous chain
// in the order service's database at path, without changing it; -1: it cannot be read.
int64_t rebuild_living_count_sync(const char *path);

#endif
