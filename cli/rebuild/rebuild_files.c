#include "cli/rebuild/rebuild_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

char *rebuild_database_path(const struct stack *stack, size_t service)
{
    const struct stack_process process = {.service = service, .replica = 1};
    char *folder = stack_data_path(stack, &process);
    char *path = mem_format("%s/%s.db", folder, house_service(service));
    free(folder);
    return path;
}

enum err rebuild_work_open(struct rebuild_work *out, const struct stack *stack, size_t service,
                           char **problem)
{
    const char *name = house_service(service);
    *out = (struct rebuild_work){0};
    // Where the databases are, on whatever file system that is.
    char *folder = mem_format("%s/data/rebuild-%s-XXXXXX", stack->dir, name);
    if (mkdtemp(folder) == NULL) {
        *problem = mem_format("cannot make a folder in %s/data: %s", stack->dir, strerror(errno));
        free(folder);
        return ERR_IO;
    }
    *out = (struct rebuild_work){.folder = folder,
                                 .plan = mem_format("%s/plan.db", folder),
                                 .copy = mem_format("%s/living.db", folder),
                                 .rebuilt = mem_format("%s/%s.db", folder, name),
                                 .living = rebuild_database_path(stack, service)};
    return ERR_OK;
}

// A database with what SQLite lays beside it.
static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

static void remove_database(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char *file = mem_format("%s%s", path, suffixes[i]);
        unlink(file);
        free(file);
    }
}

void rebuild_work_release(struct rebuild_work *self)
{
    if (self->folder != NULL) {
        remove_database(self->plan);
        remove_database(self->copy);
        remove_database(self->rebuilt);
        rmdir(self->folder);
    }
    free(self->folder);
    free(self->plan);
    free(self->copy);
    free(self->rebuilt);
    free(self->living);
    *self = (struct rebuild_work){0};
}
