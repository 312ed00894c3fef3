#include "tests/sim/sim_disk_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

// --- names

int sim_files_find(const struct sim_files *self, const char *path)
{
    for (size_t i = 0; i < self->names_count; i++) {
        if (strcmp(self->names[i].path, path) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int sim_files_name(struct sim_files *self, const char *path)
{
    const int found = sim_files_find(self, path);
    if (found >= 0) {
        return found;
    }
    assert(self->names_count < SIM_NAMES_MAX && strlen(path) < SIM_PATH_MAX);
    struct sim_name *name = &self->names[self->names_count];
    *name = (struct sim_name){.live = SIM_NODE_NONE, .durable = SIM_NODE_NONE};
    snprintf(name->path, sizeof name->path, "%s", path);
    return (int)self->names_count++;
}

bool sim_files_is_in(const struct sim_files *self, int name, const char *folder)
{
    const char *path = self->names[name].path;
    const size_t size = strlen(folder);
    return strncmp(path, folder, size) == 0 && path[size] == '/' &&
           strchr(path + size + 1, '/') == NULL;
}

void sim_files_rename(struct sim_files *self, int gone, int come, int node)
{
    assert(self->namings_count < SIM_NAMES_MAX);
    if (gone >= 0) {
        self->names[gone].live = SIM_NODE_NONE;
    }
    if (come >= 0) {
        self->names[come].live = node;
    }
    self->namings[self->namings_count++] =
        (struct sim_naming){.gone = gone, .come = come, .node = node};
}

static void naming_keep(struct sim_files *self, const struct sim_naming *naming)
{
    if (naming->gone >= 0) {
        self->names[naming->gone].durable = SIM_NODE_NONE;
    }
    if (naming->come >= 0) {
        self->names[naming->come].durable = naming->node;
    }
}

void sim_files_sync_folder(struct sim_files *self, const char *folder)
{
    size_t left = 0;
    for (size_t i = 0; i < self->namings_count; i++) {
        const struct sim_naming naming = self->namings[i];
        const int name = naming.gone >= 0 ? naming.gone : naming.come;
        if (sim_files_is_in(self, name, folder)) {
            naming_keep(self, &naming);
        } else {
            self->namings[left++] = naming;
        }
    }
    self->namings_count = left;
}

// --- nodes

static void node_release(struct sim_node *self)
{
    for (size_t i = 0; i < self->changes_count; i++) {
        buf_release(&self->changes[i].data);
    }
    free(self->changes);
    buf_release(&self->live);
    buf_release(&self->durable);
    *self = (struct sim_node){0};
}

static void mark(struct sim_files *self, int node)
{
    if (node != SIM_NODE_NONE) {
        self->nodes[node].is_used = true;
    }
}

int sim_files_node(struct sim_files *self)
{
    for (size_t i = 0; i < self->names_count; i++) {
        mark(self, self->names[i].live);
        mark(self, self->names[i].durable);
    }
    for (size_t i = 0; i < self->namings_count; i++) {
        mark(self, self->namings[i].node);
    }
    size_t free_at = 0;
    while (free_at < self->nodes_count && self->nodes[free_at].is_used) {
        free_at++;
    }
    for (size_t i = 0; i < self->nodes_count; i++) {
        self->nodes[i].is_used = false;
    }
    assert(free_at < SIM_NODES_MAX);
    if (free_at == self->nodes_count) {
        self->nodes_count++;
    }
    node_release(&self->nodes[free_at]);
    return (int)free_at;
}

// Makes content size bytes long; a hole holds zeros.
static void resize(struct buf *content, size_t size)
{
    if (size > content->size) {
        memset(buf_reserve(content, size - content->size), 0, size - content->size);
    }
    content->size = size;
}

static void put(struct buf *content, const uint8_t *data, size_t size, uint64_t at)
{
    if (size > 0) {
        if (content->size < at + size) {
            resize(content, (size_t)at + size);
        }
        memcpy(content->data + at, data, size);
    }
}

static struct sim_change *change_add(struct sim_node *self)
{
    if (self->changes_count == self->changes_capacity) {
        self->changes_capacity = 2 * self->changes_capacity + 4;
        self->changes = mem_realloc(self->changes, self->changes_capacity * sizeof *self->changes);
    }
    struct sim_change *change = &self->changes[self->changes_count++];
    *change = (struct sim_change){0};
    return change;
}

void sim_node_write(struct sim_node *self, const void *data, size_t size, uint64_t at)
{
    put(&self->live, data, size, at);
    struct sim_change *change = change_add(self);
    change->at = at;
    buf_put(&change->data, data, size);
}

void sim_node_cut(struct sim_node *self, uint64_t size)
{
    resize(&self->live, (size_t)size);
    struct sim_change *change = change_add(self);
    change->is_cut = true;
    change->at = size;
}

void sim_node_sync(struct sim_node *self)
{
    for (size_t i = 0; i < self->changes_count; i++) {
        struct sim_change *change = &self->changes[i];
        if (change->is_cut) {
            resize(&self->durable, (size_t)change->at);
        } else {
            put(&self->durable, change->data.data, change->data.size, change->at);
        }
        buf_release(&change->data);
    }
    self->changes_count = 0;
}

void sim_node_fail_sync(struct sim *sim, struct sim_node *self)
{
    size_t left = 0;
    for (size_t i = 0; i < self->changes_count; i++) {
        struct sim_change *change = &self->changes[i];
        if (!change->is_cut && sim_chance(sim, 500)) {
            sim_count(sim, SIM_LOST_PAGES);
            buf_release(&change->data);
        } else {
            self->changes[left++] = *change;
        }
    }
    self->changes_count = left;
}

// --- crashes

// What lies in the hole that a lost write leaves before one that survives.
static void dirty_hole(struct sim *sim, struct buf *content, uint64_t at)
{
    const size_t from = content->size;
    if (at > from) {
        resize(content, (size_t)at);
        if (sim_chance(sim, 250)) {
            sim_count(sim, SIM_STALE_BLOCKS);
            for (size_t i = from; i < at; i++) {
                content->data[i] = (uint8_t)sim_random(sim);
            }
        }
    }
}

// Cuts a write at two bytes; each of the three parts survives or not.
static void tear(struct sim *sim, struct buf *content, const struct sim_change *change,
                 uint64_t survives)
{
    const size_t size = change->data.size;
    size_t cuts[4] = {0, 0, size, size};
    if (sim_chance(sim, 500)) {
        cuts[1] = (size_t)sim_below(sim, size + 1);
        cuts[2] = cuts[1] + (size_t)sim_below(sim, size - cuts[1] + 1);
    }
    size_t kept = 0;
    for (int part = 0; part < 3; part++) {
        const size_t bytes = cuts[part + 1] - cuts[part];
        if (bytes > 0 && sim_chance(sim, survives)) {
            dirty_hole(sim, content, change->at + cuts[part]);
            put(content, change->data.data + cuts[part], bytes, change->at + cuts[part]);
            kept += bytes;
        }
    }
    sim_count(sim, kept == 0 ? SIM_LOST_WRITES : kept == size ? SIM_KEPT_WRITES : SIM_TORN_WRITES);
}

static void node_lose_power(struct sim *sim, struct sim_node *self, uint64_t survives)
{
    for (size_t i = 0; i < self->changes_count; i++) {
        struct sim_change *change = &self->changes[i];
        if (!change->is_cut) {
            tear(sim, &self->durable, change, survives);
        } else if (sim_chance(sim, survives)) {
            resize(&self->durable, (size_t)change->at);
        }
        buf_release(&change->data);
    }
    self->changes_count = 0;
    buf_clear(&self->live);
    buf_put(&self->live, self->durable.data, self->durable.size);
}

void sim_files_lose_power(struct sim *sim, struct sim_files *self)
{
    static const uint64_t chances[] = {0, 250, 500, 750, 1000};
    const uint64_t survives = chances[sim_below(sim, ARRAY_LEN(chances))];
    for (size_t i = 0; i < self->nodes_count; i++) {
        node_lose_power(sim, &self->nodes[i], survives);
    }
    for (size_t i = 0; i < self->namings_count; i++) {
        const bool is_kept = sim_chance(sim, survives);
        sim_count(sim, is_kept ? SIM_KEPT_NAMES : SIM_LOST_NAMES);
        if (is_kept) {
            naming_keep(self, &self->namings[i]);
        }
    }
    self->namings_count = 0;
    for (size_t i = 0; i < self->names_count; i++) {
        self->names[i].live = self->names[i].durable;
    }
}

static void node_copy(struct sim_node *to, const struct sim_node *from)
{
    *to = (struct sim_node){.is_folder = from->is_folder};
    buf_put(&to->live, from->live.data, from->live.size);
    buf_put(&to->durable, from->durable.data, from->durable.size);
    for (size_t i = 0; i < from->changes_count; i++) {
        const struct sim_change *change = &from->changes[i];
        struct sim_change *copy = change_add(to);
        copy->is_cut = change->is_cut;
        copy->at = change->at;
        buf_put(&copy->data, change->data.data, change->data.size);
    }
}

void sim_files_copy(struct sim_files *to, const struct sim_files *from)
{
    for (size_t i = 0; i < from->nodes_count; i++) {
        node_copy(&to->nodes[i], &from->nodes[i]);
    }
    to->nodes_count = from->nodes_count;
    to->names_count = from->names_count;
    to->namings_count = from->namings_count;
    memcpy(to->names, from->names, from->names_count * sizeof *from->names);
    memcpy(to->namings, from->namings, from->namings_count * sizeof *from->namings);
}

void sim_files_release(struct sim_files *self)
{
    for (size_t i = 0; i < self->nodes_count; i++) {
        node_release(&self->nodes[i]);
    }
    self->nodes_count = 0;
    self->names_count = 0;
    self->namings_count = 0;
}
