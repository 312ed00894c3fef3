#include "cli/verify_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/term.h"
#include "common/mem.h"

enum {
    WAITS_SHOWN = 10
};

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static const char *count_text(char out[TERM_NUMBER_SIZE], uint64_t count)
{
    term_format_count(out, (int64_t)count);
    return out;
}

// --- for people

static void print_checks(const struct verify_result *result)
{
    static const struct table_column columns[] = {
        {"CHECK", TABLE_LEFT}, {"LOOKED AT", TABLE_LEFT}, {"RESULT", TABLE_LEFT}};
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    char number[TERM_NUMBER_SIZE];
    for (size_t i = 0; i < result->checks_count; i++) {
        const struct verify_found *found = &result->checks[i];
        table_add(table, COLOUR_NONE, "%s", found->check->name);
        table_add(table,
                  COLOUR_NONE,
                  "%s %s",
                  count_text(number, found->looked_at),
                  verify_noun_name(found->check->noun));
        if (found->count > 0) {
            table_add(table,
                      COLOUR_RED,
                      "%s violation%s",
                      count_text(number, found->count),
                      plural(found->count));
        } else {
            table_add(table, COLOUR_GREEN, "holds");
        }
    }
    table_print(table, 0, stdout);
    table_destroy(&table);
}

static void print_waits(const struct verify_result *result)
{
    static const struct table_column columns[] = {{"PENDING", TABLE_RIGHT},
                                                  {"ENDED", TABLE_RIGHT},
                                                  {"EVENTS", TABLE_RIGHT},
                                                  {"", TABLE_LEFT}};
    if (result->chain_runs > 0) {
        printf("\n%llu order%s over HTTP: the chain is running\n",
               (unsigned long long)result->chain_runs,
               plural(result->chain_runs));
    }
    if (result->waits_count == 0) {
        return;
    }
    printf("\nOn its way: orders and transfers by what they wait for\n");
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < result->waits_count && i < WAITS_SHOWN; i++) {
        const struct verify_wait *wait = &result->waits[i];
        table_add(table, COLOUR_NONE, "%llu", (unsigned long long)wait->pending);
        table_add(table, COLOUR_NONE, "%llu", (unsigned long long)wait->ended);
        table_add(table, COLOUR_NONE, "%llu", (unsigned long long)wait->events);
        table_add(table, COLOUR_YELLOW, "%s", wait->reason);
    }
    table_print(table, 2, stdout);
    table_destroy(&table);
    if (result->waits_count > WAITS_SHOWN) {
        printf("  and %zu more reasons (--json tells all)\n", result->waits_count - WAITS_SHOWN);
    }
}

static void print_found(const struct verify_found *found, enum colour colour)
{
    const bool colours = term_has_colours(stdout);
    char number[TERM_NUMBER_SIZE];
    printf("\n%s%s%s: %s of %s\n",
           term_start(colour, colours),
           found->check->name,
           term_end(colour, colours),
           count_text(number, found->count),
           verify_noun_name(found->check->noun));
    printf(
        "  %s: %s\n", colour == COLOUR_RED ? "does not hold" : "that is", found->check->sentence);
    for (size_t i = 0; i < found->shown_count; i++) {
        const struct verify_violation *violation = &found->shown[i];
        printf("  %s%s%s\n",
               violation->subject == NULL ? "" : violation->subject,
               violation->subject == NULL ? "" : " ",
               violation->detail);
    }
    if (found->count > found->shown_count) {
        printf("  and %s more\n", count_text(number, found->count - found->shown_count));
    }
}

static void print_all_found(const struct verify_result *result)
{
    for (size_t i = 0; i < result->findings_count; i++) {
        if (result->findings[i].count > 0) {
            print_found(&result->findings[i], COLOUR_YELLOW);
        }
    }
    for (size_t i = 0; i < result->checks_count; i++) {
        if (result->checks[i].count > 0) {
            print_found(&result->checks[i], COLOUR_RED);
        }
    }
}

char *verify_report_verdict(const struct verify_result *result)
{
    const size_t broken = verify_violations(result);
    if (broken > 0) {
        return mem_format("%zu of %zu checks found something broken", broken, result->checks_count);
    }
    return mem_format("%s %zu checks hold%s",
                      result->untold == NULL ? "all" : "as far as can be told",
                      result->checks_count,
                      result->pending == 0 ? "" : ", and what has no end yet has its reason");
}

void verify_report_print(const struct verify_result *result, int64_t took_us)
{
    print_checks(result);
    print_waits(result);
    print_all_found(result);
    if (result->untold != NULL) {
        printf("\nCould not be told: %s\n", result->untold);
    }
    char took[TERM_NUMBER_SIZE];
    term_format_duration(took, took_us);
    char *verdict = verify_report_verdict(result);
    const bool colours = term_has_colours(stdout);
    const enum colour colour = verify_violations(result) > 0 ? COLOUR_RED
                               : result->untold != NULL      ? COLOUR_YELLOW
                                                             : COLOUR_GREEN;
    printf(
        "\n%s%s%s (%s)\n", term_start(colour, colours), verdict, term_end(colour, colours), took);
    free(verdict);
}

// --- for programs

static cJSON *found_to_json(const struct verify_found *found)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", found->check->name);
    cJSON_AddStringToObject(json, "says", found->check->sentence);
    cJSON *looked_at = cJSON_AddObjectToObject(json, "looked_at");
    cJSON_AddStringToObject(looked_at, "what", verify_noun_name(found->check->noun));
    cJSON_AddNumberToObject(looked_at, "count", (double)found->looked_at);
    cJSON_AddNumberToObject(json, "found", (double)found->count);
    cJSON *list = cJSON_AddArrayToObject(json, "list");
    for (size_t i = 0; i < found->shown_count; i++) {
        cJSON *item = cJSON_CreateObject();
        const char *subject = found->shown[i].subject;
        cJSON_AddItemToObject(
            item, "subject", subject == NULL ? cJSON_CreateNull() : cJSON_CreateString(subject));
        cJSON_AddStringToObject(item, "detail", found->shown[i].detail);
        cJSON_AddItemToArray(list, item);
    }
    return json;
}

static cJSON *waits_to_json(const struct verify_result *result)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < result->waits_count; i++) {
        const struct verify_wait *wait = &result->waits[i];
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "reason", wait->reason);
        cJSON_AddNumberToObject(json, "pending", (double)wait->pending);
        cJSON_AddNumberToObject(json, "ended", (double)wait->ended);
        cJSON_AddNumberToObject(json, "events", (double)wait->events);
        cJSON_AddItemToArray(list, json);
    }
    return list;
}

cJSON *verify_report_json(const struct verify_result *result, int64_t took_us)
{
    cJSON *json = cJSON_CreateObject();
    const size_t broken = verify_violations(result);
    const char *verdict = broken > 0 ? "broken" : result->untold != NULL ? "unknown" : "holds";
    cJSON_AddStringToObject(json, "verdict", verdict);
    cJSON_AddNumberToObject(json, "broken", (double)broken);
    cJSON *checks = cJSON_AddArrayToObject(json, "checks");
    for (size_t i = 0; i < result->checks_count; i++) {
        cJSON_AddItemToArray(checks, found_to_json(&result->checks[i]));
    }
    cJSON *chain = cJSON_AddArrayToObject(json, "chain");
    for (size_t i = 0; i < result->findings_count; i++) {
        cJSON_AddItemToArray(chain, found_to_json(&result->findings[i]));
    }
    cJSON_AddNumberToObject(json, "pending", (double)result->pending);
    cJSON_AddNumberToObject(json, "chain_running", (double)result->chain_runs);
    cJSON_AddItemToObject(json, "on_its_way", waits_to_json(result));
    cJSON *log = cJSON_AddObjectToObject(json, "log");
    cJSON_AddNumberToObject(log, "first_offset", (double)result->log.first_offset);
    cJSON_AddNumberToObject(log, "next_offset", (double)result->log.end);
    cJSON_AddNumberToObject(log, "events", (double)result->log.events);
    cJSON_AddNumberToObject(log, "others", (double)result->log.strangers);
    cJSON_AddItemToObject(json,
                          "untold",
                          result->untold == NULL ? cJSON_CreateNull()
                                                 : cJSON_CreateString(result->untold));
    cJSON_AddNumberToObject(json, "took_ms", (double)took_us / 1000);
    return json;
}
