#include "cli/verify/verify_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/log_merge.h"
#include "cli/log_sources.h"
#include "cli/story_print.h"
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

// --- lineages

static size_t events_count(const struct story *story)
{
    size_t count = 0;
    for (size_t i = 0; i < story_count(story); i++) {
        count += story_node_at(story, i)->kind == STORY_EVENT ? 1 : 0;
    }
    return count;
}

static void add_gaps(struct story *story, const struct verify_lineage *lineage)
{
    const size_t count = story_count(story); // of the nodes that are no gaps
    for (size_t i = 0; i < lineage->gaps_count; i++) {
        const struct verify_gap *gap = &lineage->gaps[i];
        for (size_t k = 0; k < count; k++) {
            const struct story_node *node = story_node_at(story, k);
            if (node->kind == STORY_EVENT &&
                strcmp(story_text(node, "event_id"), gap->event_id) == 0) {
                story_add_missing(story, k, gap->group, gap->reason);
            }
        }
    }
}

static struct story *story_of_facts(const struct verify_lineage *lineage)
{
    struct story *story = story_new(lineage->subject);
    struct bytes rest = buf_view(&lineage->lines);
    while (rest.size > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        const size_t size = (size_t)(end - rest.data);
        story_add_line(story, (struct bytes){rest.data, size});
        rest = (struct bytes){end + 1, rest.size - size - 1};
    }
    story_link(story);
    return story;
}

// Stories of all lineages, which the caller destroys. The logs are read once.
static struct story **make_stories(const struct verify_result *result, const char *dir)
{
    const size_t count = result->lineages_count;
    struct story **stories = mem_calloc(count + 1, sizeof(struct story *));
    for (size_t i = 0; i < count; i++) {
        stories[i] = story_new(result->lineages[i].subject);
    }
    if (count > 0 && dir != NULL) {
        struct log_merge *merge = log_merge_new(false);
        (void)log_sources_add(merge, &(struct log_sources){.lines_max = -1}, dir);
        struct log_line line;
        while (log_merge_next(merge, &line)) {
            for (size_t i = 0; i < count; i++) {
                story_add_line(stories[i], line.text);
            }
        }
        log_merge_destroy(&merge);
    }
    for (size_t i = 0; i < count; i++) {
        story_link(stories[i]);
        if (events_count(stories[i]) == 0) {
            story_destroy(&stories[i]);
            stories[i] = story_of_facts(&result->lineages[i]);
        }
        add_gaps(stories[i], &result->lineages[i]);
    }
    return stories;
}

static void destroy_stories(struct story **stories, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        story_destroy(&stories[i]);
    }
    free(stories);
}

// --- for people

static void print_lineages(const struct verify_result *result, const char *dir)
{
    struct story **stories = make_stories(result, dir);
    for (size_t i = 0; i < result->lineages_count; i++) {
        putchar('\n');
        if (story_count(stories[i]) == 0) {
            printf("%s: neither the log nor a database tells of it\n", result->lineages[i].subject);
        } else {
            story_print(stories[i], stdout, term_has_colours(stdout));
        }
    }
    destroy_stories(stories, result->lineages_count);
}

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

void verify_report_print(const struct verify_result *result, const char *dir, int64_t took_us)
{
    print_checks(result);
    print_waits(result);
    print_all_found(result);
    print_lineages(result, dir);
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

static cJSON *lineages_to_json(const struct verify_result *result, const char *dir)
{
    cJSON *list = cJSON_CreateArray();
    struct story **stories = make_stories(result, dir);
    for (size_t i = 0; i < result->lineages_count; i++) {
        cJSON_AddItemToArray(list, story_to_json(stories[i]));
    }
    destroy_stories(stories, result->lineages_count);
    return list;
}

cJSON *verify_report_json(const struct verify_result *result, const char *dir, int64_t took_us)
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
    cJSON_AddItemToObject(json, "lineages", lineages_to_json(result, dir));
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
