#include "cli/rebuild/rebuild_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/folder.h"
#include "common/mem.h"

enum {
    BUSY_MS = 10000,
    STAMP_SIZE = 32
};

// --- the folder

static char *database_path(const struct stack *stack, size_t service)
{
    const struct stack_process process = {.service = service, .replica = 1};
    char *folder = stack_data_path(stack, &process);
    char *path = mem_format("%s/%s.db", folder, house_service(service));
    free(folder);
    return path;
}

enum err rebuild_work_open(struct rebuild_work *out, const struct stack *stack, size_t service,
                           char **problem)
{
    const char *name = house_service(service);
    *out = (struct rebuild_work){0};
    char *folder = mem_format("%s/rebuild-%s-XXXXXX", stack->dir, name);
    if (mkdtemp(folder) == NULL) {
        *problem = mem_format("cannot make a folder in %s: %s", stack->dir, strerror(errno));
        free(folder);
        return ERR_IO;
    }
    *out = (struct rebuild_work){.folder = folder,
                                 .plan = mem_format("%s/plan.db", folder),
                                 .copy = mem_format("%s/living.db", folder),
                                 .rebuilt = mem_format("%s/%s.db", folder, name),
                                 .log = mem_format("%s/log", folder),
                                 .living = database_path(stack, service)};
    out->is_there = access(out->living, F_OK) == 0;
    return ERR_OK;
}

// A database with what SQLite lays beside it.
static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

static void remove_database(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char *file = mem_format("%s%s", path, suffixes[i]);
        unlink(file);
        free(file);
    }
}

void rebuild_work_release(struct rebuild_work *self)
{
    if (self->folder != NULL) {
        remove_database(self->plan);
        remove_database(self->copy);
        remove_database(self->rebuilt);
        unlink(self->log);
        rmdir(self->folder);
    }
    free(self->folder);
    free(self->plan);
    free(self->copy);
    free(self->rebuilt);
    free(self->log);
    free(self->living);
    *self = (struct rebuild_work){0};
}

// --- the copy

static int64_t read_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        number = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return number;
}

static bool is_sound(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    bool sound = false;
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(stmt, 0);
        sound = text != NULL && strcmp((const char *)text, "ok") == 0;
    }
    sqlite3_finalize(stmt);
    return sound && read_number(db, "SELECT count(*) FROM inbox") >= 0;
}

static int64_t version_of(const char *path)
{
    sqlite3 *db = NULL;
    const bool opened = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK;
    const int64_t version = opened ? read_number(db, "PRAGMA user_version") : -1;
    sqlite3_close(db);
    return version;
}

enum err rebuild_work_copy(struct rebuild_work *self, char **problem)
{
    self->is_there = access(self->living, F_OK) == 0;
    self->is_copied = false;
    if (!self->is_there) {
        *problem = mem_format("there is no database %s", self->living);
        return ERR_NOT_FOUND;
    }
    sqlite3 *from = NULL;
    sqlite3 *to = NULL;
    sqlite3_backup *backup = NULL;
    int code = sqlite3_open_v2(self->living, &from, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(from, BUSY_MS);
        code = sqlite3_open_v2(self->copy, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    }
    if (code == SQLITE_OK) {
        backup = sqlite3_backup_init(to, "main", from, "main");
        // All pages in one step are one read transaction.
        code = backup == NULL ? sqlite3_errcode(to) : sqlite3_backup_step(backup, -1);
        sqlite3_backup_finish(backup);
    }
    self->is_copied = code == SQLITE_DONE && is_sound(to);
    if (!self->is_copied) {
        *problem = mem_format("%s cannot be read whole: %s",
                              self->living,
                              code == SQLITE_DONE ? "it is damaged" : sqlite3_errstr(code));
    }
    sqlite3_close(to);
    sqlite3_close(from);
    return self->is_copied ? ERR_OK : ERR_CORRUPT;
}

enum err rebuild_work_check_version(struct rebuild_work *self, char **problem)
{
    const int64_t living = version_of(self->copy);
    const int64_t rebuilt = version_of(self->rebuilt);
    if (living == rebuilt) {
        return ERR_OK;
    }
    *problem = mem_format("%s is of another version of Faultline (its schema is %lld, not %lld)",
                          self->living,
                          (long long)living,
                          (long long)rebuilt);
    self->is_copied = false;
    return ERR_CONFLICT;
}

int64_t rebuild_count_sync(const struct stack *stack)
{
    char *path = database_path(stack, house_index("order"));
    sqlite3 *db = NULL;
    int64_t count = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(db, BUSY_MS);
        count = read_number(db, "SELECT count(*) FROM orders WHERE mode = 'sync'");
    }
    sqlite3_close(db);
    free(path);
    return count;
}

// --- the exchange

// Moves what is in a write-ahead log into its database, so that one file is all.
static void settle(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    }
    sqlite3_close(db);
}

static bool sync_file(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC);
    const bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

// Keeps the database under another name as well, and what lies beside it under that alone:
// a write-ahead log that stayed would be taken for the new database's.
static bool keep(const char *path, const char *kept)
{
    if (link(path, kept) < 0) {
        return false;
    }
    for (size_t i = 1; i < ARRAY_LEN(suffixes); i++) {
        char *from = mem_format("%s%s", path, suffixes[i]);
        char *to = mem_format("%s%s", kept, suffixes[i]);
        const bool good = rename(from, to) == 0 || errno == ENOENT;
        free(from);
        free(to);
        if (!good) {
            return false;
        }
    }
    return true;
}

static char *kept_path(const char *path)
{
    char stamp[STAMP_SIZE];
    struct tm utc;
    const time_t now = (time_t)(clock_wall_us() / 1000000);
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    char *kept = mem_format("%s.before-%s", path, stamp);
    for (int i = 2; access(kept, F_OK) == 0; i++) { // two within a second
        free(kept);
        kept = mem_format("%s.before-%s-%d", path, stamp, i);
    }
    return kept;
}

enum err rebuild_work_exchange(struct rebuild_work *self, char **kept, char **problem)
{
    char *folder = mem_strdup(self->living);
    *strrchr(folder, '/') = '\0';
    *kept = NULL;
    bool good = folder_make(folder);
    settle(self->rebuilt);
    good = good && sync_file(self->rebuilt, O_RDONLY);
    if (good && self->is_there) {
        if (self->is_copied) {
            settle(self->living);
        }
        *kept = kept_path(self->living);
        good = keep(self->living, *kept);
    } else if (good) {
        remove_database(self->living); // a write-ahead log without its database
    }
    // One rename: a service that starts now finds the old database or the new one.
    good = good && rename(self->rebuilt, self->living) == 0 && sync_file(folder, O_RDONLY);
    if (!good) {
        *problem =
            mem_format("cannot put the rebuilt database at %s: %s", self->living, strerror(errno));
        free(*kept);
        *kept = NULL;
    }
    free(folder);
    return good ? ERR_OK : ERR_IO;
}
