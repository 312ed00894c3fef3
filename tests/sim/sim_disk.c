#include "tests/sim/sim_disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/sim_disk_state.h"

struct sim_disk {
    struct sim *sim; // borrowed
    struct sim_disk_watch watch;
    struct disk table;
    struct sim_disk_faults faults;
    uint64_t capacity;
    struct sim_files files;     // what the process sees and changes
    struct sim_files survivors; // has_crashed: what the next one will find
    bool has_crashed;
    bool is_observed;
    int open[SIM_FILES_MAX]; // file descriptors: nodes; SIM_NODE_NONE: closed
    int locked;              // the node that is locked
};

enum {
    SYNC_MIN_US = 80,
    SYNC_MAX_US = 400,
    SLOW_SYNC_MAX_US = 1500000,
};

static struct sim_node *node_of(struct sim_disk *self, int fd)
{
    assert(fd >= 0 && fd < SIM_FILES_MAX && self->open[fd] != SIM_NODE_NONE);
    return &self->files.nodes[self->open[fd]];
}

static uint64_t used_bytes(const struct sim_disk *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->files.names_count; i++) {
        const int node = self->files.names[i].live;
        bytes += node == SIM_NODE_NONE ? 0 : self->files.nodes[node].live.size;
    }
    return bytes;
}

// --- what goes wrong

// true: something else happens instead, and errno says what. A ghost has no faults: nobody
// would see them.
static bool goes_wrong(struct sim_disk *self, uint32_t per_mille, int error,
                       enum sim_happening event)
{
    if (per_mille == 0 || self->has_crashed || self->is_observed ||
        !sim_chance(self->sim, per_mille)) {
        return false;
    }
    sim_count(self->sim, event);
    sim_trace(self->sim, "disk: %s", strerror(error));
    errno = error;
    return true;
}

static bool call_fails(struct sim_disk *self, bool can_be_interrupted)
{
    const struct sim_disk_faults *faults = &self->faults;
    self->watch.called(self->watch.context, false);
    return (can_be_interrupted &&
            goes_wrong(self, faults->interruptions, EINTR, SIM_INTERRUPTED_CALLS)) ||
           goes_wrong(self, faults->failed_calls, EIO, SIM_FAILED_CALLS);
}

static bool is_full(struct sim_disk *self, uint64_t more)
{
    if (self->capacity == SIM_DISK_NO_LIMIT || self->has_crashed ||
        used_bytes(self) + more <= self->capacity) {
        return false;
    }
    sim_count(self->sim, SIM_FULL_DISKS);
    errno = ENOSPC;
    return true;
}

// --- calls on files

static int disk_open(void *context, const char *path, int flags)
{
    struct sim_disk *self = context;
    struct sim_files *files = &self->files;
    if (call_fails(self, false)) {
        return -1;
    }
    int name = sim_files_find(files, path);
    int node = name < 0 ? SIM_NODE_NONE : files->names[name].live;
    if (node == SIM_NODE_NONE) {
        if ((flags & O_CREAT) == 0) {
            errno = ENOENT;
            return -1;
        }
        if (is_full(self, 1)) {
            return -1;
        }
        for (int i = 0; i < SIM_FILES_MAX; i++) {
            if (self->open[i] != SIM_NODE_NONE) {
                files->nodes[self->open[i]].is_used = true;
            }
        }
        node = sim_files_node(files);
        name = sim_files_name(files, path);
        sim_files_rename(files, -1, name, node);
        sim_trace(self->sim, "disk: makes %s", path);
    } else if ((flags & O_TRUNC) != 0) {
        sim_node_cut(&files->nodes[node], 0);
    }
    int fd = 0;
    while (self->open[fd] != SIM_NODE_NONE) {
        fd++;
        assert(fd < SIM_FILES_MAX);
    }
    self->open[fd] = node;
    return fd;
}

static int disk_close(void *context, int fd)
{
    struct sim_disk *self = context;
    (void)node_of(self, fd);
    if (self->locked == self->open[fd]) {
        self->locked = SIM_NODE_NONE;
    }
    self->open[fd] = SIM_NODE_NONE;
    return 0;
}

static int64_t disk_size(void *context, int fd)
{
    struct sim_disk *self = context;
    return call_fails(self, false) ? -1 : (int64_t)node_of(self, fd)->live.size;
}

static ssize_t disk_pread(void *context, int fd, void *data, size_t size, uint64_t at)
{
    struct sim_disk *self = context;
    if (call_fails(self, true)) {
        return -1;
    }
    const struct buf *live = &node_of(self, fd)->live;
    const size_t left = at < live->size ? live->size - (size_t)at : 0;
    size = size < left ? size : left;
    if (size > 1 && goes_wrong(self, self->faults.short_writes, 0, SIM_SHORT_WRITES)) {
        size = 1 + (size_t)sim_below(self->sim, size - 1);
    }
    if (size > 0) {
        memcpy(data, live->data + at, size);
    }
    return (ssize_t)size;
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t size, uint64_t at)
{
    struct sim_disk *self = context;
    if (call_fails(self, true)) {
        return -1;
    }
    struct sim_node *node = node_of(self, fd);
    const uint64_t more = at + size > node->live.size ? at + size - node->live.size : 0;
    if (is_full(self, more)) {
        // As much as there is room for.
        const uint64_t used = used_bytes(self);
        const uint64_t room = used < self->capacity ? self->capacity - used : 0;
        size = size - (size_t)more + (size_t)(room < more ? room : 0);
        if (size == 0) {
            return -1;
        }
    } else if (size > 1 && goes_wrong(self, self->faults.short_writes, 0, SIM_SHORT_WRITES)) {
        size = 1 + (size_t)sim_below(self->sim, size - 1);
    }
    sim_node_write(node, data, size, at);
    sim_note(self->sim, at + size);
    return (ssize_t)size;
}

static int disk_ftruncate(void *context, int fd, uint64_t size)
{
    struct sim_disk *self = context;
    if (call_fails(self, true)) {
        return -1;
    }
    const struct buf *live = &node_of(self, fd)->live;
    size_t end = live->size;
    while (end > size && live->data[end - 1] == 0) {
        end--;
    }
    if (end > size) {
        sim_count(self->sim, SIM_CUT_TAILS);
    }
    if (live->size != size) {
        sim_node_cut(node_of(self, fd), size);
    }
    return 0;
}

static const char *path_of(const struct sim_disk *self, int fd)
{
    for (size_t i = 0; i < self->files.names_count; i++) {
        if (self->files.names[i].live == self->open[fd]) {
            return self->files.names[i].path;
        }
    }
    return "(no name)";
}

static int disk_sync(void *context, int fd)
{
    struct sim_disk *self = context;
    const struct sim_disk_faults *faults = &self->faults;
    struct sim_node *node = node_of(self, fd);
    self->watch.called(self->watch.context, true);
    const bool is_slow = goes_wrong(self, faults->slow_syncs, 0, SIM_SLOW_SYNCS);
    const int64_t most_us = is_slow ? SLOW_SYNC_MAX_US : SYNC_MAX_US;
    self->watch.spent(self->watch.context, sim_between(self->sim, SYNC_MIN_US, most_us));
    if (goes_wrong(self, faults->failed_syncs, EIO, SIM_FAILED_SYNCS)) {
        sim_node_fail_sync(self->sim, node);
        return -1;
    }
    const char *path = path_of(self, fd);
    if (node->is_folder) {
        sim_files_sync_folder(&self->files, path);
    } else {
        sim_node_sync(node);
    }
    if (!self->has_crashed) {
        self->watch.synced(self->watch.context, path);
    }
    return 0;
}

static int disk_lock(void *context, int fd)
{
    struct sim_disk *self = context;
    if (call_fails(self, false)) {
        return -1;
    }
    assert(self->locked == SIM_NODE_NONE); // there is one process, and it dies before the next
    self->locked = self->open[fd];
    return 0;
}

// --- calls on names

static int disk_rename(void *context, const char *from, const char *to)
{
    struct sim_disk *self = context;
    struct sim_files *files = &self->files;
    const int gone = sim_files_find(files, from);
    if (call_fails(self, false)) {
        return -1;
    }
    if (gone < 0 || files->names[gone].live == SIM_NODE_NONE) {
        errno = ENOENT;
        return -1;
    }
    sim_files_rename(files, gone, sim_files_name(files, to), files->names[gone].live);
    if (!self->has_crashed) {
        self->watch.replaced(self->watch.context, to);
    }
    return 0;
}

static int disk_unlink(void *context, const char *path)
{
    struct sim_disk *self = context;
    const int name = sim_files_find(&self->files, path);
    if (call_fails(self, false)) {
        return -1;
    }
    if (name < 0 || self->files.names[name].live == SIM_NODE_NONE) {
        errno = ENOENT;
        return -1;
    }
    sim_trace(self->sim, "disk: removes %s", path);
    sim_files_rename(&self->files, name, -1, SIM_NODE_NONE);
    return 0;
}

// The contract of the table is that it is durable.
static int disk_mkdir(void *context, const char *path)
{
    struct sim_disk *self = context;
    if (call_fails(self, false)) {
        return -1;
    }
    const int name = sim_files_name(&self->files, path);
    if (self->files.names[name].live == SIM_NODE_NONE) {
        const int node = sim_files_node(&self->files);
        self->files.nodes[node].is_folder = true;
        self->files.names[name].live = node;
        self->files.names[name].durable = node;
    }
    return 0;
}

static int disk_list(void *context, const char *path, struct buf *names)
{
    struct sim_disk *self = context;
    struct sim_files *files = &self->files;
    if (call_fails(self, false)) {
        return -1;
    }
    // From any of them on: the order is not to be relied on.
    const size_t start = (size_t)sim_below(self->sim, files->names_count);
    for (size_t i = 0; i < files->names_count; i++) {
        const int name = (int)((start + i) % files->names_count);
        if (files->names[name].live != SIM_NODE_NONE && sim_files_is_in(files, name, path)) {
            const char *last = strrchr(files->names[name].path, '/') + 1;
            buf_put(names, last, strlen(last) + 1);
        }
    }
    return 0;
}

static uint32_t disk_random(void *context)
{
    struct sim_disk *self = context;
    return (uint32_t)sim_random(self->sim);
}

static void disk_die(void *context, const char *sentence)
{
    struct sim_disk *self = context;
    self->watch.died(self->watch.context, sentence);
}

// --- the disk

static void forget_process(struct sim_disk *self)
{
    self->locked = SIM_NODE_NONE;
    for (int i = 0; i < SIM_FILES_MAX; i++) {
        self->open[i] = SIM_NODE_NONE;
    }
}

struct sim_disk *sim_disk_new(struct sim *sim, const struct sim_disk_watch *watch)
{
    struct sim_disk *self = mem_calloc(1, sizeof *self);
    self->sim = sim;
    self->watch = *watch;
    self->capacity = SIM_DISK_NO_LIMIT;
    self->table = (struct disk){
        .context = self,
        .open = disk_open,
        .close = disk_close,
        .size = disk_size,
        .pread = disk_pread,
        .pwrite = disk_pwrite,
        .ftruncate = disk_ftruncate,
        .fdatasync = disk_sync,
        .fsync = disk_sync,
        .lock = disk_lock,
        .rename = disk_rename,
        .unlink = disk_unlink,
        .mkdir = disk_mkdir,
        .list = disk_list,
        .random = disk_random,
        .die = disk_die,
    };
    forget_process(self);
    const int folder = sim_files_name(&self->files, "/data");
    const int node = sim_files_node(&self->files);
    self->files.nodes[node].is_folder = true;
    self->files.names[folder].live = self->files.names[folder].durable = node;
    return self;
}

void sim_disk_destroy(struct sim_disk **self_p)
{
    struct sim_disk *self = *self_p;
    if (self != NULL) {
        sim_files_release(&self->files);
        sim_files_release(&self->survivors);
        free(self);
        *self_p = NULL;
    }
}

const struct disk *sim_disk_table(const struct sim_disk *self)
{
    return &self->table;
}

void sim_disk_set_faults(struct sim_disk *self, const struct sim_disk_faults *faults)
{
    self->faults = *faults;
}

void sim_disk_observe(struct sim_disk *self, bool is_observed)
{
    self->is_observed = is_observed;
}

void sim_disk_limit(struct sim_disk *self, uint64_t room)
{
    self->capacity = room == SIM_DISK_NO_LIMIT ? SIM_DISK_NO_LIMIT : used_bytes(self) + room;
}

void sim_disk_crash(struct sim_disk *self, bool loses_power)
{
    if (self->has_crashed) {
        return; // one dies only once
    }
    sim_files_copy(&self->survivors, &self->files);
    self->has_crashed = true;
    if (loses_power) {
        sim_files_lose_power(self->sim, &self->survivors);
    }
}

void sim_disk_restart(struct sim_disk *self)
{
    assert(self->has_crashed);
    sim_files_release(&self->files);
    self->files = self->survivors;
    self->survivors.nodes_count = self->survivors.names_count = self->survivors.namings_count = 0;
    memset(self->survivors.nodes, 0, sizeof self->survivors.nodes);
    self->has_crashed = false;
    forget_process(self);
}

bool sim_disk_durable(const struct sim_disk *self, const char *path, struct bytes *out)
{
    const struct sim_files *files = self->has_crashed ? &self->survivors : &self->files;
    const int name = sim_files_find(files, path);
    if (name < 0 || files->names[name].durable == SIM_NODE_NONE) {
        return false;
    }
    *out = buf_view(&files->nodes[files->names[name].durable].durable);
    return true;
}

const char *sim_disk_name(const struct sim_disk *self, size_t number)
{
    const struct sim_files *files = self->has_crashed ? &self->survivors : &self->files;
    return number < files->names_count ? files->names[number].path : NULL;
}
