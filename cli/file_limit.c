// prlimit is Linux's own.
#define _GNU_SOURCE 1

#include "cli/file_limit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

// Its soft limit becomes bytes, or the hard one when that is smaller.
static enum err set_soft(struct process_id id, rlim_t bytes)
{
    struct rlimit limit;
    if (process_state(id) == PROCESS_DEAD) {
        return ERR_NOT_FOUND;
    }
    if (prlimit(id.pid, RLIMIT_FSIZE, NULL, &limit) == 0) {
        limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
        if (prlimit(id.pid, RLIMIT_FSIZE, &limit, NULL) == 0) {
            return ERR_OK;
        }
    }
    return errno == ESRCH ? ERR_NOT_FOUND : ERR_IO;
}

enum err file_limit_set(struct process_id id, uint64_t bytes)
{
    return set_soft(id, (rlim_t)bytes);
}

enum err file_limit_lift(struct process_id id)
{
    return set_soft(id, RLIM_INFINITY);
}

uint64_t file_limit_largest(struct process_id id)
{
    char path[64];
    uint64_t largest = 0;
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)id.pid);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        struct stat file;
        char *end = NULL;
        const long fd = strtol(entry->d_name, &end, 10);
        if (*end == '\0' && fd > STDERR_FILENO &&
            fstatat(dirfd(folder), entry->d_name, &file, 0) == 0 && S_ISREG(file.st_mode) &&
            (uint64_t)file.st_size > largest) {
            largest = (uint64_t)file.st_size;
        }
    }
    closedir(folder);
    return largest;
}
