// The database that a service has is copied without a change and replaced as a whole, and
// never under somebody who has it open.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/rebuild/rebuild_living.h"
#include "common/bytes.h"
#include "common/crash_point.h"
#include "common/mem.h"

static char folder[] = "/tmp/faultline-living-XXXXXX";
static char path[64];    // the living one
static char copy[64];    // of it
static char rebuilt[64]; // the new one
static struct rebuild_living *living;
static char *kept;
static char *problem;

static void make_paths(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/ledger.db", folder);
    snprintf(copy, sizeof copy, "%s/copy.db", folder);
    snprintf(rebuilt, sizeof rebuilt, "%s/rebuilt.db", folder);
}

static void remove_all(void)
{
    rebuild_living_destroy(&living);
    free(kept);
    free(problem);
    char *command = mem_format("rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
    free(command);
}

TestSuite(rebuild_living, .init = make_paths, .fini = remove_all, .timeout = 60);

// --- databases

static sqlite3 *open_db(const char *file)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(file, &db), SQLITE_OK, "%s", file);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
}

// As a service makes one. Rows, each of a kilobyte, tell which it is.
static sqlite3 *make_db(const char *file, int rows)
{
    sqlite3 *db = open_db(file);
    char *sql = mem_format("PRAGMA journal_mode = WAL; PRAGMA user_version = 2;"
                           "CREATE TABLE inbox (id TEXT, request_hash INTEGER);"
                           "CREATE TABLE rows (x); WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1"
                           " FROM n WHERE i < %d) INSERT INTO rows SELECT zeroblob(1000) FROM n",
                           rows);
    run(db, sql);
    free(sql);
    return db;
}

// One whose service was killed: its write-ahead log lies beside it.
static void make_killed_db(const char *file, int rows)
{
    sqlite3 *db = make_db(file, rows);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
}

static int rows_of(const char *file)
{
    sqlite3 *db = open_db(file);
    sqlite3_stmt *stmt = NULL;
    int rows = -1;
    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM rows", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        rows = sqlite3_column_int(stmt, 0);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return rows;
}

static bool is_there(const char *suffix)
{
    char *file = mem_format("%s%s", path, suffix);
    const bool is = access(file, F_OK) == 0;
    free(file);
    return is;
}

static void spoil(const char *file, off_t offset)
{
    char zeros[8192] = {0};
    const int fd = open(file, O_WRONLY);
    cr_assert_eq(pwrite(fd, zeros, sizeof zeros, offset), (ssize_t)sizeof zeros);
    close(fd);
}

static void lock_it(void)
{
    cr_assert_eq(rebuild_living_open(&living, path, true, &problem), ERR_OK, "%s", problem);
}

static enum err copy_it(void)
{
    return rebuild_living_copy(living, copy, &problem);
}

static void replace_it(void)
{
    cr_assert_eq(
        rebuild_living_replace(living, copy, rebuilt, &kept, &problem), ERR_OK, "%s", problem);
    rebuild_living_destroy(&living);
}

// --- the exchange

Test(rebuild_living, what_was_there_is_kept_and_the_new_one_is_in_its_place)
{
    make_killed_db(path, 50);
    sqlite3_close(make_db(rebuilt, 3));
    lock_it();
    cr_assert_eq(copy_it(), ERR_OK);
    replace_it();
    cr_expect_eq(rows_of(path), 3);
    cr_expect_eq(rows_of(kept), 50);
    cr_expect_not(is_there("-wal"), "the file alone is whole");
    cr_expect_not(is_there("-journal"));
}

Test(rebuild_living, one_with_pages_of_another_size_is_replaced_as_well)
{
    sqlite3 *db = make_db(path, 50);
    run(db,
        "PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM;"
        "PRAGMA journal_mode = WAL");
    sqlite3_close(db);
    sqlite3_close(make_db(rebuilt, 3));
    lock_it();
    cr_assert_eq(copy_it(), ERR_OK);
    replace_it();
    cr_expect_eq(rows_of(path), 3);
    cr_expect_eq(rows_of(kept), 50);
}

Test(rebuild_living, a_lost_one_comes_back_whatever_lies_where_it_was)
{
    static const char *const remains[] = {"-wal", "-shm", "-journal"};
    make_killed_db(path, 50);
    cr_assert_eq(unlink(path), 0);
    sqlite3_close(make_db(rebuilt, 3));
    lock_it();
    cr_expect_eq(copy_it(), ERR_NOT_FOUND);
    replace_it();
    cr_expect_null(kept);
    cr_expect_eq(rows_of(path), 3);
    for (size_t i = 0; i < ARRAY_LEN(remains); i++) {
        cr_expect_not(is_there(remains[i]), "%s", remains[i]);
    }
}

// A reader, as a process that was started by hand: it reads on from a write-ahead log.
Test(rebuild_living, under_somebody_who_has_it_open_nothing_is_touched)
{
    sqlite3 *db = make_db(path, 50);
    run(db, "BEGIN; SELECT count(*) FROM rows");
    cr_expect_eq(rebuild_living_open(&living, path, true, &problem), ERR_TIMEOUT);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, "somebody has"), "%s", problem);
    run(db, "COMMIT");
    free(problem);
    cr_expect_eq(rebuild_living_open(&living, path, true, &problem), ERR_TIMEOUT, "idle");
    sqlite3_close(db);
    cr_expect_eq(rows_of(path), 50);
}

// A process beside us, which knows nothing of our locks: it is made before there are any. It
// writes a row as soon as it can, and dies without a word. It says on *tried when it has
// seen the file locked.
static pid_t start_writer(int *start, int *tried)
{
    int begin[2];
    int said[2];
    cr_assert_eq(pipe(begin), 0);
    cr_assert_eq(pipe(said), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        char byte = 0;
        bool is_first = true;
        alarm(30);
        close(begin[1]);
        if (read(begin[0], &byte, 1) != 1) {
            _exit(1);
        }
        sqlite3 *db = open_db(path);
        while (sqlite3_exec(db, "INSERT INTO rows VALUES (1)", NULL, NULL, NULL) != SQLITE_OK) {
            if (is_first && write(said[1], "", 1) != 1) {
                _exit(1);
            }
            is_first = false;
            sqlite3_sleep(1);
        }
        _exit(0);
    }
    close(begin[0]);
    close(said[1]);
    *start = begin[1];
    *tried = said[0];
    return pid;
}

// As a process that starts meanwhile and has the file open already when it gets its turn.
Test(rebuild_living, who_waited_for_the_lock_finds_the_new_one)
{
    char byte = 0;
    int start = -1;
    int tried = -1;
    int status = -1;
    make_killed_db(path, 50);
    sqlite3_close(make_db(rebuilt, 3));
    const pid_t writer = start_writer(&start, &tried);
    lock_it();
    cr_assert_eq(write(start, "", 1), 1);
    cr_assert_eq(read(tried, &byte, 1), 1, "it finds the file locked");
    cr_assert_eq(copy_it(), ERR_OK);
    replace_it();
    cr_assert_eq(waitpid(writer, &status, 0), writer);
    cr_expect_eq(status, 0);
    cr_expect_eq(rows_of(path), 4);
    cr_expect_eq(rows_of(kept), 50);
    close(start);
    close(tried);
}

// Pages that can be copied are kept so; a file that SQLite cannot open under a second name.
static void expect_replaced(off_t damage_at, bool has_log)
{
    sqlite3_close(make_db(path, 50));
    spoil(path, damage_at);
    char *wal = mem_format("%s-wal", path);
    if (has_log) {
        FILE *file = fopen(wal, "w");
        fputs("a log that would be played into whatever has the name", file);
        fclose(file);
    }
    sqlite3_close(make_db(rebuilt, 3));
    lock_it();
    cr_expect_eq(copy_it(), ERR_CORRUPT);
    replace_it();
    cr_expect_eq(rows_of(path), 3);
    cr_assert_not_null(kept);
    char *kept_wal = mem_format("%s-wal", kept);
    cr_expect_eq(access(kept, F_OK), 0);
    cr_expect_eq(access(kept_wal, F_OK) == 0, has_log);
    free(kept_wal);
    free(wal);
}

Test(rebuild_living, a_damaged_one_is_replaced_and_kept)
{
    expect_replaced(4096, false);
}

Test(rebuild_living, one_that_cannot_even_be_opened_is_replaced_and_kept_with_its_log)
{
    expect_replaced(0, true);
}

// --- a death on the way

// Replaces in a process that dies at a crash point.
static void die_at(const char *point)
{
    const pid_t pid = fork();
    if (pid == 0) {
        const enum err armed = crash_point_arm(point, "rebuild", &problem);
        enum err err = armed == ERR_OK ? rebuild_living_open(&living, path, true, &problem) : armed;
        if (err == ERR_OK) {
            (void)copy_it();
            (void)rebuild_living_replace(living, copy, rebuilt, &kept, &problem);
        }
        _exit(1);
    }
    int status = -1;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == CRASH_POINT_EXIT, "%s", point);
}

static const struct {
    const char *point;
    int rows; // that are there then; 50 is the old database, 3 the new one
} deaths[] = {{"rebuild-before-exchange", 50}, {"rebuild-kept", 50}, {"rebuild-after-exchange", 3}};

static void start_anew(void)
{
    char *command = mem_format("rm -rf %s/*", folder);
    cr_assert_eq(system(command), 0);
    free(command);
    sqlite3_close(make_db(rebuilt, 3));
}

Test(rebuild_living, a_death_leaves_the_old_one_or_the_new_one_whole)
{
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
        start_anew();
        make_killed_db(path, 50);
        die_at(deaths[i].point);
        cr_expect_eq(rows_of(path), deaths[i].rows, "%s", deaths[i].point);
    }
}

Test(rebuild_living, a_death_over_a_lost_one_leaves_none_or_the_new_one)
{
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
        start_anew();
        die_at(deaths[i].point);
        cr_expect_eq(rows_of(path), deaths[i].rows == 3 ? 3 : -1, "%s", deaths[i].point);
        cr_assert_eq(rebuild_living_open(&living, path, true, &problem), ERR_OK);
        cr_expect_eq(copy_it(), deaths[i].rows == 3 ? ERR_OK : ERR_NOT_FOUND);
        rebuild_living_destroy(&living);
        free(problem);
        problem = NULL;
    }
}

Test(rebuild_living, a_death_over_one_that_cannot_be_opened_leaves_it_or_the_new_one)
{
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
        start_anew();
        sqlite3_close(make_db(path, 50));
        spoil(path, 0);
        die_at(deaths[i].point);
        cr_expect_eq(rows_of(path), deaths[i].rows == 3 ? 3 : -1, "%s", deaths[i].point);
    }
}

// --- the copy

static struct stat status_of(const char *suffix)
{
    struct stat status = {0};
    char *file = mem_format("%s%s", path, suffix);
    cr_expect_eq(stat(file, &status), 0, "%s", file);
    free(file);
    return status;
}

Test(rebuild_living, a_copy_for_a_comparison_changes_nothing)
{
    make_killed_db(path, 50);
    const struct stat db = status_of("");
    const struct stat wal = status_of("-wal");
    cr_assert_eq(rebuild_living_open(&living, path, false, &problem), ERR_OK);
    cr_assert_eq(copy_it(), ERR_OK);
    rebuild_living_destroy(&living);
    cr_expect_eq(status_of("").st_mtim.tv_nsec, db.st_mtim.tv_nsec);
    cr_expect_eq(status_of("").st_size, db.st_size);
    cr_expect_eq(status_of("-wal").st_size, wal.st_size);
    cr_expect_eq(rows_of(copy), 50);
}

Test(rebuild_living, a_copy_of_one_that_ended_well_leaves_nothing_beside_it)
{
    sqlite3_close(make_db(path, 50));
    cr_assert_eq(rebuild_living_open(&living, path, false, &problem), ERR_OK);
    cr_assert_eq(copy_it(), ERR_OK);
    rebuild_living_destroy(&living);
    cr_expect_not(is_there("-wal"));
    cr_expect_not(is_there("-shm"));
}

static void expect_conflict(const char *sql, const char *words)
{
    sqlite3 *db = make_db(path, 1);
    run(db, sql);
    sqlite3_close(db);
    cr_assert_eq(rebuild_living_open(&living, path, false, &problem), ERR_OK);
    cr_expect_eq(copy_it(), ERR_CONFLICT);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, words), "%s", problem);
}

Test(rebuild_living, one_of_another_version_is_told)
{
    expect_conflict("PRAGMA user_version = 1", "its schema is 1, not 2");
}

Test(rebuild_living, one_whose_inbox_is_another_is_told)
{
    expect_conflict("ALTER TABLE inbox DROP COLUMN request_hash", "request_hash");
}

// The disk, not the database: nothing is said to be damaged.
Test(rebuild_living, no_room_for_a_copy_is_told_as_that)
{
    sqlite3_close(make_db(path, 200));
    cr_assert_eq(rebuild_living_open(&living, path, true, &problem), ERR_OK);
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {.rlim_cur = 65536, .rlim_max = RLIM_INFINITY};
    const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const enum err err = copy_it();
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    cr_expect_eq(err, ERR_IO);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, "no room for a copy"), "%s", problem);
    cr_expect_not_null(strstr(problem, folder), "%s", problem);
}
