#include "cli/chaos/chaos_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "common/crash_point.h"
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

// What makes an answer "no" although the books may add up, each with a sentence.
static size_t findings_of(const struct chaos_result *result, size_t index, const char **sentence)
{
    const struct {
        size_t count;
        const char *sentence;
    } findings[] = {
        {result->tally.deaths, "died without having been asked to"},
        {result->tally.bad_ends, "did not end with exit code 0 within 5 s of SIGTERM"},
        {result->tally.bad_lifts, "could not be started, paused or limited when it should"},
        {result->settled.all_ready ? 0 : 1, "time the house did not come back as a whole"},
        {result->settled.finished || !result->settled.all_ready ? 0 : 1,
         "time not everything was finished in the end"},
        {0, NULL},
    };
    *sentence = findings[index].sentence;
    return findings[index].count;
}

bool chaos_report_is_good(const struct chaos_result *result)
{
    const char *sentence = NULL;
    size_t sum = 0;
    for (size_t i = 0;; i++) {
        const size_t count = findings_of(result, i, &sentence);
        if (sentence == NULL) {
            return sum == 0;
        }
        sum += count;
    }
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
    const bool colours = term_has_colours(stdout);
    const char *sentence = NULL;
    for (size_t i = 0;; i++) {
        const size_t count = findings_of(result, i, &sentence);
        if (sentence == NULL) {
            break;
        }
        if (count > 0) {
            printf("%s%zu %s%s\n",
                   term_start(COLOUR_RED, colours),
                   count,
                   sentence,
                   term_end(COLOUR_RED, colours));
        }
    }
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
    cJSON *findings = cJSON_AddObjectToObject(json, "findings");
    add(findings, "deaths", result->tally.deaths);
    add(findings, "bad_ends", result->tally.bad_ends);
    add(findings, "bad_lifts", result->tally.bad_lifts);
    cJSON *end = cJSON_AddObjectToObject(json, "end");
    cJSON_AddBoolToObject(end, "all_ready", result->settled.all_ready);
    cJSON_AddBoolToObject(end, "finished", result->settled.finished);
    cJSON_AddNumberToObject(end, "took_ms", (double)result->settled.took_ms);
    add(end, "redriven", result->settled.redriven);
    add(end, "poison", result->settled.poison);
    return json;
}
