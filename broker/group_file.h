// group_file - the file `groups` in the broker's data folder: what the broker keeps beside
// its log, written whole and atomically. What it says is broker_save.c's business;
// docs/storage-format.md has the bytes. Not thread-safe: the broker's loop owns it.
#ifndef FAULTLINE_GROUP_FILE_H
#define FAULTLINE_GROUP_FILE_H

#include "broker/disk.h"
#include "common/bytes.h"
#include "common/err.h"

enum {
    GROUP_FILE_PROBLEM_SIZE = 512,
};

#define GROUP_FILE_NAME "groups"

// group_file_load reads directory/groups, and syncs the folder: what it gives survives
// a power cut, whatever the process before had still to do. take is handed what the file
// says; its reader fails when no broker writes that. A missing file is ERR_OK without take.
// ERR_CORRUPT: the file is damaged, or of another version of the format; ERR_IO: it cannot
// be read, or the folder not be synced. Then problem is a sentence: which file, what is
// wrong with it, what to do; and take may have been called.
enum err group_file_load(const struct disk *disk, const char *directory,
                         void (*take)(void *context, struct reader *in), void *context,
                         char problem[GROUP_FILE_PROBLEM_SIZE]);

// group_file_save replaces the file: it writes directory/groups.tmp, syncs it, renames
// it, syncs the folder. ERR_FULL: no space; ERR_IO: the system said no. Then problem is a
// sentence, and the old file is still there. A folder that cannot be synced ends the
// process: the old file or the new one, nobody knows which will be there after a crash.
enum err group_file_save(const struct disk *disk, const char *directory, struct bytes content,
                         char problem[GROUP_FILE_PROBLEM_SIZE]);

#endif
