#include "cli/log_merge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/log_view.h"
#include "cli/spawn.h"
#include "common/mem.h"

enum {
    READ_BYTES = 65536
};

struct source {
    char *name;           // owned
    int fd;               // -1 when it has ended
    pid_t pid;            // of the command, 0 for a file
    struct buf text;      // read and not given yet, from position on
    size_t position;      // the first byte of the next line in text
    size_t line_size;     // of the next line; only when has_line
    bool has_line;        // a whole line is at position
    char ts[LOG_TS_SIZE]; // its time, or that of the one before it
};

struct log_merge {
    bool follow;
    struct source *sources; // owned
    size_t sources_count;
    struct source *given; // borrowed: whose line was given last; NULL: none's
};

struct log_merge *log_merge_new(bool follow)
{
    struct log_merge *self = mem_calloc(1, sizeof *self);
    *self = (struct log_merge){
        .follow = follow,
        .sources = mem_calloc(LOG_MERGE_SOURCES_MAX, sizeof *self->sources),
    };
    return self;
}

void log_merge_destroy(struct log_merge **self_p)
{
    struct log_merge *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->sources_count; i++) {
        struct source *source = &self->sources[i];
        if (source->fd >= 0) {
            close(source->fd);
        }
        if (source->pid > 0) {
            kill(source->pid, SIGTERM);
            waitpid(source->pid, NULL, 0);
        }
        buf_release(&source->text);
        free(source->name);
    }
    free(self->sources);
    free(self);
    *self_p = NULL;
}

// Where the last lines_max lines of a file begin, found from its end.
static off_t last_lines_start(int fd, int64_t lines_max)
{
    char block[READ_BYTES];
    off_t at = lseek(fd, 0, SEEK_END);
    int64_t ends = 0;
    bool at_end = true; // the end of the last line is not the start of another
    while (at > 0) {
        const size_t size = at < READ_BYTES ? (size_t)at : READ_BYTES;
        at -= (off_t)size;
        if (pread(fd, block, size, at) != (ssize_t)size) {
            return 0;
        }
        for (size_t i = size; i > 0; i--) {
            const bool is_end = block[i - 1] == '\n' && !at_end;
            at_end = false;
            ends += is_end ? 1 : 0;
            if (is_end && ends == lines_max) {
                return at + (off_t)i;
            }
        }
    }
    return 0;
}

enum err log_merge_add_file(struct log_merge *self, const char *name, const char *path,
                            int64_t lines_max, int64_t start)
{
    if (self->sources_count == LOG_MERGE_SOURCES_MAX) {
        return ERR_FULL;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return ERR_NOT_FOUND;
    }
    off_t from = (off_t)start;
    if (lines_max == 0) {
        from = lseek(fd, 0, SEEK_END);
    } else if (lines_max > 0) {
        from = last_lines_start(fd, lines_max);
    }
    lseek(fd, from, SEEK_SET);
    self->sources[self->sources_count++] = (struct source){.name = mem_strdup(name), .fd = fd};
    return ERR_OK;
}

enum err log_merge_add_command(struct log_merge *self, const char *name, const char *const *argv)
{
    if (self->sources_count == LOG_MERGE_SOURCES_MAX) {
        return ERR_FULL;
    }
    pid_t pid = 0;
    int fd = -1;
    const enum err err = spawn_pipe(argv, &pid, &fd);
    if (err != ERR_OK) {
        return err;
    }
    if (self->follow) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    self->sources[self->sources_count++] =
        (struct source){.name = mem_strdup(name), .fd = fd, .pid = pid};
    return ERR_OK;
}

// Takes the next whole line out of what has been read.
static bool find_line(struct source *source, bool at_end)
{
    const uint8_t *start = source->text.data + source->position;
    const size_t left = source->text.size - source->position;
    const uint8_t *end = left == 0 ? NULL : memchr(start, '\n', left);
    if (end == NULL && !(at_end && left > 0) && left < LOG_MERGE_LINE_BYTES_MAX) {
        return false;
    }
    source->line_size = end == NULL ? left : (size_t)(end - start);
    source->has_line = true;
    char ts[LOG_TS_SIZE];
    log_view_ts((struct bytes){.data = start, .size = source->line_size}, ts);
    if (ts[0] != '\0') {
        memcpy(source->ts, ts, sizeof source->ts);
    }
    return true;
}

// Reads more. False: there is nothing now; at the end of a log nobody follows it is
// closed, and what it has left counts as its last line.
static bool read_more(struct source *source, bool follow)
{
    if (source->position > 0) {
        source->text.size -= source->position;
        memmove(source->text.data, source->text.data + source->position, source->text.size);
        source->position = 0;
    }
    ssize_t size = 0;
    do {
        size = read(source->fd, buf_reserve(&source->text, READ_BYTES), READ_BYTES);
    } while (size < 0 && errno == EINTR);
    if (size > 0) {
        source->text.size += (size_t)size;
        return true;
    }
    const bool comes_later = follow && (source->pid == 0 || (size < 0 && errno == EAGAIN));
    if (!comes_later) {
        close(source->fd);
        source->fd = -1;
    }
    return false;
}

static void fill(struct source *source, bool follow)
{
    if (source->has_line) {
        return;
    }
    while (!find_line(source, source->fd < 0)) {
        if (source->fd < 0 || (!read_more(source, follow) && source->fd >= 0)) {
            return;
        }
    }
}

bool log_merge_next(struct log_merge *self, struct log_line *out)
{
    if (self->given != NULL) {
        struct source *given = self->given;
        const size_t end = given->position + given->line_size;
        const bool has_end = end < given->text.size && given->text.data[end] == '\n';
        given->position = end + (has_end ? 1 : 0);
        given->has_line = false;
        self->given = NULL;
    }
    struct source *first = NULL;
    for (size_t i = 0; i < self->sources_count; i++) {
        struct source *source = &self->sources[i];
        fill(source, self->follow);
        if (source->has_line && (first == NULL || strcmp(source->ts, first->ts) < 0)) {
            first = source;
        }
    }
    if (first == NULL) {
        return false;
    }
    self->given = first;
    *out = (struct log_line){
        .name = first->name,
        .text = {.data = first->text.data + first->position, .size = first->line_size},
    };
    return true;
}
