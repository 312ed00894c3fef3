// sim_disk_state - the inside of sim_disk: sim_disk.c is the calls, sim_disk_state.c the
// files and what a crash leaves of them.
#ifndef FAULTLINE_SIM_DISK_STATE_H
#define FAULTLINE_SIM_DISK_STATE_H

#include "tests/sim/sim_disk.h"

enum {
    SIM_NODES_MAX = 96,
    SIM_NAMES_MAX = 256,
    SIM_FILES_MAX = 64, // open at the same time
    SIM_PATH_MAX = 64,
    SIM_NODE_NONE = -1,
};

// A write or a truncation that is not synced.
struct sim_change {
    bool is_cut; // else a write of data
    uint64_t at; // or the size
    struct buf data;
};

struct sim_node {
    bool is_used;
    bool is_folder;
    struct buf live, durable;
    struct sim_change *changes; // owned; since the last sync, in order
    size_t changes_count, changes_capacity;
};

struct sim_name {
    char path[SIM_PATH_MAX];
    int live, durable; // of nodes; SIM_NODE_NONE: no such file
};

// A name that came, went or moved since its folder was synced: unless they are -1, gone
// is a name without a node now, come one with this node.
struct sim_naming {
    int gone, come; // of names
    int node;
};

struct sim_files {
    struct sim_node nodes[SIM_NODES_MAX];
    size_t nodes_count;
    struct sim_name names[SIM_NAMES_MAX];
    size_t names_count;
    struct sim_naming namings[SIM_NAMES_MAX];
    size_t namings_count;
};

// sim_files_find gives the name of path or -1; sim_files_name makes one when there is none.
int sim_files_find(const struct sim_files *self, const char *path);
int sim_files_name(struct sim_files *self, const char *path);

// sim_files_is_in: the name lies directly in the folder.
bool sim_files_is_in(const struct sim_files *self, int name, const char *folder);

// sim_files_node gives a new, empty node. Who calls it has marked what is in use.
int sim_files_node(struct sim_files *self);

void sim_node_write(struct sim_node *self, const void *data, size_t size, uint64_t at);
void sim_node_cut(struct sim_node *self, uint64_t size);
void sim_node_sync(struct sim_node *self);

// sim_node_fail_sync: the kernel could not write them, and forgets some of what was dirty.
void sim_node_fail_sync(struct sim *sim, struct sim_node *self);

// sim_files_rename notes it among the live names. come, gone: -1 for none.
void sim_files_rename(struct sim_files *self, int gone, int come, int node);
void sim_files_sync_folder(struct sim_files *self, const char *folder);

// sim_files_lose_power leaves what a power loss leaves.
void sim_files_lose_power(struct sim *sim, struct sim_files *self);

void sim_files_copy(struct sim_files *to, const struct sim_files *from);
void sim_files_release(struct sim_files *self);

#endif
