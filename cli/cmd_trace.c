// trace - the story of one order or transfer, as a tree of causes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/log_merge.h"
#include "cli/log_sources.h"
#include "cli/story_missing.h"
#include "cli/story_print.h"
#include "cli/term.h"
#include "common/mem.h"

enum {
    STATUS_TIMEOUT_MS = 2000
};

static size_t add_standard_input(struct story *story)
{
    size_t lines = 0;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    while ((size = getline(&line, &capacity, stdin)) >= 0) {
        lines++;
        story_add_line(story, (struct bytes){.data = (const uint8_t *)line, .size = (size_t)size});
    }
    free(line);
    return lines;
}

static size_t add_logs(struct story *story, const char *dir)
{
    struct log_merge *merge = log_merge_new(false);
    const size_t logs = log_sources_add(merge, &(struct log_sources){.lines_max = -1}, dir);
    struct log_line line;
    while (log_merge_next(merge, &line)) {
        story_add_line(story, line.text);
    }
    log_merge_destroy(&merge);
    return logs;
}

// What is missing only the broker knows; a story that has all its ends is complete
// without it.
static void ask_broker(struct story *story, const char *dir)
{
    struct api *api = api_open(dir);
    const struct api_request request = {.service = "broker",
                                        .method = "GET",
                                        .path = "/status",
                                        .timeout_ms = STATUS_TIMEOUT_MS,
                                        .quiet = true};
    struct api_answer answer = {0};
    const enum err err = api_call(api, &request, &answer);
    story_explain(story,
                  err == ERR_OK && answer.status == 200 ? answer.json : NULL,
                  "the broker does not answer");
    api_answer_release(&answer);
    api_destroy(&api);
}

static enum cli_exit trace_run(const struct options *options)
{
    const char *dir = cli_dir(options);
    const char *id = options_argument(options, 0);
    const bool piped = options_arguments_count(options) == 2;
    if (piped && strcmp(options_argument(options, 1), "-") != 0) {
        cli_problem("trace takes one id; a second argument can only be '-', for logs on standard "
                    "input");
        return CLI_UNKNOWN;
    }
    struct story *story = story_new(id);
    const size_t sources = piped ? add_standard_input(story) : add_logs(story, dir);
    story_link(story);
    enum cli_exit result = CLI_NO;
    if (sources == 0) {
        cli_problem(piped ? "nothing came on standard input"
                          : "there are no logs to look in. Start a stack: %s up",
                    cli_name());
        result = CLI_UNKNOWN;
    } else if (story_count(story) == 0) {
        cli_problem("no line of the logs is about %s. It takes the whole id of an order or a "
                    "transfer, as %s order prints it",
                    id,
                    cli_name());
    } else {
        ask_broker(story, dir);
        if (options_flag(options, "json")) {
            cJSON *json = story_to_json(story);
            cli_print_json(&json);
        } else {
            story_print(story, stdout, term_has_colours(stdout));
        }
        result = CLI_YES;
    }
    story_destroy(&story);
    return result;
}

const struct command cmd_trace = {
    .name = "trace",
    .topic = COMMAND_LOOK,
    .arguments = "ID [-]",
    .summary = "draw the story of an order or a transfer from the logs",
    .details =
        "Times are relative to the first request. What is not finished says what it waits for.\n"
        "With '-' the lines come from standard input:\n"
        "  docker-compose logs --no-color | faultline trace ID -\n",
    .arguments_min = 1,
    .arguments_max = 2,
    .run = trace_run,
};
