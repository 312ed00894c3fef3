// tail - the events as the broker stores them.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api.h"
#include "cli/bus_guest.h"
#include "cli/commands.h"
#include "cli/term.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    TOPICS_ARGUMENTS_MAX = 64,
    HELLO_TIMEOUT_MS = 2000,
    IDLE_GAP_NS = 50000000,
    TOPIC_WIDTH = 20,
    LOCAL_TIME_SIZE = 16,
};

static const struct option_def tail_options[] = {
    {.name = "from",
     .kind = OPTION_TEXT,
     .value = "OFFSET",
     .fallback = "end",
     .help = "where to begin: an offset, 'start' or 'end'"},
    {.name = "once",
     .kind = OPTION_FLAG,
     .help = "end at the end of the log, do not wait for more"},
    {0},
};

static bool is_asked_for(const struct options *options, struct bytes topic)
{
    const size_t count = options_arguments_count(options);
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_text(topic, options_argument(options, i))) {
            return true;
        }
    }
    return count == 0;
}

static cJSON *parsed_or_null(struct bytes text)
{
    cJSON *json = cJSON_ParseWithLength((const char *)text.data, text.size);
    return json == NULL ? cJSON_CreateNull() : json;
}

static void print_for_programs(const struct wire_delivered *event)
{
    char stored_at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(stored_at, (int64_t)event->time_us);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "offset", (double)event->offset);
    json_add_bytes(json, "topic", event->record.topic);
    json_add_bytes(json, "key", event->record.key);
    json_add_bytes(json, "id", event->record.id);
    cJSON_AddStringToObject(json, "stored_at", stored_at);
    cJSON_AddItemToObject(json, "headers", parsed_or_null(event->record.headers));
    cJSON_AddItemToObject(json, "event", parsed_or_null(event->record.body));
    cli_print_json(&json);
}

// "14:03:12.123456  offset  topic  subject  data".
static void print_for_people(const struct wire_delivered *event, bool colours)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(time, (int64_t)event->time_us);
    cJSON *envelope =
        cJSON_ParseWithLength((const char *)event->record.body.data, event->record.body.size);
    char *data = json_to_text(cJSON_GetObjectItemCaseSensitive(envelope, "data"));
    printf("%s%.15s%s %8llu  %s%-*.*s%s %.*s  %s%s%s\n",
           term_start(COLOUR_DIM, colours),
           time + strlen("2026-11-23T"),
           term_end(COLOUR_DIM, colours),
           (unsigned long long)event->offset,
           term_start(COLOUR_BOLD, colours),
           TOPIC_WIDTH,
           (int)event->record.topic.size,
           (const char *)event->record.topic.data,
           term_end(COLOUR_BOLD, colours),
           (int)event->record.key.size,
           (const char *)event->record.key.data,
           term_start(COLOUR_DIM, colours),
           data == NULL ? "" : data,
           term_end(COLOUR_DIM, colours));
    free(data);
    cJSON_Delete(envelope);
}

static enum cli_exit find_start(const struct options *options, struct bus_guest *reader,
                                uint64_t *offset)
{
    const char *from = options_text(options, "from");
    *offset = 0;
    if (strcmp(from, "start") == 0) {
        return CLI_YES;
    }
    if (strcmp(from, "end") == 0) {
        return bus_guest_end(reader, offset) == ERR_OK ? CLI_YES : CLI_UNKNOWN;
    }
    char *end = NULL;
    *offset = strtoull(from, &end, 10);
    if (end == from || *end != '\0' || from[0] == '-') {
        cli_problem("--from takes an offset, 'start' or 'end', not '%s'", from);
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}

// Prints until the reader has a reason to stop; *offset is where to go on.
static enum err print_events(const struct options *options, struct bus_guest *reader,
                             uint64_t *offset)
{
    const bool colours = term_has_colours(stdout);
    while (true) {
        struct wire_delivered event;
        const enum err err = bus_guest_next(reader, offset, &event);
        if (err == ERR_OK) {
            if (!is_asked_for(options, event.record.topic)) {
                continue;
            }
            if (options_flag(options, "json")) {
                print_for_programs(&event);
            } else {
                print_for_people(&event, colours);
            }
            continue;
        }
        fflush(stdout);
        if (err != ERR_NOT_FOUND || options_flag(options, "once")) {
            return err;
        }
        nanosleep(&(struct timespec){.tv_nsec = IDLE_GAP_NS}, NULL);
    }
}

static enum cli_exit tail_run(const struct options *options)
{
    signal(SIGPIPE, SIG_DFL);
    struct api *api = api_open(cli_dir(options));
    struct bus_guest *reader = bus_guest_visit(api_bus_url(api));
    uint64_t offset = 0;
    enum cli_exit result = reader == NULL ? CLI_UNKNOWN : find_start(options, reader, &offset);
    while (result == CLI_YES) {
        const enum err err = print_events(options, reader, &offset);
        if (err == ERR_NOT_FOUND) {
            break; // --once, and all was printed
        }
        if (err == ERR_INVALID) {
            cli_problem("the log no longer reaches back to offset %llu; try --from start",
                        (unsigned long long)offset);
            result = CLI_NO;
            break;
        }
        cli_problem("the broker went away; waiting for it");
        bus_guest_destroy(&reader);
        while (bus_guest_open(&reader, api_bus_url(api), HELLO_TIMEOUT_MS) != ERR_OK) {
        }
    }
    bus_guest_destroy(&reader);
    api_destroy(&api);
    return result;
}

const struct command cmd_tail = {
    .name = "tail",
    .topic = COMMAND_LOOK,
    .arguments = "[TOPIC...]",
    .summary = "show events as the broker stores them",
    .details =
        "Reads the log as a guest: no group is made and nobody's events are taken.\n"
        "--json gives a line an event: offset, topic, key, id, stored_at, headers (null: none,\n"
        "as of most events; of a dead letter why it is one) and event, the envelope.\n",
    .options = tail_options,
    .arguments_max = TOPICS_ARGUMENTS_MAX,
    .run = tail_run,
};
