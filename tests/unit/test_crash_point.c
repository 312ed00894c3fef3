// Crash points: what a setting may say, where a process dies, and that the table and the
// code name the same places.
#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/crash_point.h"
#include "common/mem.h"

// --- the setting

static void expect_refused(const char *setting, const char *process, const char *why)
{
    char *problem = NULL;
    cr_expect_eq(crash_point_arm(setting, process, &problem), ERR_INVALID, "%s", setting);
    cr_assert_not_null(problem);
    cr_expect_not_null(strstr(problem, why), "\"%s\" does not say \"%s\"", problem, why);
    cr_expect_not_null(strstr(problem, setting), "\"%s\" names the setting", problem);
    cr_expect_not_null(strstr(problem, "faultline crash-points"), "\"%s\": the list", problem);
    cr_expect_not(crash_point_is_armed);
    free(problem);
}

Test(crash_point, a_setting_that_can_never_come_true_is_refused)
{
    expect_refused("service-after-comit", "payment", "no such crash point");
    expect_refused(":1", "payment", "no such crash point");
    expect_refused("service-after-commit-x", "payment", "no such crash point");
    expect_refused("broker-after-sync", "payment", "only the broker does");
    expect_refused("service-after-commit", "broker", "only a service does");
    expect_refused("order-chain-begun", "payment", "payment never passes");
    const char *const numbers[] = {"0",
                                   "-1",
                                   "+1",
                                   "",
                                   "x",
                                   "1x",
                                   " 1",
                                   "1000000001",
                                   "1:1",
                                   "1+",
                                   "1+x",
                                   "1+1x",
                                   "1+1001",
                                   "0+5",
                                   "+5"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char *setting = mem_format("service-after-commit:%s", numbers[i]);
        expect_refused(setting, "payment", "from 1 to 1000000000");
        free(setting);
    }
}

Test(crash_point, an_empty_setting_arms_nothing)
{
    char *problem = NULL;
    cr_expect_eq(crash_point_arm("", "payment", &problem), ERR_OK);
    cr_expect_null(problem);
    cr_expect_not(crash_point_is_armed);
    crash_point("service-after-commit");
}

Test(crash_point, a_point_of_every_service_is_none_of_the_broker)
{
    const struct crash_point_def point = {.name = "p", .process = "service"};
    cr_expect(crash_point_is_of(&point, "ledger"));
    cr_expect_not(crash_point_is_of(&point, "broker"));
    cr_expect_not(crash_point_is_of(&point, "rebuild"));
}

// --- the end

// Passes points in a process of its own, armed with setting. It gives the exit code, and
// what was written on standard error.
static int live(const char *setting, const char *const *passes, size_t count, char line[256])
{
    int output[2];
    cr_assert_eq(pipe(output), 0);
    const pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        char *problem = NULL;
        (void)dup2(output[1], STDERR_FILENO);
        if (crash_point_arm(setting, "payment", &problem) != ERR_OK) {
            _exit(1);
        }
        for (size_t i = 0; i < count; i++) {
            crash_point(passes[i]);
        }
        _exit(0);
    }
    close(output[1]);
    const ssize_t size = read(output[0], line, 255);
    line[size < 0 ? 0 : size] = '\0';
    close(output[0]);
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(crash_point, a_process_dies_at_its_point_and_says_which)
{
    const char *const passes[] = {"service-before-commit", "service-after-commit"};
    char line[256];
    cr_expect_eq(live("service-after-commit", passes, 1, line), 0, "it did not come there");
    cr_expect_str_empty(line);
    cr_expect_eq(live("service-after-commit", passes, 2, line), CRASH_POINT_EXIT);
    cr_expect_str_eq(line,
                     "faultline-payment: died at crash point service-after-commit, passing 1, as "
                     "FAULTLINE_CRASH_AT says\n");
}

Test(crash_point, it_dies_at_the_passing_that_was_asked_for)
{
    const char *const passes[] = {"service-after-commit",
                                  "service-before-commit",
                                  "service-after-commit",
                                  "service-after-commit"};
    char line[256];
    cr_expect_eq(live("service-after-commit:3", passes, 3, line), 0);
    cr_expect_eq(live("service-after-commit:3", passes, 4, line), CRASH_POINT_EXIT);
    cr_expect_not_null(strstr(line, "passing 3"), "%s", line);
}

Test(crash_point, who_dies_late_has_seen_the_time_pass)
{
    const char *const passes[] = {"service-after-commit"};
    char line[256];
    const int64_t began_ms = clock_mono_ms();
    cr_expect_eq(live("service-after-commit:1+50", passes, 1, line), CRASH_POINT_EXIT);
    cr_expect_geq(clock_mono_ms() - began_ms, 50);
    cr_expect_not_null(strstr(line, "passing 1"), "%s", line);
}

// --- the table

enum {
    NAMES_MAX = 256,
    NAME_SIZE = 64
};

static struct {
    char names[NAMES_MAX][NAME_SIZE];
    size_t count;
} used;

static size_t uses_of(const char *name)
{
    size_t uses = 0;
    for (size_t i = 0; i < used.count; i++) {
        uses += strcmp(used.names[i], name) == 0 ? 1 : 0;
    }
    return uses;
}

static char *file_text(const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    struct buf text = {0};
    size_t size = 0;
    while ((size = fread(buf_reserve(&text, 4096), 1, 4096, file)) > 0) {
        text.size += size;
    }
    fclose(file);
    buf_put_u8(&text, 0);
    char *copy = mem_strdup((const char *)text.data);
    buf_release(&text);
    return copy;
}

// Notes the constants from *at up to the end character: of a call, or of an initialiser.
static void note_constants(const char *at, char end)
{
    for (; *at != end && *at != '\0'; at++) {
        if (*at == '"') {
            const size_t size = strcspn(++at, "\"");
            cr_assert(size < NAME_SIZE && used.count < NAMES_MAX);
            (void)snprintf(used.names[used.count++], NAME_SIZE, "%.*s", (int)size, at);
            at += size;
        }
    }
}

static void note_uses(const char *path)
{
    char *text = file_text(path);
    for (const char *at = text; (at = strstr(at, "crash_point(")) != NULL; at++) {
        note_constants(at, ';');
    }
    for (const char *at = text; (at = strstr(at, "_point = \"")) != NULL; at++) {
        note_constants(at + strlen("_point = "), ',');
    }
    free(text);
}

// Every point of the table is in the code, once, and the code has no other.
Test(crash_point, the_table_and_the_code_name_the_same_places)
{
    static const char *const folders[] = {
        "broker/*.c", "common/*.c", "services/*/*.c", "cli/rebuild/*.c"};
    const char *source = getenv("FAULTLINE_SOURCE");
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char *pattern = mem_format("%s/%s", source == NULL ? "." : source, folders[i]);
        glob_t files;
        cr_assert_eq(glob(pattern, 0, NULL, &files), 0, "%s", pattern);
        for (size_t f = 0; f < files.gl_pathc; f++) {
            note_uses(files.gl_pathv[f]);
        }
        globfree(&files);
        free(pattern);
    }
    size_t points = 0;
    for (const struct crash_point_def *point = crash_points; point->name != NULL; point++) {
        points++;
        cr_expect_eq(
            uses_of(point->name), 1, "%s stands at %zu places", point->name, uses_of(point->name));
    }
    for (size_t i = 0; i < used.count; i++) {
        const struct crash_point_def *point = crash_points;
        while (point->name != NULL && strcmp(point->name, used.names[i]) != 0) {
            point++;
        }
        cr_expect_not_null(point->name, "%s is not in the table", used.names[i]);
    }
    cr_expect_eq(used.count, points);
}

Test(crash_point, each_has_a_name_of_its_own_and_a_sentence)
{
    static const char *const processes[] = {"broker", "service", "order", "payment", "rebuild"};
    for (const struct crash_point_def *point = crash_points; point->name != NULL; point++) {
        const size_t size = strlen(point->process);
        size_t process = 0;
        while (process < ARRAY_LEN(processes) && strcmp(processes[process], point->process) != 0) {
            process++;
        }
        cr_expect_lt(process, ARRAY_LEN(processes), "%s", point->name);
        cr_expect(memcmp(point->name, point->process, size) == 0 && point->name[size] == '-',
                  "%s begins with its process",
                  point->name);
        cr_expect_gt(strlen(point->sentence), 20, "%s", point->name);
        for (const struct crash_point_def *other = point + 1; other->name != NULL; other++) {
            cr_expect_str_neq(point->name, other->name);
        }
    }
}
