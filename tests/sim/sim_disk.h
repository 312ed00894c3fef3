// sim_disk - a file system in memory behind struct disk. It keeps what a process sees
// apart from what the disk is sure to hold, and what lies between:
//
//   pwrite, ftruncate --> live (page cache) --fdatasync--> durable
//   open, rename, unlink --> live names --fsync of the folder--> durable names
//
// When the power fails, of what lies between anything survives: any subset of the
// writes, each torn at any byte, and of the names; what a lost write leaves as a hole is
// zeros or what lay there before. When only the process is killed the page cache stays.
//
// A process that is killed in the middle of a call cannot be left by a longjmp without
// leaking what it had. It runs on as a ghost: sim_disk_crash decides what survives, the
// dying process goes on with files of its own, and sim_disk_restart puts back what
// had survived.
#ifndef FAULTLINE_SIM_DISK_H
#define FAULTLINE_SIM_DISK_H

#include "broker/disk.h"
#include "tests/sim/sim.h"

struct sim_disk; // opaque

// Who wants to know what happens on the disk.
struct sim_disk_watch {
    void *context;
    void (*called)(void *context, bool is_sync);       // before each call of the table
    void (*spent)(void *context, int64_t us);          // the call took so long
    void (*synced)(void *context, const char *path);   // a file's content, or a folder's names
    void (*replaced)(void *context, const char *path); // path is another file now, unsynced
    void (*died)(void *context, const char *sentence); // does not return
};

// How many calls in a thousand go wrong.
struct sim_disk_faults {
    uint32_t short_writes, interruptions, failed_calls, failed_syncs, slow_syncs;
};

#define SIM_DISK_NO_LIMIT UINT64_MAX

// sim_disk_new makes an empty disk with the folder "/data".
struct sim_disk *sim_disk_new(struct sim *sim, const struct sim_disk_watch *watch);
void sim_disk_destroy(struct sim_disk **self_p);

// sim_disk_table is what the broker gets; it is the disk's and lives as long.
const struct disk *sim_disk_table(const struct sim_disk *self);

void sim_disk_set_faults(struct sim_disk *self, const struct sim_disk_faults *faults);

// sim_disk_observe: calls come from somebody who only looks, and nothing goes wrong.
void sim_disk_observe(struct sim_disk *self, bool is_observed);

// sim_disk_limit leaves room for so many bytes more than there are now.
void sim_disk_limit(struct sim_disk *self, uint64_t room);

// sim_disk_crash: the process dies here and now; loses_power: and so does the machine.
void sim_disk_crash(struct sim_disk *self, bool loses_power);

// sim_disk_restart: the dead process is gone; what had survived is there again.
void sim_disk_restart(struct sim_disk *self);

// sim_disk_durable gives what the disk holds of path whatever happens now, borrowed until
// the next call of the table. false: no such name is sure to be there.
bool sim_disk_durable(const struct sim_disk *self, const char *path, struct bytes *out);

// sim_disk_name gives the name of a file that there is or was, from 0 on; NULL: no more.
const char *sim_disk_name(const struct sim_disk *self, size_t number);

#endif
