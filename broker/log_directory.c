#include "broker/log_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

enum {
    NAME_DIGITS = 20, // of UINT64_MAX
    DIRECTORY_MODE = 0750,
    FILE_MODE = 0640,
};

static const char name_suffix[] = ".log";

static enum err problem_set(char problem[LOG_DIRECTORY_PROBLEM_SIZE], const char *what,
                            const char *path, int error)
{
    char text[128] = "unknown error";
    (void)strerror_r(error, text, sizeof text);
    const int size =
        snprintf(problem, LOG_DIRECTORY_PROBLEM_SIZE, "cannot %s %s: %s", what, path, text);
    (void)size; // a long path may be cut
    return ERR_IO;
}

// Makes the folder at path and, so that it is still there after a power cut,
// syncs the one it lies in.
static int directory_make(const char *path, const struct event_log_io *io)
{
    if (mkdir(path, DIRECTORY_MODE) != 0) {
        return errno == EEXIST ? 0 : errno;
    }
    char *parent = mem_format("%s/..", path);
    const int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    if (fd < 0) {
        return errno;
    }
    const int error = event_log_io_sync(io, fd);
    close(fd);
    return error;
}

static int directory_make_all(const char *path, const struct event_log_io *io)
{
    char *part = mem_strdup(path);
    int error = 0;
    for (char *slash = strchr(part + 1, '/'); slash != NULL && error == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        error = directory_make(part, io);
        *slash = '/';
    }
    if (error == 0) {
        error = directory_make(part, io);
    }
    free(part);
    return error;
}

enum err log_directory_open(struct log_directory *self, const char *path,
                            const struct event_log_io *io, char problem[LOG_DIRECTORY_PROBLEM_SIZE])
{
    *self = (struct log_directory){.path = mem_strdup(path), .fd = -1, .lock_fd = -1, .io = io};
    const int error = path[0] == '\0' ? ENOENT : directory_make_all(path, io);
    if (error != 0) {
        return problem_set(problem, "make the folder", path, error);
    }
    self->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->fd < 0) {
        return problem_set(problem, "open the folder", path, errno);
    }
    self->lock_fd = openat(self->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (self->lock_fd < 0) {
        return problem_set(problem, "make the lock file in", path, errno);
    }
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        return ERR_OK;
    }
    if (errno != EWOULDBLOCK) {
        return problem_set(problem, "lock the file lock in", path, errno);
    }
    const int size = snprintf(problem,
                              LOG_DIRECTORY_PROBLEM_SIZE,
                              "another process, most likely a broker, has %s open; stop it, or "
                              "give this one a folder of its own",
                              path);
    (void)size;
    return ERR_CONFLICT;
}

void log_directory_close(struct log_directory *self)
{
    if (self->lock_fd >= 0) {
        close(self->lock_fd); // and with it the lock
    }
    if (self->fd >= 0) {
        close(self->fd);
    }
    free(self->path);
    *self = (struct log_directory){.fd = -1, .lock_fd = -1};
}

int log_directory_sync(const struct log_directory *self)
{
    return event_log_io_sync(self->io, self->fd);
}

static bool name_parse(const char *name, uint64_t *base)
{
    if (strspn(name, "0123456789") != NAME_DIGITS || strcmp(name + NAME_DIGITS, name_suffix) != 0) {
        return false;
    }
    errno = 0;
    *base = strtoull(name, NULL, 10);
    return errno == 0;
}

static int base_compare(const void *a, const void *b)
{
    uint64_t left = 0;
    uint64_t right = 0;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

int log_directory_list(const struct log_directory *self, uint64_t **bases, size_t *count)
{
    *bases = NULL;
    *count = 0;
    const int fd = openat(self->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        const int error = errno;
        if (fd >= 0) {
            close(fd);
        }
        return error;
    }
    size_t capacity = 0;
    for (;;) {
        errno = 0; // the end of the list is NULL as well, but sets no errno
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            break;
        }
        uint64_t base = 0;
        if (!name_parse(entry->d_name, &base)) {
            continue;
        }
        if (*count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            *bases = mem_realloc(*bases, capacity * sizeof **bases);
        }
        (*bases)[(*count)++] = base;
    }
    const int error = errno;
    closedir(directory);
    if (*count > 0) {
        qsort(*bases, *count, sizeof **bases, base_compare);
    }
    return error;
}

void log_directory_name(char name[LOG_DIRECTORY_NAME_SIZE], uint64_t base)
{
    (void)snprintf(
        name, LOG_DIRECTORY_NAME_SIZE, "%0*" PRIu64 "%s", NAME_DIGITS, base, name_suffix);
}

int log_directory_open_file(const struct log_directory *self, uint64_t base, int flags)
{
    char name[LOG_DIRECTORY_NAME_SIZE];
    log_directory_name(name, base);
    return openat(self->fd, name, flags | O_CLOEXEC, FILE_MODE);
}

int log_directory_remove_file(const struct log_directory *self, uint64_t base)
{
    char name[LOG_DIRECTORY_NAME_SIZE];
    log_directory_name(name, base);
    return unlinkat(self->fd, name, 0) == 0 ? 0 : errno;
}
