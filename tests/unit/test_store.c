// The store turns SQLite's many ways to fail into the few that a rule expects.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/store.h"

static const char schema_sql[] =
    "CREATE TABLE stock (sku TEXT PRIMARY KEY, available INTEGER NOT NULL CHECK (available >= 0))";
static const char insert_sql[] = "INSERT INTO stock (sku, available) VALUES (?, ?)";
static const char select_sql[] = "SELECT sku, available FROM stock ORDER BY sku";
static const char update_sql[] = "UPDATE stock SET available = available - ? WHERE sku = ?";

static char folder[] = "/tmp/faultline-store-XXXXXX";
static char path[64];
static struct store *store;

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/test.db", folder);
    char *problem = NULL;
    cr_assert_eq(store_open(&store, path, &problem), ERR_OK, "%s", problem);
    cr_assert_eq(store_exec_script(store, schema_sql), ERR_OK);
}

static void teardown(void)
{
    store_destroy(&store);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(store, .init = setup, .fini = teardown);

static enum err insert(const char *sku, int64_t available)
{
    struct store_row *row = store_query(store, insert_sql);
    store_bind_text(row, sku);
    store_bind_int(row, available);
    return store_run(row);
}

static int64_t count(void)
{
    struct store_row *row = store_query(store, select_sql);
    int64_t rows = 0;
    while (store_next(row) == ERR_OK) {
        rows++;
    }
    return rows;
}

Test(store, a_taken_key_is_exists_and_a_broken_check_is_conflict)
{
    cr_expect_eq(insert("moka-pot", 3), ERR_OK);
    cr_expect_eq(insert("moka-pot", 4), ERR_EXISTS);
    cr_expect_eq(insert("grinder", -1), ERR_CONFLICT);

    struct store_row *row = store_query(store, update_sql);
    store_bind_int(row, 4);
    store_bind_text(row, "moka-pot");
    cr_expect_eq(store_run(row), ERR_CONFLICT);
    cr_expect_eq(count(), 1);
}

Test(store, no_row_left_is_not_found)
{
    cr_expect_eq(insert("moka-pot", 3), ERR_OK);
    struct store_row *row = store_query(store, select_sql);
    cr_expect_eq(store_next(row), ERR_OK);
    cr_expect_str_eq(store_text(row, 0), "moka-pot");
    cr_expect_eq(store_int(row, 1), 3);
    cr_expect_eq(store_next(row), ERR_NOT_FOUND);
}

Test(store, a_rolled_back_savepoint_takes_only_its_own_changes)
{
    cr_assert_eq(store_begin(store), ERR_OK);
    cr_assert_eq(store_savepoint(store), ERR_OK);
    cr_assert_eq(insert("kept", 1), ERR_OK);
    cr_assert_eq(store_release(store), ERR_OK);
    cr_assert_eq(store_savepoint(store), ERR_OK);
    cr_assert_eq(insert("dropped", 1), ERR_OK);
    cr_assert_eq(store_rollback_to(store), ERR_OK);
    cr_assert_eq(store_commit(store), ERR_OK);
    cr_expect_eq(count(), 1);
}

Test(store, a_rollback_takes_everything)
{
    cr_assert_eq(store_begin(store), ERR_OK);
    cr_assert_eq(insert("dropped", 1), ERR_OK);
    store_rollback(store);
    cr_expect_eq(count(), 0);
}

// A statement in the middle of a transaction that finds the disk full: not its
// savepoint alone, the whole transaction is to be given up, and the next one is good.
Test(store, a_full_disk_in_a_statement_breaks_the_whole_transaction)
{
    cr_assert_eq(insert("moka-pot", 3), ERR_OK);
    cr_assert_eq(store_exec_script(store, "PRAGMA max_page_count = 8"), ERR_OK);
    cr_assert_eq(store_begin(store), ERR_OK);
    cr_assert_eq(store_savepoint(store), ERR_OK);
    cr_expect_not(store_is_broken(store));
    char sku[1024];
    memset(sku, 'x', sizeof sku - 1);
    sku[sizeof sku - 1] = '\0';
    enum err err = ERR_OK;
    for (int i = 0; err == ERR_OK && i < 100; i++) {
        sku[0] = (char)('0' + i);
        err = insert(sku, 1);
    }
    cr_expect_eq(err, ERR_FULL);
    cr_expect(store_is_broken(store));
    store_rollback(store);
    cr_expect_eq(count(), 1);

    cr_assert_eq(store_exec_script(store, "PRAGMA max_page_count = 1000"), ERR_OK);
    cr_assert_eq(store_begin(store), ERR_OK);
    cr_expect_not(store_is_broken(store));
    cr_expect_eq(insert("grinder", 1), ERR_OK);
    cr_expect_eq(store_commit(store), ERR_OK);
    cr_expect_eq(count(), 2);
}

Test(store, what_was_committed_is_there_after_opening_again)
{
    cr_assert_eq(insert("kept", 1), ERR_OK);
    store_destroy(&store);
    char *problem = NULL;
    cr_assert_eq(store_open(&store, path, &problem), ERR_OK);
    cr_expect_eq(count(), 1);
}

Test(store, a_file_that_is_no_database_is_corrupt_and_named)
{
    store_destroy(&store);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    for (int i = 0; i < 200; i++) {
        fputs("this is no database, not at all. ", file);
    }
    fclose(file);

    char *problem = NULL;
    cr_expect_eq(store_open(&store, path, &problem), ERR_CORRUPT);
    cr_expect_null(store);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, path));
    free(problem);
}

Test(store, a_folder_that_is_missing_is_io_and_named)
{
    struct store *other = NULL;
    char *problem = NULL;
    cr_expect_eq(store_open(&other, "/nonexistent/folder/test.db", &problem), ERR_IO);
    cr_expect_null(other);
    cr_assert_not_null(problem);
    free(problem);
}

// Another process of the same service, as a replica is.
static enum err write_from_elsewhere(void)
{
    struct store *other = NULL;
    char *problem = NULL;
    cr_assert_eq(store_open(&other, path, &problem), ERR_OK);
    cr_assert_eq(store_begin(other), ERR_OK);
    struct store_row *row = store_query(other, insert_sql);
    store_bind_text(row, "elsewhere");
    store_bind_int(row, 1);
    cr_assert_eq(store_run(row), ERR_OK);
    const enum err err = store_commit(other);
    store_destroy(&other);
    return err;
}

Test(store, a_row_that_was_left_open_does_not_outlive_its_transaction)
{
    cr_assert_eq(insert("moka-pot", 3), ERR_OK);
    cr_assert_eq(store_begin(store), ERR_OK);
    cr_assert_eq(store_next(store_query(store, select_sql)), ERR_OK);
    cr_assert_eq(store_commit(store), ERR_OK);

    cr_expect_eq(write_from_elsewhere(), ERR_OK);

    // With the row open, this would be refused for ever: its view of the file is old.
    cr_expect_eq(store_begin(store), ERR_OK);
    cr_expect_eq(store_commit(store), ERR_OK);
}
