#include "cli/chaos/chaos_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/chaos/chaos_findings.h"
#include "cli/table.h"
#include "common/crash_point.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    PERCENT_MEDIAN = 50,
    PERCENT_HIGH = 99,
    PERCENT_MAX = 100,
};

static const int percents[] = {PERCENT_MEDIAN, PERCENT_HIGH, PERCENT_MAX};
static const char *const percent_names[] = {"p50_ms", "p99_ms", "max_ms"};

static size_t hits_of_kind(const struct chaos_tally *tally, size_t kind)
{
    size_t sum = 0;
    for (size_t i = 0; i < tally->parts_count; i++) {
        sum += tally->hits[kind][i];
    }
    return sum;
}

// --- for people

static void add_count(struct table *table, size_t count)
{
    char text[TERM_NUMBER_SIZE];
    if (count == 0) {
        table_add(table, COLOUR_DIM, "-");
        return;
    }
    term_format_count(text, (int64_t)count);
    table_add(table, COLOUR_NONE, "%s", text);
}

// A row a kind, a column a process.
static void print_faults(const struct chaos_tally *tally)
{
    struct table_column columns[CHAOS_PARTS_MAX + 2] = {{"FAULT", TABLE_LEFT},
                                                        {"ALL", TABLE_RIGHT}};
    for (size_t i = 0; i < tally->parts_count; i++) {
        columns[i + 2] = (struct table_column){tally->names[i], TABLE_RIGHT};
    }
    struct table *table = table_new(columns, tally->parts_count + 2);
    for (size_t kind = 0; kind < CHAOS_KINDS; kind++) {
        if (hits_of_kind(tally, kind) == 0) {
            continue;
        }
        table_add(table, COLOUR_BOLD, "%s", chaos_kinds[kind].name);
        add_count(table, hits_of_kind(tally, kind));
        for (size_t i = 0; i < tally->parts_count; i++) {
            add_count(table, tally->hits[kind][i]);
        }
    }
    table_print(table, 0, stdout);
    table_destroy(&table);
}

// What of the crash points that processes were started with they came to.
static void print_points(const struct chaos_tally *tally)
{
    static const struct table_column columns[] = {
        {"CRASH POINT", TABLE_LEFT}, {"ARMED", TABLE_RIGHT}, {"FIRED", TABLE_RIGHT}};
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < CHAOS_POINTS_MAX && crash_points[i].name != NULL; i++) {
        if (tally->armed[i] > 0) {
            table_add(table, COLOUR_NONE, "%s", crash_points[i].name);
            add_count(table, tally->armed[i]);
            add_count(table, tally->fired[i]);
        }
    }
    if (table_rows_count(table) > 0) {
        puts("");
        table_print(table, 0, stdout);
    }
    table_destroy(&table);
}

static void add_times(struct table *table, struct chaos_times *times)
{
    for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
        char text[TERM_NUMBER_SIZE];
        term_format_duration(text, chaos_times_percentile(times, percents[i]));
        table_add(table, COLOUR_NONE, "%s", text);
    }
}

static void print_times(struct chaos_tally *tally)
{
    static const struct table_column columns[] = {
        {"FAULT", TABLE_LEFT},
        {"RECOVERED", TABLE_RIGHT},
        {"OUT p50", TABLE_RIGHT},
        {"p99", TABLE_RIGHT},
        {"max", TABLE_RIGHT},
        {"RECOVERY p50", TABLE_RIGHT},
        {"p99", TABLE_RIGHT},
        {"max", TABLE_RIGHT},
    };
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    for (size_t kind = 0; kind < CHAOS_KINDS; kind++) {
        if (tally->outage[kind].count > 0) {
            table_add(table, COLOUR_BOLD, "%s", chaos_kinds[kind].name);
            add_count(table, tally->outage[kind].count);
            add_times(table, &tally->outage[kind]);
            add_times(table, &tally->recovery[kind]);
        }
    }
    puts("\nOut: from the fault to ready again. Recovery: from its end (the start, …) to ready.");
    table_print(table, 0, stdout);
    table_destroy(&table);
}

static void print_ways(const struct chaos_result *result)
{
    static const struct table_column columns[] = {
        {"WORK", TABLE_LEFT},
        {"PLACED", TABLE_RIGHT},
        {"ACCEPTED", TABLE_RIGHT},
        {"REFUSED", TABLE_RIGHT},
        {"NOT TAKEN", TABLE_RIGHT},
        {"UNKNOWN", TABLE_RIGHT},
        {"REPEATS", TABLE_RIGHT},
    };
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    for (size_t way = 0; way < CHAOS_WAYS; way++) {
        const struct chaos_way_counts *counts = &result->ways[way];
        const size_t numbers[] = {counts->placed,
                                  counts->accepted,
                                  counts->refused,
                                  counts->failed,
                                  counts->unknown,
                                  counts->repeated};
        table_add(table, COLOUR_BOLD, "%s", chaos_way_name((enum chaos_way)way));
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
            add_count(table, numbers[i]);
        }
    }
    puts("");
    table_print(table, 0, stdout);
    table_destroy(&table);
}

static void print_end(const struct chaos_result *result)
{
    const struct chaos_settled *settled = &result->settled;
    char took[TERM_NUMBER_SIZE];
    term_format_duration(took, settled->took_ms * 1000);
    if (settled->finished) {
        printf(
            "\nAll was finished %s after the last order; %zu dead letters are poison, %zu others "
            "were given back.\n",
            took,
            settled->poison,
            settled->redriven);
    }
}

static void print_findings(const struct chaos_options *options, const struct chaos_result *result)
{
    const bool colours = term_has_colours(stdout);
    cJSON *findings = chaos_findings(result);
    const cJSON *finding = NULL;
    if (cJSON_GetArraySize(findings) > 0) {
        puts("");
    }
    cJSON_ArrayForEach(finding, findings)
    {
        printf("%s%s%s\n",
               term_start(COLOUR_RED, colours),
               json_text_of(finding, "text"),
               term_end(COLOUR_RED, colours));
    }
    if (cJSON_GetArraySize(findings) > 0) {
        printf("What happened and when: %s\n", options->log);
    }
    cJSON_Delete(findings);
}

void chaos_report_print(const struct chaos_options *options, struct chaos_result *result)
{
    char took[TERM_NUMBER_SIZE];
    term_format_duration(took, result->took_ms * 1000);
    printf("Seed %llu: %zu actions in %s%s, %zu of their faults missed.\n\n",
           (unsigned long long)options->seed,
           result->actions,
           took,
           result->ended_early ? " (ended early)" : "",
           result->tally.missed);
    print_faults(&result->tally);
    print_times(&result->tally);
    print_points(&result->tally);
    print_ways(result);
    print_end(result);
    print_findings(options, result);
}

// --- for programs

static void add(cJSON *json, const char *name, size_t number)
{
    cJSON_AddNumberToObject(json, name, (double)number);
}

static cJSON *times_to_json(struct chaos_times *times)
{
    cJSON *json = cJSON_CreateObject();
    for (size_t i = 0; i < ARRAY_LEN(percents) && times->count > 0; i++) {
        const int64_t us = chaos_times_percentile(times, percents[i]);
        cJSON_AddNumberToObject(json, percent_names[i], (double)us / 1000.0);
    }
    return json;
}

static cJSON *faults_to_json(struct chaos_tally *tally)
{
    cJSON *json = cJSON_CreateObject();
    for (size_t kind = 0; kind < CHAOS_KINDS; kind++) {
        cJSON *fault = cJSON_AddObjectToObject(json, chaos_kinds[kind].name);
        add(fault, "times", hits_of_kind(tally, kind));
        cJSON *processes = cJSON_AddObjectToObject(fault, "processes");
        for (size_t i = 0; i < tally->parts_count; i++) {
            add(processes, tally->names[i], tally->hits[kind][i]);
        }
        add(fault, "recovered", tally->outage[kind].count);
        cJSON_AddItemToObject(fault, "out", times_to_json(&tally->outage[kind]));
        cJSON_AddItemToObject(fault, "recovery", times_to_json(&tally->recovery[kind]));
    }
    return json;
}

static cJSON *ways_to_json(const struct chaos_result *result)
{
    cJSON *json = cJSON_CreateObject();
    for (size_t i = 0; i < CHAOS_WAYS; i++) {
        const struct chaos_way_counts *counts = &result->ways[i];
        cJSON *way = cJSON_AddObjectToObject(json, chaos_way_name((enum chaos_way)i));
        add(way, "placed", counts->placed);
        add(way, "accepted", counts->accepted);
        add(way, "refused", counts->refused);
        add(way, "not_taken", counts->failed);
        add(way, "unknown", counts->unknown);
        add(way, "repeats", counts->repeated);
    }
    return json;
}

cJSON *chaos_report_to_json(const struct chaos_options *options, struct chaos_result *result)
{
    cJSON *json = cJSON_CreateObject();
    add(json, "seed", options->seed);
    cJSON_AddNumberToObject(json, "took_ms", (double)result->took_ms);
    cJSON_AddBoolToObject(json, "ended_early", result->ended_early);
    add(json, "actions", result->actions);
    add(json, "missed", result->tally.missed);
    cJSON_AddItemToObject(json, "faults", faults_to_json(&result->tally));
    cJSON_AddItemToObject(json, "work", ways_to_json(result));
    cJSON *points = cJSON_AddObjectToObject(json, "crash_points");
    for (size_t i = 0; i < CHAOS_POINTS_MAX && crash_points[i].name != NULL; i++) {
        if (result->tally.armed[i] > 0) {
            cJSON *point = cJSON_AddObjectToObject(points, crash_points[i].name);
            add(point, "armed", result->tally.armed[i]);
            add(point, "fired", result->tally.fired[i]);
        }
    }
    cJSON_AddItemToObject(json, "findings", chaos_findings(result));
    cJSON *end = cJSON_AddObjectToObject(json, "end");
    cJSON_AddBoolToObject(end, "all_ready", result->all_ready);
    cJSON_AddBoolToObject(end, "finished", result->settled.finished);
    cJSON_AddNumberToObject(end, "took_ms", (double)result->settled.took_ms);
    add(end, "redriven", result->settled.redriven);
    add(end, "poison", result->settled.poison);
    return json;
}
