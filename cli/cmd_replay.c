// replay - lets a consumer group begin again at another place of the log.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/bus_guest.h"
#include "cli/commands.h"
#include "common/clock.h"

static const struct option_def replay_options[] = {
    {.name = "from",
     .kind = OPTION_TEXT,
     .value = "WHERE",
     .help = "'earliest', 'latest', an offset, or a time such as 2026-11-23T14:00:00Z"},
    {0},
};

// Reads --from. false: it is no place.
static bool read_place(const char *from, struct wire_control *out)
{
    char *end = NULL;
    const int64_t time_us = clock_parse_rfc3339(from);
    if (strcmp(from, "earliest") == 0) {
        out->reset_to = WIRE_RESET_EARLIEST;
    } else if (strcmp(from, "latest") == 0) {
        out->reset_to = WIRE_RESET_LATEST;
    } else if (time_us >= 0) {
        out->reset_to = WIRE_RESET_TIME;
        out->offset = (uint64_t)time_us;
    } else {
        out->reset_to = WIRE_RESET_OFFSET;
        out->offset = strtoull(from, &end, 10);
        return from[strspn(from, "0123456789")] == '\0' && strlen(from) < 20;
    }
    return true;
}

static enum cli_exit replay_run(const struct options *options)
{
    const char *group = options_argument(options, 0);
    const char *from = options_text(options, "from");
    struct wire_control question = {.type = WIRE_RESET, .group = bytes_of_text(group)};
    struct wire_control answer;
    if (from == NULL || !read_place(from, &question)) {
        cli_problem("replay from where? %s replay %s --from earliest|latest|OFFSET|TIME, a time "
                    "as in 2026-11-23T14:00:00Z",
                    cli_name(),
                    group);
        return CLI_UNKNOWN;
    }
    struct api *api = api_open(cli_dir(options));
    struct bus_guest *guest = bus_guest_visit(api_bus_url(api));
    enum cli_exit result = guest == NULL ? CLI_UNKNOWN : bus_guest_ask(guest, question, &answer);
    if (result == CLI_YES && options_flag(options, "json")) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "group", group);
        cJSON_AddNumberToObject(json, "offset", (double)answer.offset);
        cli_print_json(&json);
    } else if (result == CLI_YES) {
        printf("%s begins again at offset %llu. See how far it is: %s groups\n",
               group,
               (unsigned long long)answer.offset,
               cli_name());
    }
    bus_guest_destroy(&guest);
    api_destroy(&api);
    return result;
}

const struct command cmd_replay = {
    .name = "replay",
    .topic = COMMAND_WORK,
    .arguments = "GROUP --from WHERE",
    .summary = "let a consumer group read the log again from another place",
    .details =
        "Everything from there on is delivered to the group again, or, further on, what lies\n"
        "before is passed over. A service that has handled an event before knows its id and\n"
        "does nothing twice. Other groups notice nothing.\n",
    .options = replay_options,
    .arguments_min = 1,
    .arguments_max = 1,
    .run = replay_run,
};
