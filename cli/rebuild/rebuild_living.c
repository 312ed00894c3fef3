#include "cli/rebuild/rebuild_living.h"

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
#include "common/crash_point.h"
#include "common/folder.h"
#include "common/mem.h"
#include "common/service.h"

enum {
    BUSY_MS = 10000,
    LOCK_MS = 2000,
    STAMP_SIZE = 32
};

struct rebuild_living {
    char *path;     // owned
    sqlite3 *db;    // owned; NULL: no file, or none that can be read, or it is not needed any more
    bool is_there;  // a file with something in it
    bool is_locked; // if db is not NULL
};

// --- SQLite

// Whether the file is to blame for what SQLite says: not a disk that is full, say.
static bool is_damage(int code)
{
    switch (code) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_CORRUPTFS:
    case SQLITE_IOERR_DATA:
        return true;
    default:
        return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
    }
}

static int64_t bytes_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

// Opens a database that shall stay as it is: whoever is the last to close one moves its
// write-ahead log into it, unless told not to. One without a log is to get none.
static int open_untouched(const char *path, int flags, sqlite3 **out)
{
    const int code = sqlite3_open_v2(path, out, SQLITE_OPEN_READWRITE | flags, NULL);
    char *wal = mem_format("%s-wal", path);
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, BUSY_MS);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, bytes_of(wal) > 0, NULL);
    free(wal);
    return code;
}

static void close_db(sqlite3 **db)
{
    sqlite3_close(*db);
    *db = NULL;
}

// All pages, in one read transaction and one write transaction. SQLITE_DONE: all went well.
static int copy_pages(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == NULL) {
        return sqlite3_extended_errcode(to);
    }
    const int code = sqlite3_backup_step(backup, -1);
    const int end = sqlite3_backup_finish(backup);
    return end == SQLITE_OK ? code : end;
}

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
    return sound;
}

// --- the lock

// In exclusive mode a write lock keeps readers out as well, even of a write-ahead log, is
// not to be had while anybody else has the file open, and outlives its transaction.
static int lock(sqlite3 *db)
{
    static const char sql[] = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; ROLLBACK";
    sqlite3_busy_timeout(db, LOCK_MS);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? mem_strdup(".") : mem_strndup(path, (size_t)(slash - path));
}

static int open_and_lock(struct rebuild_living *self)
{
    char *folder = folder_of(self->path);
    (void)folder_make(folder); // if it cannot be made the file cannot
    free(folder);
    const int code = open_untouched(self->path, SQLITE_OPEN_CREATE, &self->db);
    return code == SQLITE_OK ? lock(self->db) : code;
}

enum err rebuild_living_open(struct rebuild_living **out, const char *path, bool locks,
                             char **problem)
{
    struct rebuild_living *self = mem_calloc(1, sizeof *self);
    self->path = mem_strdup(path);
    self->is_there = bytes_of(path) > 0;
    self->is_locked = locks;
    int code = SQLITE_OK;
    if (locks) {
        code = open_and_lock(self);
    } else if (self->is_there) {
        code = open_untouched(path, 0, &self->db);
    }
    enum err err = ERR_OK;
    if ((code & 0xff) == SQLITE_BUSY) {
        *problem = mem_format("somebody has %s open: a process that this stack does not know of, "
                              "or a tool. End it, and try again. Who it is: fuser %s",
                              path,
                              path);
        err = ERR_TIMEOUT;
    } else if (is_damage(code)) {
        close_db(&self->db);
    } else if (code != SQLITE_OK) {
        *problem = mem_format("cannot open %s: %s", path, sqlite3_errstr(code));
        err = ERR_IO;
    }
    *out = self;
    if (err != ERR_OK) {
        rebuild_living_destroy(out);
    }
    return err;
}

void rebuild_living_destroy(struct rebuild_living **self_p)
{
    struct rebuild_living *self = *self_p;
    if (self == NULL) {
        return;
    }
    sqlite3_close(self->db);
    free(self->path);
    free(self);
    *self_p = NULL;
}

// --- the copy

static enum err say_damaged(const struct rebuild_living *self, char **problem)
{
    *problem = mem_format("%s cannot be read whole: it is damaged", self->path);
    return ERR_CORRUPT;
}

// Whether a copy can be compared: the plan and the comparison rely on its tables.
static enum err inspect(const struct rebuild_living *self, sqlite3 *copy, char **problem)
{
    static const char inbox_sql[] =
        "SELECT count(*) FROM inbox WHERE request_hash IS NULL AND id IS NOT NULL";
    if (!is_sound(copy)) {
        return say_damaged(self, problem);
    }
    const long long version = (long long)read_number(copy, "PRAGMA user_version");
    if (version != SERVICE_SCHEMA_VERSION) {
        *problem = mem_format("%s is of another version of Faultline (its schema is %lld, not %d)",
                              self->path,
                              version,
                              SERVICE_SCHEMA_VERSION);
        return ERR_CONFLICT;
    }
    if (read_number(copy, inbox_sql) < 0) {
        *problem =
            mem_format("%s has no inbox as this version has: %s", self->path, sqlite3_errmsg(copy));
        return ERR_CONFLICT;
    }
    return ERR_OK;
}

static enum err say_not_copied(const struct rebuild_living *self, const char *copy, int code,
                               char **problem)
{
    const int kind = code & 0xff;
    const long long megabytes = (long long)(bytes_of(self->path) / 1000000 + 1);
    char *folder = folder_of(copy);
    *problem = kind == SQLITE_FULL || kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN
                   ? mem_format("there is no room for a copy of %s, %lld MB, in %s: %s",
                                self->path,
                                megabytes,
                                folder,
                                sqlite3_errstr(code))
                   : mem_format("cannot copy %s: %s", self->path, sqlite3_errstr(code));
    free(folder);
    return ERR_IO;
}

enum err rebuild_living_copy(struct rebuild_living *self, const char *copy, char **problem)
{
    if (!self->is_there) {
        *problem = mem_format("there is no database %s", self->path);
        return ERR_NOT_FOUND;
    }
    if (self->db == NULL) {
        return say_damaged(self, problem);
    }
    sqlite3 *to = NULL;
    int code = sqlite3_open_v2(copy, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    sqlite3_extended_result_codes(to, 1);
    if (code == SQLITE_OK) {
        code = copy_pages(self->db, to);
    }
    enum err err = ERR_OK;
    if (code == SQLITE_DONE) {
        err = inspect(self, to, problem);
    } else {
        err = is_damage(code) ? say_damaged(self, problem)
                              : say_not_copied(self, copy, code, problem);
    }
    sqlite3_close(to);
    // Pages that cannot even be copied are for the file's own kept name. And a comparison
    // has what it needs: nobody shall wait for us.
    if (is_damage(code) || !self->is_locked) {
        close_db(&self->db);
    }
    return err;
}

int64_t rebuild_living_count_sync(const char *path)
{
    sqlite3 *db = NULL;
    int64_t count = -1;
    if (open_untouched(path, 0, &db) == SQLITE_OK) {
        count = read_number(db, "SELECT count(*) FROM orders WHERE mode = 'sync'");
    }
    sqlite3_close(db);
    return count;
}

// --- what is kept

static bool sync_path(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good;
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

// The names of a database and of what SQLite lays beside it; what only they can have.
static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

static bool link_files(const char *path, const char *kept)
{
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(suffixes) && good; i++) {
        char *from = mem_format("%s%s", path, suffixes[i]);
        char *to = mem_format("%s%s", kept, suffixes[i]);
        good = link(from, to) == 0 || (i > 0 && errno == ENOENT);
        free(from);
        free(to);
    }
    return good;
}

static bool keep(const struct rebuild_living *self, const char *copy, const char *kept)
{
    return self->db == NULL ? link_files(self->path, kept)
                            : sync_path(copy) && rename(copy, kept) == 0;
}

// --- the exchange

static enum err say_not_replaced(const struct rebuild_living *self, const char *why, char **problem)
{
    *problem = mem_format("cannot put the rebuilt database at %s: %s", self->path, why);
    return ERR_IO;
}

// Gives a database the size of pages that another one has: pages are what is copied.
static int fit_pages(sqlite3 *db, int64_t size)
{
    if (read_number(db, "PRAGMA page_size") == size) {
        return SQLITE_OK;
    }
    char *sql = mem_format("PRAGMA journal_mode = DELETE; PRAGMA page_size = %lld; VACUUM",
                           (long long)size);
    const int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    free(sql);
    return code;
}

static enum err write_over(struct rebuild_living *self, const char *rebuilt, char **problem)
{
    sqlite3 *from = NULL;
    int code = sqlite3_open_v2(rebuilt, &from, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_exec(self->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = fit_pages(from, read_number(self->db, "PRAGMA page_size"));
    }
    if (code == SQLITE_OK) {
        code = copy_pages(from, self->db);
    }
    sqlite3_close(from);
    // From here on the file is to be whole by itself when it is closed.
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return code == SQLITE_DONE ? ERR_OK : say_not_replaced(self, sqlite3_errstr(code), problem);
}

// Moves what is in a write-ahead log into its database, so that one file is all.
static bool make_whole(const char *path)
{
    sqlite3 *db = NULL;
    char *wal = mem_format("%s-wal", path);
    bool good = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    good = good && access(wal, F_OK) != 0;
    free(wal);
    return good;
}

static enum err rename_over(struct rebuild_living *self, const char *rebuilt, char **problem)
{
    if (!make_whole(rebuilt)) {
        return say_not_replaced(self, "its write-ahead log does not go into it", problem);
    }
    bool good = sync_path(rebuilt);
    for (size_t i = 1; i < ARRAY_LEN(suffixes) && good; i++) {
        char *beside = mem_format("%s%s", self->path, suffixes[i]);
        good = unlink(beside) == 0 || errno == ENOENT;
        free(beside);
    }
    good = good && rename(rebuilt, self->path) == 0;
    return good ? ERR_OK : say_not_replaced(self, strerror(errno), problem);
}

enum err rebuild_living_replace(struct rebuild_living *self, const char *copy, const char *rebuilt,
                                char **kept, char **problem)
{
    char *folder = folder_of(self->path);
    enum err err = ERR_OK;
    crash_point("rebuild-before-exchange");
    *kept = self->is_there ? kept_path(self->path) : NULL;
    if (*kept != NULL && (!keep(self, copy, *kept) || !sync_path(folder))) {
        *problem = mem_format("cannot keep %s as %s: %s", self->path, *kept, strerror(errno));
        err = ERR_IO;
        free(*kept);
        *kept = NULL;
    }
    crash_point("rebuild-kept");
    if (err == ERR_OK) {
        err = self->db == NULL ? rename_over(self, rebuilt, problem)
                               : write_over(self, rebuilt, problem);
    }
    crash_point("rebuild-after-exchange");
    if (err == ERR_OK && !sync_path(folder)) {
        err = say_not_replaced(self, strerror(errno), problem);
    }
    free(folder);
    return err;
}
