// dead-letters - the events that a group could not deal with: which, why, and back to it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/redrive.h"
#include "cli/table.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    CALL_TIMEOUT_MS = 2000,
    OFFSETS_MAX = 1000, // that redrive takes
};

static const struct option_def dead_letters_options[] = {
    {.name = "group",
     .kind = OPTION_TEXT,
     .value = "GROUP",
     .help = "list, redrive: those of a group"},
    {.name = "all", .kind = OPTION_FLAG, .help = "redrive: those of every group"},
    {.name = "limit",
     .kind = OPTION_INT,
     .value = "N",
     .fallback = "100",
     .min = 1,
     .max = 500,
     .help = "list: so many at most"},
    {.name = "after",
     .kind = OPTION_INT,
     .value = "OFFSET",
     .min = 0,
     .max = INT64_C(1) << 53,
     .help = "list: only those behind this offset"},
    {0},
};

static const char *text_or(const cJSON *object, const char *name, const char *fallback)
{
    const char *text = json_text_of(object, name);
    return text == NULL ? fallback : text;
}

static long long number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(number) ? (long long)number->valuedouble : 0;
}

static void print_list(const cJSON *answer)
{
    static const struct table_column columns[] = {
        {"OFFSET", TABLE_RIGHT},
        {"GROUP", TABLE_LEFT},
        {"TOPIC", TABLE_LEFT},
        {"ATTEMPTS", TABLE_RIGHT},
        {"DEAD AT", TABLE_LEFT},
        {"SUBJECT", TABLE_LEFT},
        {"ERROR", TABLE_LEFT},
    };
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    const cJSON *letter = NULL;
    cJSON_ArrayForEach(letter, cJSON_GetObjectItemCaseSensitive(answer, "dead_letters"))
    {
        const char *group = text_or(letter, "group", "?");
        table_add(table, COLOUR_NONE, "%lld", number_of(letter, "offset"));
        table_add(table, term_service_colour(group), "%s", group);
        table_add(table, COLOUR_NONE, "%s", text_or(letter, "topic", "?"));
        table_add(table, COLOUR_NONE, "%lld", number_of(letter, "attempts"));
        table_add(table, COLOUR_NONE, "%.19sZ", text_or(letter, "dead_at", "?"));
        table_add(table, COLOUR_NONE, "%s", text_or(letter, "key", "?"));
        table_add(table, COLOUR_RED, "%s", text_or(letter, "error", ""));
    }
    if (table_rows_count(table) == 0) {
        puts("there are no dead letters");
    } else {
        table_print(table, 0, stdout);
        printf("\nMore about one: %s dead-letters show OFFSET. Back to its group: %s dead-letters "
               "redrive OFFSET\n",
               cli_name(),
               cli_name());
    }
    const cJSON *next = cJSON_GetObjectItemCaseSensitive(answer, "next");
    if (cJSON_IsNumber(next)) {
        printf("There are more: %s dead-letters list --after %lld\n",
               cli_name(),
               (long long)next->valuedouble);
    }
    table_destroy(&table);
}

static void print_one(const cJSON *letter)
{
    static const struct {
        const char *title;
        const char *name;
    } texts[] = {
        {"group", "group"},
        {"topic", "topic"},
        {"subject", "key"},
        {"event id", "event_id"},
        {"error", "error"},
        {"first failed", "first_failed_at"},
        {"dead since", "dead_at"},
    };
    printf("dead letter at offset %lld (given up: %lld; the event itself is at %lld)\n\n",
           number_of(letter, "offset"),
           number_of(letter, "original_offset"),
           number_of(letter, "first_offset"));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        printf("  %-13s %s\n", texts[i].title, text_or(letter, texts[i].name, "-"));
    }
    printf("  %-13s %lld, %lld failed\n\n",
           "attempts",
           number_of(letter, "attempts"),
           number_of(letter, "failures"));
    char *event = cJSON_Print(cJSON_GetObjectItemCaseSensitive(letter, "event"));
    if (event != NULL) {
        puts(event);
    }
    cJSON_free(event);
}

// Calls the broker; the answer is JSON for programs, or print's.
static enum cli_exit ask(const struct options *options, const char *path,
                         void (*print)(const cJSON *answer))
{
    struct api *api = api_open(cli_dir(options));
    const struct api_request request = {
        .service = "broker", .method = "GET", .path = path, .timeout_ms = CALL_TIMEOUT_MS};
    struct api_answer answer = {0};
    enum cli_exit result = CLI_UNKNOWN;
    if (api_call(api, &request, &answer) != ERR_OK) {
        goto out;
    }
    if (answer.status == 404) {
        cli_problem("there is no such dead letter. Look: %s dead-letters list", cli_name());
        result = CLI_NO;
    } else if (answer.status != 200 || answer.json == NULL) {
        api_say_problem("the broker did not tell", &answer);
    } else if (options_flag(options, "json")) {
        cli_print_json(&answer.json);
        result = CLI_YES;
    } else {
        print(answer.json);
        result = CLI_YES;
    }

out:
    api_answer_release(&answer);
    api_destroy(&api);
    return result;
}

static enum cli_exit list_run(const struct options *options)
{
    const char *group = options_text(options, "group");
    // A name goes into the URL as it is; what cannot be one has no dead letters.
    if (group != NULL && group[strspn(group, "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0') {
        cli_problem("'%s' is no name of a group", group);
        return CLI_UNKNOWN;
    }
    struct buf path = {0};
    buf_printf(&path, "/dead-letters?limit=%lld", (long long)options_int(options, "limit"));
    if (group != NULL) {
        buf_printf(&path, "&group=%s", group);
    }
    if (options_is_given(options, "after")) {
        buf_printf(&path, "&after=%lld", (long long)options_int(options, "after"));
    }
    buf_put_u8(&path, 0);
    const enum cli_exit result = ask(options, (const char *)path.data, print_list);
    buf_release(&path);
    return result;
}

static enum cli_exit show_run(const struct options *options)
{
    const char *offset = options_argument(options, 1);
    if (offset == NULL || offset[0] == '\0' || offset[strspn(offset, "0123456789")] != '\0' ||
        strlen(offset) > 16) {
        cli_problem("show which one? %s dead-letters show OFFSET", cli_name());
        return CLI_UNKNOWN;
    }
    char *path = mem_format("/dead-letters/%s", offset);
    const enum cli_exit result = ask(options, path, print_one);
    free(path);
    return result;
}

static enum cli_exit dead_letters_run(const struct options *options)
{
    static const struct {
        const char *name;
        enum cli_exit (*run)(const struct options *options);
    } verbs[] = {
        {"list", list_run},
        {"show", show_run},
        {"redrive", redrive_run},
    };
    const char *verb = options_argument(options, 0);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verb == NULL ? "list" : verb, verbs[i].name) == 0) {
            return verbs[i].run(options);
        }
    }
    cli_problem("dead-letters knows list, show and redrive, not '%s'", verb);
    return CLI_UNKNOWN;
}

const struct command cmd_dead_letters = {
    .name = "dead-letters",
    .topic = COMMAND_LOOK,
    .arguments = "[list | show OFFSET | redrive OFFSET...]",
    .summary = "list the events that a group could not deal with, show one, give them back",
    .details =
        "redrive gives an event back to the group that gave it up, and to no other: the same\n"
        "event, behind what its subject has waiting there, its attempts counted anew. Find\n"
        "the cause first: show tells the last error.\n",
    .options = dead_letters_options,
    .arguments_max = 1 + OFFSETS_MAX,
    .run = dead_letters_run,
};
