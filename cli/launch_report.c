#include "cli/launch_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/command.h"
#include "cli/log_merge.h"
#include "cli/log_view.h"
#include "cli/term.h"
#include "common/mem.h"

enum {
    LAST_LINES = 10
};

void launch_report_begin(struct launch_report *self, const struct stack *stack)
{
    for (size_t i = 0; i < stack->processes_count; i++) {
        struct stat file;
        char *path = stack_log_path(stack, &stack->processes[i]);
        self->log_starts[i] = stat(path, &file) == 0 ? (int64_t)file.st_size : 0;
        free(path);
    }
}

static void print_last_lines(const char *name, const char *path, int64_t start)
{
    // Only lines of this start: count them first, then skip all but the last ones.
    size_t lines_count = 0;
    for (int pass = 0; pass < 2; pass++) {
        struct log_merge *merge = log_merge_new(false);
        struct log_line line;
        log_merge_add_file(merge, name, path, -1, start);
        for (size_t i = 0; log_merge_next(merge, &line); i++) {
            if (pass == 0) {
                lines_count++;
            } else if (i + LAST_LINES >= lines_count) {
                const struct log_view view = {.colours = term_has_colours(stderr)};
                log_view_print(&view, line.name, line.text, stderr);
            }
        }
        log_merge_destroy(&merge);
    }
    if (lines_count == 0) {
        fputs("(it wrote nothing)\n", stderr);
    }
}

void launch_report_death(const struct launch_report *self, const struct stack *stack,
                         size_t process)
{
    const struct stack_process *dead = &stack->processes[process];
    char *path = stack_log_path(stack, dead);
    int status = 0;
    if (dead->id.pid <= 0 || waitpid(dead->id.pid, &status, WNOHANG) != dead->id.pid) {
        cli_problem("%s died while it started. Its last lines (%s):", dead->name, path);
    } else if (WIFSIGNALED(status)) {
        cli_problem("%s was ended by signal %d while it started. Its last lines (%s):",
                    dead->name,
                    WTERMSIG(status),
                    path);
    } else {
        cli_problem("%s ended with exit code %d while it started. Its last lines (%s):",
                    dead->name,
                    WEXITSTATUS(status),
                    path);
    }
    print_last_lines(dead->name, path, self->log_starts[process]);
    free(path);
}

void launch_report_late(const struct stack *stack, const struct launch_set *late,
                        int64_t timeout_ms)
{
    char *names = launch_set_names(stack, late, ", ");
    char *words = launch_set_names(stack, late, " ");
    cli_problem("not ready after %lld s: %s. They run on; %s logs %s may say why, %s down ends all",
                (long long)(timeout_ms / 1000),
                names,
                cli_name(),
                words,
                cli_name());
    free(words);
    free(names);
}
