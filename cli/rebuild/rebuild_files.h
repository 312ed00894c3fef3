// rebuild_files - the files of a rebuild: a folder to work in, a copy of the living
// database, and the exchange of the two databases.
//
//   FOLDER/rebuild-NAME-xxxxxx/   plan.db, living.db, NAME.db, log; gone at the end
//   FOLDER/data/NAME/NAME.db.before-20261128T200000Z   what was replaced
#ifndef FAULTLINE_CLI_REBUILD_FILES_H
#define FAULTLINE_CLI_REBUILD_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/stack.h"

struct rebuild_work {
    char *folder;   // owned
    char *plan;     // owned, as all below: paths
    char *copy;     // of the living database; made by rebuild_work_copy
    char *rebuilt;  // what the service's executable makes
    char *log;      // what it said
    char *living;   // the database of the stack
    bool is_there;  // living is a file
    bool is_copied; // and it could be read whole
};

// rebuild_work_open makes the folder for a service of a stack. ERR_IO: *problem, which the
// caller frees, is a sentence. Release it in any case: that removes the folder.
enum err rebuild_work_open(struct rebuild_work *out, const struct stack *stack, size_t service,
                           char **problem);
void rebuild_work_release(struct rebuild_work *self);

// rebuild_work_copy copies the living database as it is at one instant, while its service
// may go on, and sets is_there and is_copied. ERR_NOT_FOUND: there is none; ERR_CORRUPT:
// it cannot be read whole; *problem is then a sentence.
enum err rebuild_work_copy(struct rebuild_work *self, char **problem);

// rebuild_work_check_version tells whether the copy has the schema of the rebuilt database.
// ERR_CONFLICT: not; the copy counts no more (is_copied), *problem is a sentence.
enum err rebuild_work_check_version(struct rebuild_work *self, char **problem);

// rebuild_work_exchange puts the rebuilt database in the place of the living one, whose
// service must not run. It is done as a whole or not at all, whatever dies in between;
// what was there is kept as *kept, a path that the caller frees, NULL when nothing was.
// ERR_IO: *problem is a sentence.
enum err rebuild_work_exchange(struct rebuild_work *self, char **kept, char **problem);

// rebuild_count_sync counts the orders that were placed over the synchronous chain, as the
// order service knows them; -1: its database cannot be read.
int64_t rebuild_count_sync(const struct stack *stack);

#endif
