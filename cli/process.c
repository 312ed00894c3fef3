#include "cli/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    PROC_FILE_SIZE = 4096,
    POLL_NS = 2000000
};

// Reads a small file of /proc whole, as text. False: it is not there.
static bool read_proc_file(const char *path, char text[PROC_FILE_SIZE])
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    const size_t size = fread(text, 1, PROC_FILE_SIZE - 1, file);
    fclose(file);
    text[size] = '\0';
    return size > 0;
}

// Field numbers as in proc(5); the first one behind the command's name is 3.
enum {
    FIELD_STATE = 3,
    FIELD_UTIME = 14,
    FIELD_STIME = 15,
    FIELD_STARTTIME = 22
};

enum err process_stat_parse(const char *line, struct process_stat *out)
{
    *out = (struct process_stat){0};
    const char *at = strrchr(line, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0') {
        return ERR_INVALID;
    }
    at += 2;
    out->state = *at;
    for (int field = FIELD_STATE; field < FIELD_STARTTIME;) {
        at = strchr(at, ' ');
        if (at == NULL) {
            return ERR_INVALID;
        }
        at++;
        field++;
        if (field == FIELD_UTIME || field == FIELD_STIME) {
            out->cpu_ticks += strtoull(at, NULL, 10);
        }
    }
    out->started_ticks = strtoull(at, NULL, 10);
    return ERR_OK;
}

static enum err read_stat(pid_t pid, struct process_stat *out)
{
    char path[64];
    char text[PROC_FILE_SIZE];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (pid <= 0 || !read_proc_file(path, text)) {
        return ERR_NOT_FOUND;
    }
    return process_stat_parse(text, out);
}

enum process_state process_state(struct process_id id)
{
    struct process_stat stat;
    if (read_stat(id.pid, &stat) != ERR_OK || stat.started_ticks != id.started_ticks) {
        return PROCESS_DEAD;
    }
    switch (stat.state) {
    case 'Z':
    case 'X':
        return PROCESS_DEAD;
    case 'T':
        return PROCESS_PAUSED;
    default:
        return PROCESS_RUNNING;
    }
}

enum err process_identify(pid_t pid, struct process_id *out)
{
    struct process_stat stat;
    if (read_stat(pid, &stat) != ERR_OK) {
        return ERR_NOT_FOUND;
    }
    *out = (struct process_id){.pid = pid, .started_ticks = stat.started_ticks};
    return ERR_OK;
}

enum err process_signal(struct process_id id, int signal_number)
{
    if (process_state(id) == PROCESS_DEAD) {
        return ERR_NOT_FOUND;
    }
    if (kill(id.pid, signal_number) == 0) {
        return ERR_OK;
    }
    return errno == ESRCH ? ERR_NOT_FOUND : ERR_IO;
}

bool process_wait_state(struct process_id id, enum process_state state, int64_t timeout_ms)
{
    const int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    while (process_state(id) != state) {
        if (clock_mono_ms() >= deadline_ms) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return true;
}

int64_t process_pss_kb(pid_t pid)
{
    char path[64];
    char text[PROC_FILE_SIZE];
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
    if (pid <= 0 || !read_proc_file(path, text)) {
        return -1;
    }
    const char *line = strstr(text, "\nPss:");
    return line == NULL ? -1 : (int64_t)strtoll(line + strlen("\nPss:"), NULL, 10);
}

void process_times(struct process_id id, int64_t *cpu_ms, int64_t *age_ms)
{
    *cpu_ms = -1;
    *age_ms = -1;
    struct process_stat stat;
    char uptime[PROC_FILE_SIZE];
    const long ticks_per_s = sysconf(_SC_CLK_TCK);
    if (ticks_per_s <= 0 || read_stat(id.pid, &stat) != ERR_OK ||
        stat.started_ticks != id.started_ticks || !read_proc_file("/proc/uptime", uptime)) {
        return;
    }
    *cpu_ms = (int64_t)(stat.cpu_ticks * 1000 / (uint64_t)ticks_per_s);
    const int64_t up_ms = (int64_t)(strtod(uptime, NULL) * 1000.0);
    const int64_t started_ms = (int64_t)(stat.started_ticks * 1000 / (uint64_t)ticks_per_s);
    *age_ms = up_ms > started_ms ? up_ms - started_ms : 0;
}

void process_boot_id(char out[UUID_SIZE])
{
    char text[PROC_FILE_SIZE];
    out[0] = '\0';
    if (read_proc_file("/proc/sys/kernel/random/boot_id", text)) {
        snprintf(out, UUID_SIZE, "%.36s", text);
    }
}
