// ps - the processes of the stack: where they are and how they do.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/target.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    PROBE_TIMEOUT_MS = 500
};

// What can be learned of one part.
struct facts {
    const char *state; // "ready", "not ready", "paused" or "dead"
    int64_t pss_kb;    // -1: unknown, as below
    int64_t cpu_ms;
    int64_t age_ms;
    int64_t lag_events; // of its group
};

static bool answers_ready(struct http_client *client, int port)
{
    char url[64];
    struct http_response response;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/readyz", port);
    return http_client_call(client, "GET", url, NULL, NULL, PROBE_TIMEOUT_MS, &response) ==
               ERR_OK &&
           response.status == 200;
}

// The events that the group of a service has not dealt with; -1: the broker has no
// such group, or does not answer.
static int64_t group_lag(const cJSON *status, const char *service)
{
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(status, "groups"))
    {
        const char *name = json_text_of(group, "name");
        const cJSON *lag = cJSON_GetObjectItemCaseSensitive(group, "lag_events");
        if (name != NULL && strcmp(name, service) == 0 && cJSON_IsNumber(lag)) {
            return (int64_t)lag->valuedouble;
        }
    }
    return -1;
}

static struct facts learn(struct http_client *client, const struct part *part, const cJSON *status)
{
    struct facts facts = {
        .state = part_state_name(part->state),
        .pss_kb = -1,
        .cpu_ms = -1,
        .age_ms = -1,
        .lag_events = group_lag(status, house_service(part->service)),
    };
    if (part->state == PROCESS_RUNNING) {
        facts.state = part->port != 0 && answers_ready(client, part->port) ? "ready" : "not ready";
    }
    if (part->state != PROCESS_DEAD) {
        facts.pss_kb = process_pss_kb(part->id.pid);
        process_times(part->id, &facts.cpu_ms, &facts.age_ms);
    }
    return facts;
}

static enum colour state_colour(const char *state)
{
    if (strcmp(state, "ready") == 0) {
        return COLOUR_GREEN;
    }
    return strcmp(state, "dead") == 0 ? COLOUR_RED : COLOUR_YELLOW;
}

static void add_number(struct table *table, int64_t number)
{
    char text[TERM_NUMBER_SIZE];
    if (number < 0) {
        table_add(table, COLOUR_DIM, "-");
        return;
    }
    term_format_count(text, number);
    table_add(table, COLOUR_NONE, "%s", text);
}

static double cpu_percent(const struct facts *facts)
{
    return facts->age_ms <= 0 ? 0.0 : 100.0 * (double)facts->cpu_ms / (double)facts->age_ms;
}

static void add_row(struct table *table, const struct part *part, const struct facts *facts)
{
    table_add(table, term_service_colour(house_service(part->service)), "%s", part->name);
    table_add(table, state_colour(facts->state), "%s", facts->state);
    if (part->state == PROCESS_DEAD) {
        for (int i = 0; i < 5; i++) {
            table_add(table, COLOUR_DIM, "-");
        }
    } else {
        char age[TERM_NUMBER_SIZE];
        term_format_duration(age, facts->age_ms < 0 ? -1 : facts->age_ms * 1000);
        table_add(table, COLOUR_NONE, part->id.pid > 0 ? "%ld" : "-", (long)part->id.pid);
        table_add(table, COLOUR_NONE, part->port > 0 ? "%d" : "-", part->port);
        table_add(table,
                  COLOUR_NONE,
                  facts->pss_kb < 0 ? "-" : "%.1f MB",
                  (double)facts->pss_kb / 1024.0);
        table_add(table, COLOUR_NONE, facts->cpu_ms < 0 ? "-" : "%.1f %%", cpu_percent(facts));
        table_add(table, COLOUR_NONE, "%s", age);
    }
    if (part->service == 0) {
        table_add(table, COLOUR_NONE, "%s", "");
    } else {
        add_number(table, facts->lag_events);
    }
}

static void add_json(cJSON *list, const struct part *part, const struct facts *facts)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", part->name);
    cJSON_AddStringToObject(item, "service", house_service(part->service));
    cJSON_AddStringToObject(item, "state", facts->state);
    cJSON_AddBoolToObject(item, "ready", strcmp(facts->state, "ready") == 0);
    const struct {
        const char *name;
        int64_t value;
        bool known;
    } numbers[] = {
        {"pid", (int64_t)part->id.pid, part->state != PROCESS_DEAD && part->id.pid > 0},
        {"port", part->port, part->port > 0},
        {"pss_kb", facts->pss_kb, facts->pss_kb >= 0},
        {"cpu_ms", facts->cpu_ms, facts->cpu_ms >= 0},
        {"age_ms", facts->age_ms, facts->age_ms >= 0},
        {"lag_events", facts->lag_events, facts->lag_events >= 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (numbers[i].known) {
            cJSON_AddNumberToObject(item, numbers[i].name, (double)numbers[i].value);
        } else {
            cJSON_AddNullToObject(item, numbers[i].name);
        }
    }
    cJSON_AddItemToArray(list, item);
}

static cJSON *broker_status(struct http_client *client, const struct target *target)
{
    for (size_t i = 0; i < target->parts_count; i++) {
        const struct part *part = &target->parts[i];
        char url[64];
        struct http_response response;
        snprintf(url, sizeof url, "http://127.0.0.1:%d/status", part->port);
        if (part->service == 0 && part->state == PROCESS_RUNNING && part->port != 0 &&
            http_client_call(client, "GET", url, NULL, NULL, PROBE_TIMEOUT_MS, &response) ==
                ERR_OK) {
            return cJSON_ParseWithLength((const char *)response.body.data, response.body.size);
        }
    }
    return NULL;
}

static enum cli_exit ps_run(const struct options *options)
{
    static const struct table_column columns[] = {
        {"NAME", TABLE_LEFT},
        {"STATE", TABLE_LEFT},
        {"PID", TABLE_RIGHT},
        {"PORT", TABLE_RIGHT},
        {"MEMORY", TABLE_RIGHT},
        {"CPU", TABLE_RIGHT},
        {"AGE", TABLE_RIGHT},
        {"LAG", TABLE_RIGHT},
    };
    struct target *target = NULL;
    const enum err err = target_find(&target, cli_dir(options));
    if (err != ERR_OK) {
        return err == ERR_NOT_FOUND ? CLI_NO : CLI_UNKNOWN;
    }
    struct http_client *client = http_client_new();
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    cJSON *status = broker_status(client, target);
    cJSON *list = cJSON_CreateArray();
    size_t ready_count = 0;
    int64_t memory_kb = 0;
    for (size_t i = 0; i < target->parts_count; i++) {
        const struct facts facts = learn(client, &target->parts[i], status);
        ready_count += strcmp(facts.state, "ready") == 0 ? 1 : 0;
        memory_kb += facts.pss_kb > 0 ? facts.pss_kb : 0;
        add_row(table, &target->parts[i], &facts);
        add_json(list, &target->parts[i], &facts);
    }
    if (options_flag(options, "json")) {
        cli_print_json(&list);
    } else {
        table_print(table, 0, stdout);
        printf(
            "\n%zu of %zu ready%s, %.1f MB in all. LAG: events its group has still to deal with\n",
            ready_count,
            target->parts_count,
            target->stack == NULL ? " (docker compose)" : "",
            (double)memory_kb / 1024.0);
    }
    const bool all_ready = ready_count == target->parts_count;
    cJSON_Delete(list);
    cJSON_Delete(status);
    table_destroy(&table);
    http_client_destroy(&client);
    target_destroy(&target);
    return all_ready ? CLI_YES : CLI_NO;
}

const struct command cmd_ps = {
    .name = "ps",
    .topic = COMMAND_STACK,
    .arguments = "",
    .summary = "show the processes: ready or not, pid, port, memory, processor, lag",
    .details = "MEMORY is the proportional share (PSS); CPU is the mean over the process's life.\n"
               "The answer is yes (exit code 0) when every process is ready.\n",
    .run = ps_run,
};
