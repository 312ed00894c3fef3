#include "cli/rebuild/rebuild_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/term.h"
#include "common/json.h"
#include "common/mem.h"

static int64_t number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(number) ? (int64_t)number->valuedouble : 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = json_text_of(object, name);
    return text == NULL ? "?" : text;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

// --- notes

static int64_t carried_of(const cJSON *tables, const char *name)
{
    const cJSON *table = NULL;
    cJSON_ArrayForEach(table, tables)
    {
        if (strcmp(text_of(table, "table"), name) == 0) {
            return number_of(table, "carried");
        }
    }
    return 0;
}

static void add_notes(cJSON *report, const struct rebuild_table *table, cJSON *may_differ,
                      cJSON *from_http)
{
    for (const struct rebuild_column *column = table->columns; column->name != NULL; column++) {
        if (column->may_differ != NULL) {
            cJSON *note = cJSON_CreateObject();
            char *name = mem_format("%s.%s", table->name, column->name);
            cJSON_AddStringToObject(note, "column", name);
            cJSON_AddStringToObject(note, "why", column->may_differ);
            cJSON_AddItemToArray(may_differ, note);
            free(name);
        }
    }
    if (table->from_http != NULL) {
        cJSON *note = cJSON_CreateObject();
        cJSON_AddStringToObject(note, "table", table->name);
        cJSON_AddStringToObject(note, "what", table->from_http);
        const int64_t rows = carried_of(member(report, "tables"), table->name);
        cJSON_AddNumberToObject(note, "rows", (double)rows);
        cJSON_AddItemToArray(from_http, note);
    }
}

void rebuild_report_notes(cJSON *report, const struct rebuild_service *service)
{
    cJSON *may_differ = cJSON_AddArrayToObject(report, "may_differ");
    cJSON *from_http = cJSON_AddArrayToObject(report, "from_http");
    for (size_t i = 0; i < service->tables_count; i++) {
        add_notes(report, &service->tables[i], may_differ, from_http);
    }
    for (size_t i = 0; i < rebuild_common_tables_count; i++) {
        add_notes(report, &rebuild_common_tables[i], may_differ, from_http);
    }
}

// --- tables

static void add_count(struct table *table, const cJSON *row, const char *name, enum colour colour)
{
    char text[TERM_NUMBER_SIZE];
    if (member(row, name) == NULL) {
        table_add(table, COLOUR_DIM, "-");
        return;
    }
    term_format_count(text, number_of(row, name));
    table_add(table, number_of(row, name) == 0 ? COLOUR_DIM : colour, "%s", text);
}

static void print_tables(const cJSON *report)
{
    static const struct table_column columns[] = {{"TABLE", TABLE_LEFT},
                                                  {"LIVING", TABLE_RIGHT},
                                                  {"REBUILT", TABLE_RIGHT},
                                                  {"FROM HTTP", TABLE_RIGHT},
                                                  {"DIFFERING", TABLE_RIGHT}};
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, member(report, "tables"))
    {
        table_add(table, COLOUR_NONE, "%s", text_of(row, "table"));
        add_count(table, row, "living", COLOUR_NONE);
        add_count(table, row, "rebuilt", COLOUR_NONE);
        add_count(table, row, "carried", COLOUR_NONE);
        add_count(table, row, "differing", COLOUR_RED);
    }
    putchar('\n');
    table_print(table, 0, stdout);
    table_destroy(&table);
}

// "available: 4 in the living one, 3 in the rebuilt one"
static void print_row(const char *table, const cJSON *row)
{
    const cJSON *living = member(row, "living");
    const cJSON *rebuilt = member(row, "rebuilt");
    printf("  %s %s", table, text_of(row, "key"));
    if (cJSON_IsNull(living) || cJSON_IsNull(rebuilt)) {
        printf(": only in the %s one\n", cJSON_IsNull(living) ? "rebuilt" : "living");
        return;
    }
    const char *gap = ":";
    const cJSON *value = NULL;
    cJSON_ArrayForEach(value, living)
    {
        const cJSON *other = member(rebuilt, value->string);
        if (other == NULL || cJSON_Compare(value, other, true)) {
            continue;
        }
        char *is = cJSON_PrintUnformatted(value);
        char *should = cJSON_PrintUnformatted(other);
        printf("%s %s is %s, rebuilt %s", gap, value->string, is, should);
        cJSON_free(is);
        cJSON_free(should);
        gap = ";";
    }
    putchar('\n');
}

static void print_differing(const cJSON *report)
{
    const cJSON *table = NULL;
    bool any = false;
    cJSON_ArrayForEach(table, member(report, "tables"))
    {
        const cJSON *first = member(table, "first");
        const cJSON *row = NULL;
        cJSON_ArrayForEach(row, first)
        {
            printf("%s", any ? "" : "\nDiffering, the first rows of each table:\n\n");
            any = true;
            print_row(text_of(table, "table"), row);
        }
        const int64_t more = number_of(table, "differing") - cJSON_GetArraySize(first);
        if (more > 0) {
            printf("  %s: %lld more\n", text_of(table, "table"), (long long)more);
        }
    }
}

static void print_events(const char *title, const cJSON *events, int64_t count)
{
    if (count == 0) {
        return;
    }
    printf("\n%s\n\n", title);
    const cJSON *event = NULL;
    cJSON_ArrayForEach(event, events)
    {
        printf("  offset %lld %s of %s: %s\n",
               (long long)number_of(event, "offset"),
               text_of(event, "topic"),
               text_of(event, "key"),
               text_of(event, "why"));
    }
    if (count > cJSON_GetArraySize(events)) {
        printf("  and %lld more\n", (long long)(count - cJSON_GetArraySize(events)));
    }
}

// The columns that differ for the reason of first, unless one before it had the same.
static void print_columns(const cJSON *notes, const cJSON *first)
{
    const cJSON *note = NULL;
    const char *gap = "  ";
    cJSON_ArrayForEach(note, notes)
    {
        if (strcmp(text_of(note, "why"), text_of(first, "why")) != 0) {
            continue;
        }
        if (note != first && gap[0] == ' ') {
            return;
        }
        printf("%s%s", gap, text_of(note, "column"));
        gap = ", ";
    }
    printf(": %s\n", text_of(first, "why"));
}

// Not in the log, so taken over from the living database, or gone with it.
static void print_http(const cJSON *report)
{
    const bool is_living = cJSON_IsTrue(member(report, "living"));
    const cJSON *note = NULL;
    bool any = false;
    cJSON_ArrayForEach(note, member(report, "from_http"))
    {
        const int64_t rows = number_of(note, "rows");
        if (is_living && rows == 0) {
            continue;
        }
        if (!any) {
            puts(is_living ? "\nTaken over from the living database, since it came over HTTP:\n"
                           : "\nNot taken over, since it came over HTTP and is not in the log:\n");
        }
        any = true;
        printf("  %s", text_of(note, "table"));
        if (is_living) {
            printf(", %lld %s", (long long)rows, rows == 1 ? "row" : "rows");
        }
        printf(": %s\n", text_of(note, "what"));
    }
    const cJSON *orders = member(report, "sync_orders");
    if (!is_living && orders != NULL) {
        printf("  (the order service knows of %lld orders placed with ?mode=sync)\n",
               (long long)orders->valuedouble);
    }
}

static void print_notes(const cJSON *report)
{
    puts("\nMay differ, since the log does not tell:\n");
    const cJSON *first = NULL;
    cJSON_ArrayForEach(first, member(report, "may_differ"))
    {
        print_columns(member(report, "may_differ"), first);
    }
    print_http(report);
}

void rebuild_report_print(const cJSON *report)
{
    char events[TERM_NUMBER_SIZE];
    term_format_count(events, number_of(report, "events"));
    printf("%s, rebuilt from %s events of the log, whose end is at offset %lld; "
           "%lld given up, %lld not handled yet\n",
           text_of(report, "service"),
           events,
           (long long)number_of(report, "log_end"),
           (long long)number_of(report, "given_up"),
           (long long)(number_of(report, "under_way") + number_of(report, "left")));
    print_tables(report);
    print_differing(report);
    print_events("Events that come to something else than the log tells:",
                 member(report, "first_odd"),
                 number_of(report, "odd"));
    print_events("Events that fail here too, and are left to the group:",
                 member(report, "first_left"),
                 number_of(report, "left"));
    print_notes(report);
}
