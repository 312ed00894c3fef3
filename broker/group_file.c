#include "broker/group_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/crash_point.h"
#include "common/mem.h"
#include "common/record.h"

enum {
    MAGIC = 0x72674c46, // "FLgr"
    VERSION = 3,
    READ_BYTES = 64 * 1024,
};

// Takes what lies between head and checksum. NULL, or what is wrong with it.
static const char *unpack(struct bytes bytes, void (*take)(void *context, struct reader *in),
                          void *context)
{
    struct reader in = {.rest = bytes};
    const uint32_t magic = reader_u32(&in);
    const uint32_t version = reader_u32(&in);
    if (magic == MAGIC && version != VERSION) {
        return "has another version of the format than this broker reads";
    }
    if (magic != MAGIC || in.rest.size < sizeof(uint32_t)) {
        return "is damaged: it does not begin as it should";
    }
    const size_t sealed = bytes.size - sizeof(uint32_t);
    if (record_crc32c(0, bytes.data, sealed) != load_u32(bytes.data + sealed)) {
        return "is damaged: its checksum is wrong";
    }
    in.rest.size -= sizeof(uint32_t);
    take(context, &in);
    return in.failed || in.rest.size > 0
               ? "is damaged: its checksum is right, but no broker writes what it says"
               : NULL;
}

// Reads the whole file. false: errno tells why.
static bool file_read(struct disk_file *file, struct buf *bytes)
{
    bool done = disk_file_open(file, O_RDONLY);
    for (ssize_t got = READ_BYTES; done && got == READ_BYTES;) {
        got = disk_file_read(file, buf_reserve(bytes, READ_BYTES), READ_BYTES, bytes->size);
        done = got >= 0;
        bytes->size += done ? (size_t)got : 0;
    }
    return done;
}

// Without this a power cut may bring the old file back after a group was confirmed to
// its first member.
static bool folder_sync(const struct disk *disk, const char *directory)
{
    struct disk_file folder = {.disk = disk, .path = mem_strdup(directory), .fd = -1};
    const bool done = disk_file_open(&folder, O_RDONLY | O_DIRECTORY) && disk_file_sync(&folder);
    disk_file_release(&folder);
    return done;
}

enum err group_file_load(const struct disk *disk, const char *directory,
                         void (*take)(void *context, struct reader *in), void *context,
                         char problem[GROUP_FILE_PROBLEM_SIZE])
{
    problem[0] = '\0';
    struct disk_file file = {
        .disk = disk, .path = mem_format("%s/" GROUP_FILE_NAME, directory), .fd = -1};
    struct buf bytes = {0};
    enum err err = ERR_OK;
    if (file_read(&file, &bytes)) {
        const char *fault = unpack(buf_view(&bytes), take, context);
        if (fault != NULL) {
            (void)snprintf(
                problem,
                GROUP_FILE_PROBLEM_SIZE,
                "%.250s %s. Put back a good one, or move it away: then every group starts at "
                "the earliest event again, and services drop what they have handled before.",
                file.path,
                fault);
            err = ERR_CORRUPT;
        } else if (!folder_sync(disk, directory)) {
            // The process before may have died just before it did that.
            (void)disk_file_problem(&file, "sync the folder of", problem, GROUP_FILE_PROBLEM_SIZE);
            err = ERR_IO;
        }
    } else if (errno != ENOENT) {
        (void)disk_file_problem(&file, "read", problem, GROUP_FILE_PROBLEM_SIZE);
        err = ERR_IO;
    }
    buf_release(&bytes);
    disk_file_release(&file);
    return err;
}

enum err group_file_save(const struct disk *disk, const char *directory, struct bytes content,
                         char problem[GROUP_FILE_PROBLEM_SIZE])
{
    problem[0] = '\0';
    crash_point("broker-before-save");
    char *path = mem_format("%s/" GROUP_FILE_NAME, directory);
    struct disk_file temp = {.disk = disk, .path = mem_format("%s.tmp", path), .fd = -1};
    struct disk_file folder = {.disk = disk, .path = mem_strdup(directory), .fd = -1};
    struct buf bytes = {0};
    buf_put_u32(&bytes, MAGIC);
    buf_put_u32(&bytes, VERSION);
    buf_put(&bytes, content.data, content.size);
    buf_put_u32(&bytes, record_crc32c(0, bytes.data, bytes.size));

    const char *doing = "write";
    enum err err = ERR_OK;
    bool done = disk_file_open(&folder, O_RDONLY | O_DIRECTORY) &&
                disk_file_open(&temp, O_WRONLY | O_CREAT | O_TRUNC) &&
                disk_file_write(&temp, bytes.data, bytes.size, 0) && disk_file_datasync(&temp);
    disk_file_close(&temp);
    if (done) {
        crash_point("broker-save-written");
        doing = "rename";
        done = disk->rename(disk->context, temp.path, path) == 0;
    }
    if (done) {
        // Without this a power cut may bring the old file back after a group was confirmed
        // to its first member. When it fails, a crash may bring back either: nobody can be
        // told any more that something is saved, nor that it is not.
        crash_point("broker-save-renamed");
        disk_file_must(&folder, disk_file_sync(&folder), "sync");
        crash_point("broker-after-save");
    } else {
        err = disk_file_problem(&temp, doing, problem, GROUP_FILE_PROBLEM_SIZE);
        (void)disk->unlink(disk->context, temp.path);
    }
    buf_release(&bytes);
    disk_file_release(&folder);
    disk_file_release(&temp);
    free(path);
    return err;
}
