#include "tests/support/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/witness_state.h"

void witness_die(const char *what)
{
    fprintf(stderr, "witness: %s (%s)\n", what, strerror(errno));
    abort();
}

// --- events

uint64_t witness_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

uint64_t witness_number(uint32_t producer, uint32_t count)
{
    return (uint64_t)producer << 32 | count;
}

void witness_event_make(uint64_t number, struct witness_event *out)
{
    uint64_t chance = witness_mix(number);
    const uint64_t key = chance % (WITNESS_KEYS + WITNESS_KEYS / 8);
    out->topic = (int)(chance >> 32) & 1 ? 0 : 1 + (int)(chance >> 33 & 1);
    out->key = key < WITNESS_KEYS ? (int)key : WITNESS_KEYS;
    out->body_size = (size_t)(chance >> 40) % (WITNESS_BODY_MAX + 1);
    snprintf(out->topic_text, sizeof out->topic_text, "topic-%d", out->topic);
    out->key_text[0] = '\0';
    if (out->key < WITNESS_KEYS) {
        snprintf(out->key_text, sizeof out->key_text, "key-%d", out->key);
    }
    snprintf(out->id, sizeof out->id, "e-%lu", (unsigned long)number);
    for (size_t i = 0; i < out->body_size; i++) {
        chance = i % 8 == 0 ? witness_mix(chance) : chance >> 8;
        out->body[i] = (uint8_t)chance;
    }
}

bool witness_event_is(struct bytes topic, struct bytes key, struct bytes id, struct bytes body,
                      uint64_t *number)
{
    char text[32] = "";
    struct witness_event event;
    if (id.size < 3 || id.size >= sizeof text) {
        return false;
    }
    memcpy(text, id.data, id.size);
    *number = strtoull(text + 2, NULL, 10);
    witness_event_make(*number, &event);
    return bytes_equal_text(id, event.id) && bytes_equal_text(topic, event.topic_text) &&
           bytes_equal_text(key, event.key_text) && body.size == event.body_size &&
           (body.size == 0 || memcmp(body.data, event.body, body.size) == 0);
}

// --- the processes

struct witness_signals *witness_signals_new(const char *folder)
{
    char *path = mem_format("%s/signals", folder);
    const size_t size = sizeof(struct witness_signals);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
        witness_die(path);
    }
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        witness_die("mmap");
    }
    close(fd);
    free(path);
    return memory;
}

struct witness *witness_new(const struct witness_role *role)
{
    struct witness *self = mem_calloc(1, sizeof *self);
    self->role = *role;
    self->path = mem_format("%s/%s.notes", role->folder, role->name);
    self->fd = open(self->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (self->fd < 0) {
        witness_die(self->path);
    }
    return self;
}

void witness_destroy(struct witness **self_p)
{
    struct witness *self = *self_p;
    if (self == NULL) {
        return;
    }
    witness_kill(self);
    close(self->fd);
    free(self->path);
    free(self);
    *self_p = NULL;
}

void witness_start(struct witness *self)
{
    self->starts++;
    fflush(NULL);
    self->pid = fork();
    if (self->pid < 0) {
        witness_die("fork");
    }
    if (self->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that dies takes it along
        witness_run(self);
    }
}

void witness_kill(struct witness *self)
{
    if (self->pid > 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, NULL, 0);
        self->pid = 0;
        const struct note killed = {.at_us = clock_mono_us(), .kind = NOTE_KILLED};
        if (write(self->fd, &killed, sizeof killed) != (ssize_t)sizeof killed) {
            witness_die("cannot write notes");
        }
    }
}

bool witness_has_left(struct witness *self)
{
    int status = 0;
    if (self->pid == 0 || waitpid(self->pid, &status, WNOHANG) != self->pid) {
        return self->pid == 0;
    }
    self->pid = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        witness_die(self->role.name);
    }
    return true;
}

struct note *witness_notes(const struct witness *self, size_t *count)
{
    struct stat stat;
    if (fstat(self->fd, &stat) != 0 || stat.st_size % (off_t)sizeof(struct note) != 0) {
        witness_die("a note is cut short");
    }
    const size_t size = (size_t)stat.st_size;
    struct note *notes = mem_alloc(size + 1);
    size_t got = 0;
    while (got < size) {
        const ssize_t part = pread(self->fd, (uint8_t *)notes + got, size - got, (off_t)got);
        if (part <= 0) {
            witness_die("cannot read notes");
        }
        got += (size_t)part;
    }
    *count = size / sizeof *notes;
    return notes;
}

const struct witness_role *witness_role(const struct witness *self)
{
    return &self->role;
}
