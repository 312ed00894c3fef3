// crash-points - the places in the code where a process can be made to die.
#include <stdio.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "common/crash_point.h"
#include "common/mem.h"

static void print_json(void)
{
    cJSON *list = cJSON_CreateArray();
    for (const struct crash_point_def *point = crash_points; point->name != NULL; point++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", point->name);
        cJSON_AddStringToObject(item, "process", point->process);
        cJSON_AddStringToObject(item, "sentence", point->sentence);
        cJSON_AddItemToArray(list, item);
    }
    cli_print_json(&list);
}

static void print_table(void)
{
    static const struct table_column columns[] = {
        {"NAME", TABLE_LEFT}, {"PROCESS", TABLE_LEFT}, {"WHAT HAS HAPPENED THERE", TABLE_LEFT}};
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    for (const struct crash_point_def *point = crash_points; point->name != NULL; point++) {
        table_add(table, COLOUR_BOLD, "%s", point->name);
        table_add(table, term_service_colour(point->process), "%s", point->process);
        table_add(table, COLOUR_NONE, "%s", point->sentence);
    }
    table_print(table, 0, stdout);
    table_destroy(&table);
    printf("\nPROCESS service: each of the seven. Try: %s kill payment; "
           "%s start payment --crash-at service-after-commit; %s order\n",
           cli_name(),
           cli_name(),
           cli_name());
}

static enum cli_exit crash_points_run(const struct options *options)
{
    if (options_flag(options, "json")) {
        print_json();
    } else {
        print_table();
    }
    return CLI_YES;
}

const struct command cmd_crash_points = {
    .name = "crash-points",
    .topic = COMMAND_STACK,
    .arguments = "",
    .summary = "list the places in the code where a process can be made to die at once",
    .details =
        "A process that is started with FAULTLINE_CRASH_AT=NAME ends when it comes to that place,\n"
        "as by kill -9: nothing is flushed, nobody is told. NAME:3 means the third time. It says\n"
        "so in a line on standard error, which is in its log, and ends with exit code 86.\n"
        "\n"
        "  faultline kill payment\n"
        "  faultline start payment --crash-at service-after-commit:10    this start alone\n"
        "  faultline load 100; faultline ps; faultline logs payment\n"
        "  faultline start payment                                       as if nothing had been\n",
    .run = crash_points_run,
};
