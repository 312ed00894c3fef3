// A folder is made with its parents, or the reason is told.
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/folder.h"

static char top[64];
static char path[128];

static const char *below(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static void set_up(void)
{
    snprintf(top, sizeof top, "/tmp/faultline-folder-XXXXXX");
    cr_assert_not_null(mkdtemp(top));
}

static void tear_down(void)
{
    unlink(below("file"));
    rmdir(below("a/b/c"));
    rmdir(below("a/b"));
    rmdir(below("a"));
    rmdir(top);
}

TestSuite(folder, .init = set_up, .fini = tear_down);

Test(folder, what_is_missing_of_a_path_is_made)
{
    struct stat status;
    cr_assert(folder_make(below("a/b//c/")));
    cr_expect_eq(stat(below("a/b/c"), &status), 0);
    cr_expect(S_ISDIR(status.st_mode));
    cr_expect(folder_make(below("a/b/c")), "it is there already");
    cr_expect(folder_make("/"));
}

Test(folder, a_folder_that_cannot_be_made_is_refused_with_the_reason)
{
    FILE *file = fopen(below("file"), "w");
    cr_assert_not_null(file);
    fclose(file);
    cr_expect_not(folder_make(below("file/a")));
    cr_expect_eq(errno, ENOTDIR);
    cr_expect_not(folder_make(""));
    cr_expect_eq(errno, ENOENT);
}
