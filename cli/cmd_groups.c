// groups - the consumer groups: how far behind each is, who is its member, and what
// fails; and the end of one that nobody needs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/bus_guest.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    STATUS_TIMEOUT_MS = 2000
};

static int64_t number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(number) ? (int64_t)number->valuedouble : 0;
}

static void add_count(struct table *table, int64_t count, enum colour colour)
{
    char text[TERM_NUMBER_SIZE];
    term_format_count(text, count);
    table_add(table, count == 0 ? COLOUR_DIM : colour, "%s", text);
}

// "payment-1, payment-2", or since when there is none.
static void add_members(struct table *table, const cJSON *group)
{
    const cJSON *members = cJSON_GetObjectItemCaseSensitive(group, "members");
    struct buf names = {0};
    const cJSON *member = NULL;
    cJSON_ArrayForEach(member, members)
    {
        const char *name = json_text_of(member, "name");
        buf_printf(&names, "%s%s", names.size > 0 ? ", " : "", name == NULL ? "?" : name);
    }
    const char *since = json_text_of(group, "no_member_since");
    const int64_t since_us = since == NULL ? -1 : clock_parse_rfc3339(since);
    if (names.size == 0 && since_us >= 0) {
        char ago[TERM_NUMBER_SIZE];
        const int64_t ago_us = clock_wall_us() - since_us;
        term_format_duration(ago, ago_us > 0 ? ago_us : 0);
        table_add(table, COLOUR_RED, "none for %s", ago);
    } else if (names.size == 0) {
        table_add(table, COLOUR_RED, "none");
    } else {
        buf_put_u8(&names, 0);
        table_add(table, COLOUR_NONE, "%s", (const char *)names.data);
    }
    buf_release(&names);
}

static void add_group(struct table *table, const cJSON *group)
{
    const char *name = json_text_of(group, "name");
    const int64_t lag = number_of(group, "lag_events");
    table_add(
        table, term_service_colour(name == NULL ? "" : name), "%s", name == NULL ? "?" : name);
    add_count(table, lag, COLOUR_YELLOW);
    if (lag > 0) {
        char age[TERM_NUMBER_SIZE];
        term_format_duration(age, number_of(group, "oldest_ms") * 1000);
        table_add(table, COLOUR_NONE, "%s", age);
    } else {
        table_add(table, COLOUR_DIM, "-");
    }
    add_count(table, number_of(group, "ready"), COLOUR_NONE);
    add_count(table, number_of(group, "held"), COLOUR_NONE);
    add_count(table, number_of(group, "waiting"), COLOUR_YELLOW);
    add_count(table, number_of(group, "parked"), COLOUR_YELLOW);
    add_count(table, number_of(group, "dead_letters"), COLOUR_RED);
    add_members(table, group);
}

static void print_groups(const cJSON *groups)
{
    static const struct table_column columns[] = {
        {"GROUP", TABLE_LEFT},
        {"LAG", TABLE_RIGHT},
        {"OLDEST", TABLE_RIGHT},
        {"READY", TABLE_RIGHT},
        {"HELD", TABLE_RIGHT},
        {"WAITING", TABLE_RIGHT},
        {"PARKED", TABLE_RIGHT},
        {"DEAD", TABLE_RIGHT},
        {"MEMBERS", TABLE_LEFT},
    };
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, groups)
    {
        add_group(table, group);
    }
    if (table_rows_count(table) == 0) {
        puts("no group has subscribed yet");
    } else {
        table_print(table, 0, stdout);
        puts("\nLAG: events not dealt with. HELD: at a member. WAITING: for their next attempt.\n"
             "PARKED: behind a waiting one of the same key. DEAD: dead letters.");
    }
    table_destroy(&table);
}

static void print_failing(const cJSON *groups)
{
    static const struct table_column columns[] = {
        {"GROUP", TABLE_LEFT},
        {"TOPIC", TABLE_LEFT},
        {"OFFSET", TABLE_RIGHT},
        {"FAILURES", TABLE_RIGHT},
        {"NEXT", TABLE_RIGHT},
        {"SUBJECT", TABLE_LEFT},
        {"ERROR", TABLE_LEFT},
    };
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, groups)
    {
        const char *name = json_text_of(group, "name");
        const cJSON *event = NULL;
        cJSON_ArrayForEach(event, cJSON_GetObjectItemCaseSensitive(group, "failing"))
        {
            const char *topic = json_text_of(event, "topic");
            const char *key = json_text_of(event, "key");
            const char *error = json_text_of(event, "error");
            char due[TERM_NUMBER_SIZE];
            term_format_duration(due, number_of(event, "due_in_ms") * 1000);
            table_add(table, COLOUR_NONE, "%s", name == NULL ? "?" : name);
            table_add(table, COLOUR_NONE, "%s", topic == NULL ? "?" : topic);
            add_count(table, number_of(event, "offset"), COLOUR_NONE);
            add_count(table, number_of(event, "failures"), COLOUR_NONE);
            table_add(table, COLOUR_NONE, "%s", due);
            table_add(table, COLOUR_NONE, "%s", key == NULL ? "?" : key);
            table_add(table, COLOUR_RED, "%s", error == NULL ? "" : error);
        }
    }
    if (table_rows_count(table) > 0) {
        puts("\nFailing now, and tried again:\n");
        table_print(table, 0, stdout);
    }
    table_destroy(&table);
}

// What keeps the log from getting smaller, and events that find no place to go to.
static void print_held(const cJSON *groups, const cJSON *log)
{
    const cJSON *hold = cJSON_GetObjectItemCaseSensitive(log, "held_back_by");
    const char *holder = json_text_of(hold, "group");
    if (holder != NULL) {
        printf("\nRetention is held back by %s, at offset %lld.\n",
               holder,
               (long long)number_of(hold, "offset"));
    }
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, groups)
    {
        const char *name = json_text_of(group, "name");
        if (number_of(group, "dying") > 0 && name != NULL) {
            printf("\n%s gave up %lld more and has no room for them among its dead letters: they "
                   "wait. Make room: %s dead-letters redrive --group %s\n",
                   name,
                   (long long)number_of(group, "dying"),
                   cli_name(),
                   name);
        }
    }
}

static enum cli_exit list_run(const struct options *options)
{
    struct api *api = api_open(cli_dir(options));
    const struct api_request request = {
        .service = "broker", .method = "GET", .path = "/status", .timeout_ms = STATUS_TIMEOUT_MS};
    struct api_answer answer = {0};
    enum cli_exit result = CLI_UNKNOWN;
    if (api_call(api, &request, &answer) == ERR_OK) {
        cJSON *groups = cJSON_DetachItemFromObjectCaseSensitive(answer.json, "groups");
        if (answer.status != 200 || groups == NULL) {
            api_say_problem("the broker did not tell its status", &answer);
        } else if (options_flag(options, "json")) {
            cli_print_json(&groups);
            result = CLI_YES;
        } else {
            print_groups(groups);
            print_failing(groups);
            print_held(groups, cJSON_GetObjectItemCaseSensitive(answer.json, "log"));
            result = CLI_YES;
        }
        cJSON_Delete(groups);
    }
    api_answer_release(&answer);
    api_destroy(&api);
    return result;
}

static enum cli_exit delete_run(const struct options *options, const char *group)
{
    const struct wire_control question = {.type = WIRE_DELETE, .group = bytes_of_text(group)};
    struct wire_control answer;
    struct api *api = api_open(cli_dir(options));
    struct bus_guest *guest = bus_guest_visit(api_bus_url(api));
    enum cli_exit result = guest == NULL ? CLI_UNKNOWN : bus_guest_ask(guest, question, &answer);
    if (result == CLI_YES && options_flag(options, "json")) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "deleted", group);
        cli_print_json(&json);
    } else if (result == CLI_YES) {
        printf("%s is no group any more\n", group);
    }
    bus_guest_destroy(&guest);
    api_destroy(&api);
    return result;
}

static enum cli_exit groups_run(const struct options *options)
{
    const char *verb = options_argument(options, 0);
    const char *group = options_argument(options, 1);
    if (group == NULL && (verb == NULL || strcmp(verb, "list") == 0)) {
        return list_run(options);
    }
    if (group != NULL && strcmp(verb, "delete") == 0) {
        return delete_run(options, group);
    }
    cli_problem("groups knows list and delete GROUP. To begin again elsewhere: %s replay GROUP "
                "--from WHERE",
                cli_name());
    return CLI_UNKNOWN;
}

const struct command cmd_groups = {
    .name = "groups",
    .topic = COMMAND_LOOK,
    .arguments = "[list | delete GROUP]",
    .summary = "show the consumer groups: lag, members, what waits and what fails; delete one",
    .details =
        "A group that is deleted must have no members; its dead letters are listed no more.\n"
        "A service that starts again makes its group anew and reads the log from its start.\n"
        "To let a group begin again elsewhere, see replay.\n",
    .arguments_max = 2,
    .run = groups_run,
};
