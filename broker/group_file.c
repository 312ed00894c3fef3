#include "broker/group_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/group_file_text.h"
#include "common/mem.h"

#define TEMP_SUFFIX ".tmp"

enum {
    READ_BYTES = 64 * 1024
};

void group_file_state_release(struct group_file_state *state)
{
    for (size_t i = 0; i < state->totals_count; i++) {
        free(state->totals[i].topic);
    }
    free(state->totals);
    for (size_t i = 0; i < state->groups_count; i++) {
        struct group_file_group *group = &state->groups[i];
        group_destroy(&group->group);
        for (size_t j = 0; j < group->topics_count; j++) {
            free(group->topics[j]);
        }
        free(group->topics);
        free(group->dead_letters);
    }
    free(state->groups);
    *state = (struct group_file_state){0};
}

// "cannot write /data/groups: No space left on device", from errno.
static enum err system_problem(const char *doing, const char *path,
                               char problem[GROUP_FILE_PROBLEM_SIZE])
{
    const int error = errno;
    snprintf(
        problem, GROUP_FILE_PROBLEM_SIZE, "cannot %s %.300s: %s", doing, path, strerror(error));
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? ERR_FULL : ERR_IO;
}

static bool file_read(int fd, struct buf *out)
{
    for (;;) {
        const ssize_t size = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES);
        if (size == 0) {
            return true;
        }
        if (size > 0) {
            out->size += (size_t)size;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

enum err group_file_load(const char *directory, int64_t now_ms, struct group_file_state *state,
                         char problem[GROUP_FILE_PROBLEM_SIZE])
{
    *state = (struct group_file_state){0};
    problem[0] = '\0';
    char *path = mem_format("%s/" GROUP_FILE_NAME, directory);
    struct buf text = {0};
    struct group_file_flaw flaw = {0};

    enum err err = ERR_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err = errno == ENOENT ? ERR_OK : system_problem("read", path, problem);
        goto out;
    }
    if (!file_read(fd, &text)) {
        system_problem("read", path, problem);
        err = ERR_IO;
        goto out;
    }
    err = group_file_text_scan(buf_view(&text), now_ms, state, &flaw);
    if (err != ERR_OK) {
        snprintf(problem,
                 GROUP_FILE_PROBLEM_SIZE,
                 "%.250s is damaged in line %" PRIu32 ": %s. Put back a copy of it, or move it "
                 "away: then every group starts at the earliest event again, and services drop "
                 "what they have handled before.",
                 path,
                 flaw.line,
                 flaw.reason);
    }

out:
    if (fd >= 0) {
        close(fd);
    }
    buf_release(&text);
    free(path);
    return err;
}

static bool file_write(int fd, struct bytes text)
{
    while (text.size > 0) {
        const ssize_t size = write(fd, text.data, text.size);
        if (size >= 0) {
            text.data += size;
            text.size -= (size_t)size;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

// Writes and syncs a new file at path; on an error none is left there.
static enum err file_create(const char *path, struct bytes text,
                            char problem[GROUP_FILE_PROBLEM_SIZE])
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) {
        return system_problem("create", path, problem);
    }
    enum err err = ERR_OK;
    if (!file_write(fd, text)) {
        err = system_problem("write", path, problem);
    } else if (fdatasync(fd) != 0) {
        err = system_problem("sync", path, problem);
    }
    if (close(fd) != 0 && err == ERR_OK) {
        err = system_problem("close", path, problem);
    }
    if (err != ERR_OK) {
        unlink(path);
    }
    return err;
}

static enum err directory_sync(const char *directory, char problem[GROUP_FILE_PROBLEM_SIZE])
{
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return system_problem("open", directory, problem);
    }
    enum err err = ERR_OK;
    if (fsync(fd) != 0) {
        err = system_problem("sync", directory, problem);
    }
    close(fd);
    return err;
}

enum err group_file_save(const char *directory, int64_t now_ms,
                         const struct group_file_state *state,
                         char problem[GROUP_FILE_PROBLEM_SIZE])
{
    problem[0] = '\0';
    char *path = mem_format("%s/" GROUP_FILE_NAME, directory);
    char *temp_path = mem_format("%s" TEMP_SUFFIX, path);
    struct buf text = {0};
    group_file_text_put(&text, state, now_ms);

    enum err err = file_create(temp_path, buf_view(&text), problem);
    if (err != ERR_OK) {
        goto out;
    }
    if (rename(temp_path, path) != 0) {
        err = system_problem("replace", path, problem);
        unlink(temp_path);
        goto out;
    }
    // Without this a power cut may bring the old file back after a group was
    // confirmed to its first member.
    err = directory_sync(directory, problem);
    if (err != ERR_OK) {
        goto out;
    }
    for (size_t i = 0; i < state->groups_count; i++) {
        group_saved(state->groups[i].group);
    }

out:
    buf_release(&text);
    free(temp_path);
    free(path);
    return err;
}
