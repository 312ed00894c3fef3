// logs - what the processes wrote, merged by time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/house.h"
#include "cli/log_merge.h"
#include "cli/log_sources.h"
#include "cli/log_view.h"
#include "cli/term.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    FOLLOW_GAP_NS = 50000000,
    FOLLOW_LINES = 20,
    NAMES_MAX = 64,
};

static const struct option_def logs_options[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = OPTION_FLAG,
     .help = "go on with what is written from now on (begins with the last 20 lines)"},
    {.name = "lines",
     .letter = 'n',
     .kind = OPTION_INT,
     .value = "N",
     .min = 0,
     .max = 1000000,
     .help = "only the last N lines"},
    {.name = "level",
     .kind = OPTION_CHOICE,
     .value = "LEVEL",
     .fallback = "debug",
     .choices = "debug|info|warn|error",
     .help = "only lines of this level and above"},
    {.name = "full", .kind = OPTION_FLAG, .help = "show every field, also the ids of a trace"},
    {0},
};

// What to show, and what is held back until it is known whether it is of the last.
struct logs {
    const struct options *options;
    struct log_view view;
    int level_min;
    int64_t lines_max; // negative: all
    struct held {
        char *name; // owned
        struct buf text;
    } * held; // owned, a ring of lines_max
    size_t held_next;
    size_t held_count;
};

static int level_number(const char *level)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; level != NULL && i < ARRAY_LEN(levels); i++) {
        if (strcmp(levels[i], level) == 0) {
            return (int)i;
        }
    }
    return (int)ARRAY_LEN(levels); // what is no line of ours is always shown
}

static bool is_loud_enough(const struct logs *self, struct bytes line)
{
    if (self->level_min == 0) {
        return true;
    }
    cJSON *json = cJSON_ParseWithLength((const char *)line.data, line.size);
    const bool loud = level_number(json_text_of(json, "level")) >= self->level_min;
    cJSON_Delete(json);
    return loud;
}

static void print_line(const struct logs *self, const char *name, struct bytes line)
{
    if (options_flag(self->options, "json")) {
        fwrite(line.data, 1, line.size, stdout);
        putchar('\n');
    } else {
        log_view_print(&self->view, name, line, stdout);
    }
}

static void hold_line(struct logs *self, const struct log_line *line)
{
    struct held *held = &self->held[self->held_next];
    self->held_next = (self->held_next + 1) % (size_t)self->lines_max;
    self->held_count += self->held_count < (size_t)self->lines_max ? 1 : 0;
    free(held->name);
    held->name = mem_strdup(line->name);
    buf_clear(&held->text);
    buf_put(&held->text, line->text.data, line->text.size);
}

static void print_held(struct logs *self)
{
    for (size_t i = 0; i < self->held_count; i++) {
        const size_t capacity = (size_t)self->lines_max;
        struct held *held =
            &self->held[(self->held_next + capacity - self->held_count + i) % capacity];
        print_line(self, held->name, buf_view(&held->text));
        free(held->name);
        buf_release(&held->text);
    }
    free(self->held);
    self->held = NULL;
}

static void take_lines(struct logs *self, struct log_merge *merge)
{
    struct log_line line;
    while (log_merge_next(merge, &line)) {
        if (line.text.size == 0 || !is_loud_enough(self, line.text)) {
            continue;
        }
        if (self->held != NULL) {
            hold_line(self, &line);
        } else if (self->lines_max != 0) {
            print_line(self, line.name, line.text);
        }
    }
}

static void show(struct logs *self, struct log_merge *merge)
{
    if (self->lines_max > 0) {
        self->held = mem_calloc((size_t)self->lines_max, sizeof *self->held);
    }
    take_lines(self, merge);
    if (self->held != NULL) {
        print_held(self);
    }
    self->lines_max = -1;
    while (options_flag(self->options, "follow")) {
        // Whoever reads us may have gone; then writing ends this command.
        fflush(stdout);
        nanosleep(&(struct timespec){.tv_nsec = FOLLOW_GAP_NS}, NULL);
        take_lines(self, merge);
    }
}

static enum cli_exit logs_run(const struct options *options)
{
    const char *dir = cli_dir(options);
    const char *names[NAMES_MAX];
    const size_t names_count = options_arguments_count(options);
    for (size_t i = 0; i < names_count; i++) {
        size_t service = 0;
        int replica = 0;
        names[i] = options_argument(options, i);
        if (!house_parse_process(names[i], &service, &replica)) {
            cli_problem("there is no service '%s'. There are: %s", names[i], house_names());
            return CLI_UNKNOWN;
        }
    }
    const bool follow = options_flag(options, "follow");
    struct logs logs = {
        .options = options,
        .view = {.colours = term_has_colours(stdout), .full = options_flag(options, "full")},
        .level_min = level_number(options_text(options, "level")),
        .lines_max = options_is_given(options, "lines") ? options_int(options, "lines")
                     : follow                           ? FOLLOW_LINES
                                                        : -1,
    };
    struct log_merge *merge = log_merge_new(follow);
    enum cli_exit result = CLI_YES;
    // A quiet log must be read from its start when only loud lines count.
    const struct log_sources sources = {.names = names,
                                        .names_count = names_count,
                                        .lines_max = logs.level_min > 0 ? -1 : logs.lines_max,
                                        .follow = follow};
    if (log_sources_add(merge, &sources, dir) == 0) {
        cli_problem("there are no such logs in %s/logs. Start a stack: %s up", dir, cli_name());
        result = CLI_NO;
    } else {
        show(&logs, merge);
    }
    log_merge_destroy(&merge);
    return result;
}

const struct command cmd_logs = {
    .name = "logs",
    .topic = COMMAND_LOOK,
    .arguments = "[SERVICE...]",
    .summary = "show what the processes wrote, merged by time; -f goes on",
    .details = "With --json the lines as they were written, one JSON object each.\n",
    .options = logs_options,
    .arguments_max = NAMES_MAX,
    .run = logs_run,
};
