// load - many orders, and what they cost.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/answer_record.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/table.h"
#include "common/mem.h"

enum {
    CLIENTS_ASYNC = 64,
    CLIENTS_SYNC = 16,
    HEALTH_TIMEOUT_MS = 5000,
};

static const struct option_def load_command_options[] = {
    {.name = "mode",
     .letter = 'm',
     .kind = OPTION_CHOICE,
     .value = "MODE",
     .fallback = "async",
     .choices = "async|sync",
     .help = "by events, or by the chain of HTTP calls"},
    {.name = "rate",
     .letter = 'r',
     .kind = OPTION_INT,
     .value = "N",
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .help = "orders a second; 0: as fast as they are taken"},
    {.name = "clients",
     .kind = OPTION_INT,
     .value = "N",
     .min = 1,
     .max = LOAD_CLIENTS_MAX,
     .help = "requests at a time (default 64 by events, 16 by HTTP)"},
    {.name = "token",
     .letter = 't',
     .kind = OPTION_TEXT,
     .value = "TOKEN",
     .fallback = "tok_visa",
     .help = "the payment token of every order"},
    {.name = "record",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .help = "append each answer to FILE, a line of JSON: for verify --record"},
    {.name = "timeout",
     .kind = OPTION_INT,
     .value = "SECONDS",
     .fallback = "30",
     .min = 0,
     .max = 3600,
     .help = "how long to wait for the last end after the last answer"},
    {0},
};

static double per_second(size_t count, int64_t us)
{
    return us <= 0 ? 0 : (double)count * 1e6 / (double)us;
}

static void add_times(struct table *table, const char *name, const struct load_times *times)
{
    const int64_t values[] = {times->p50_us, times->p99_us, times->max_us};
    table_add(table, COLOUR_NONE, "%s", name);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char text[TERM_NUMBER_SIZE];
        term_format_duration(text, times->count == 0 ? -1 : values[i]);
        table_add(table, COLOUR_NONE, "%s", text);
    }
}

static void print_count(const char *name, size_t count, const char *note)
{
    char text[TERM_NUMBER_SIZE];
    term_format_count(text, (int64_t)count);
    printf("  %-11s %12s  %s\n", name, text, note);
}

static void print_for_people(const struct load_options *load, const struct load_result *result)
{
    char *rate = mem_format("%.0f a second", per_second(result->accepted, result->sending_us));
    print_count("accepted", result->accepted, rate);
    free(rate);
    rate = mem_format("%.0f a second from the first order to the last end",
                      per_second(result->confirmed + result->cancelled, result->finishing_us));
    print_count("confirmed", result->confirmed, load->sync ? "" : rate);
    free(rate);
    print_count("cancelled", result->cancelled, "");
    print_count("refused", result->refused, "answered 4xx");
    print_count("failed", result->failed, "answered 5xx, or not at all");
    if (!load->sync) {
        print_count("unfinished",
                    result->unfinished,
                    result->ends_unknown ? "the broker could not be asked" : "");
    }
    printf("\n");
    static const struct table_column columns[] = {
        {"", TABLE_LEFT}, {"p50", TABLE_RIGHT}, {"p99", TABLE_RIGHT}, {"max", TABLE_RIGHT}};
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    add_times(table, "answer", &result->answer);
    add_times(table, "end", load->sync ? &result->answer : &result->end);
    table_print(table, 2, stdout);
    table_destroy(&table);
}

static cJSON *times_to_json(const struct load_times *times)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "p50_ms", (double)times->p50_us / 1000);
    cJSON_AddNumberToObject(json, "p99_ms", (double)times->p99_us / 1000);
    cJSON_AddNumberToObject(json, "max_ms", (double)times->max_us / 1000);
    return json;
}

static void print_for_programs(const struct load_options *load, const struct load_result *result)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "mode", load->sync ? "sync" : "async");
    cJSON_AddNumberToObject(json, "orders", (double)load->orders_count);
    cJSON_AddNumberToObject(json, "accepted", (double)result->accepted);
    cJSON_AddNumberToObject(json, "confirmed", (double)result->confirmed);
    cJSON_AddNumberToObject(json, "cancelled", (double)result->cancelled);
    cJSON_AddNumberToObject(json, "refused", (double)result->refused);
    cJSON_AddNumberToObject(json, "failed", (double)result->failed);
    cJSON_AddNumberToObject(json, "unfinished", (double)result->unfinished);
    cJSON_AddNumberToObject(
        json, "accepted_per_second", per_second(result->accepted, result->sending_us));
    cJSON_AddNumberToObject(
        json,
        "finished_per_second",
        per_second(result->confirmed + result->cancelled, result->finishing_us));
    cJSON_AddItemToObject(json, "answer", times_to_json(&result->answer));
    cJSON_AddItemToObject(json, "end", times_to_json(load->sync ? &result->answer : &result->end));
    cJSON *statuses = cJSON_AddObjectToObject(json, "statuses");
    for (size_t i = 0; i < result->statuses_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", result->statuses[i].status);
        cJSON_AddNumberToObject(statuses, name, (double)result->statuses[i].count);
    }
    cli_print_json(&json);
}

static bool read_count(const struct options *options, size_t *count)
{
    const char *text = options_argument(options, 0);
    char *end = NULL;
    const long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || number < 1 || number > LOAD_ORDERS_MAX) {
        cli_problem("load %s: give a number of orders from 1 to %d", text, LOAD_ORDERS_MAX);
        return false;
    }
    *count = (size_t)number;
    return true;
}

// Says what to do when nobody does: better than a table of failures.
static bool somebody_answers(struct api *api)
{
    struct api_answer answer = {0};
    const struct api_request request = {
        .service = "order", .method = "GET", .path = "/healthz", .timeout_ms = HEALTH_TIMEOUT_MS};
    const enum err err = api_call(api, &request, &answer);
    api_answer_release(&answer);
    return err == ERR_OK;
}

// False: the file that --record names cannot be written to; it has been said.
static bool open_record(const struct options *options, int *fd)
{
    const char *path = options_text(options, "record");
    *fd = path == NULL ? -1 : answer_record_open(path);
    if (path != NULL && *fd < 0) {
        cli_problem("cannot write to %s: %s", path, strerror(errno));
    }
    return path == NULL || *fd >= 0;
}

static enum cli_exit load_command_run(const struct options *options)
{
    struct api *api = api_open(cli_dir(options));
    const bool sync = strcmp(options_text(options, "mode"), "sync") == 0;
    char *order_url = mem_format("http://127.0.0.1:%d", api_port(api, "order"));
    struct load_options load = {
        .order_url = order_url,
        .bus_url = api_bus_url(api),
        .payment_token = options_text(options, "token"),
        .rate = options_int(options, "rate"),
        .clients_count = sync ? CLIENTS_SYNC : CLIENTS_ASYNC,
        .sync = sync,
        .timeout_ms = options_int(options, "timeout") * 1000,
        .progress = isatty(STDERR_FILENO) == 1,
        .record_fd = -1,
    };
    if (options_is_given(options, "clients")) {
        load.clients_count = (size_t)options_int(options, "clients");
    }
    enum cli_exit exit = CLI_UNKNOWN;
    if (read_count(options, &load.orders_count) && open_record(options, &load.record_fd) &&
        somebody_answers(api)) {
        struct load_result result;
        load_run(&load, &result);
        if (options_flag(options, "json")) {
            print_for_programs(&load, &result);
        } else {
            print_for_people(&load, &result);
        }
        const bool untold = result.ends_unknown || result.accepted + result.refused == 0;
        exit = untold ? CLI_UNKNOWN : result.failed + result.unfinished > 0 ? CLI_NO : CLI_YES;
    }
    if (load.record_fd >= 0) {
        close(load.record_fd);
    }
    free(order_url);
    api_destroy(&api);
    return exit;
}

const struct command cmd_load = {
    .name = "load",
    .topic = COMMAND_WORK,
    .arguments = "N",
    .summary = "place N orders and measure answers and ends",
    .details = "With --rate a time counts from when the order was due, not from when it was sent.\n"
               "Exit 0: all were taken or refused by a rule, and have their end.\n",
    .options = load_command_options,
    .arguments_min = 1,
    .arguments_max = 1,
    .run = load_command_run,
};
