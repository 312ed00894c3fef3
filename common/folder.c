#include "common/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

// Makes one folder. Its name is in the one above, so that is what is synced.
static bool make(const char *path)
{
    if (mkdir(path, 0755) != 0) {
        return errno == EEXIST;
    }
    char *above = mem_format("%s/..", path);
    const int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(above);
    const bool is_synced = fd >= 0 && fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return is_synced;
}

bool folder_make(const char *path)
{
    char *part = mem_strdup(path);
    bool is_made = true;
    char *slash = strchr(part + strspn(part, "/"), '/');
    for (; is_made && slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        is_made = make(part);
        *slash = '/';
    }
    free(part);
    return is_made && make(path);
}
