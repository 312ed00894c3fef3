// rebuild_files - the folder that a rebuild works in.
//
//   FOLDER/data/rebuild-NAME-xxxxxx/   plan.db, living.db, NAME.db; gone at the end
//   FOLDER/data/NAME/NAME.db.before-20261128T200000Z   what was replaced: rebuild_living
#ifndef FAULTLINE_CLI_REBUILD_FILES_H
#define FAULTLINE_CLI_REBUILD_FILES_H

#include "cli/stack.h"

struct rebuild_work {
    char *folder;  // owned
    char *plan;    // owned, as all below: paths
    char *copy;    // of the living database
    char *rebuilt; // what the service's executable makes
    char *living;  // the database of the stack
};

// rebuild_work_open makes the folder for a service of a stack. ERR_IO: *problem, which the
// caller frees, is a sentence. Release it in any case: that removes the folder.
enum err rebuild_work_open(struct rebuild_work *out, const struct stack *stack, size_t service,
                           char **problem);
void rebuild_work_release(struct rebuild_work *self);

// rebuild_database_path is where the stack has a service's database; the caller frees it.
char *rebuild_database_path(const struct stack *stack, size_t service);

#endif
