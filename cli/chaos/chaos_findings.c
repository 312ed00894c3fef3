#include "cli/chaos/chaos_findings.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/command.h"
#include "common/mem.h"

enum {
    TEXT_SIZE = 512
};

__attribute__((format(printf, 5, 6))) static void
add(cJSON *findings, const char *kind, const char *who, uint64_t count, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cJSON *finding = cJSON_CreateObject();
    cJSON_AddStringToObject(finding, "finding", kind);
    cJSON_AddStringToObject(finding, "who", who);
    cJSON_AddNumberToObject(finding, "count", (double)count);
    cJSON_AddStringToObject(finding, "text", text);
    cJSON_AddItemToArray(findings, finding);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

// What each process did that it should not.
static void add_counts(cJSON *findings, const struct chaos_tally *tally)
{
    const struct {
        const char *kind;
        const size_t *counts; // of each process
        const char *sentence;
    } kinds[] = {
        {"died", tally->deaths, "died without having been asked to"},
        {"bad-end", tally->bad_ends, "did not end with exit code 0 within 5 s of SIGTERM"},
        {"not-done", tally->bad_lifts, "could not be started, paused or limited when due"},
    };
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        for (size_t i = 0; i < tally->parts_count; i++) {
            const size_t count = kinds[kind].counts[i];
            const char *name = tally->names[i];
            if (count > 0) {
                add(findings,
                    kinds[kind].kind,
                    name,
                    count,
                    "%s %s (%zu time%s)",
                    name,
                    kinds[kind].sentence,
                    count,
                    plural(count));
            }
        }
    }
}

static void add_troubles(cJSON *findings, const struct chaos_result *result)
{
    for (size_t i = 0; i < result->tally.parts_count; i++) {
        const struct chaos_trouble *trouble = result->troubles[i];
        const char *name = result->tally.names[i];
        if (trouble != NULL) {
            add(findings,
                "not-ready",
                name,
                1,
                "%s %s in the end: %s %s %s",
                name,
                trouble->sentence,
                cli_name(),
                trouble->command,
                name);
        }
    }
}

static void add_unfinished(cJSON *findings, const struct chaos_settled *settled)
{
    const int before = cJSON_GetArraySize(findings);
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        const struct chaos_left *left = &settled->left[i];
        const uint64_t count = left->group_events + left->outbox_events;
        if (count > 0) {
            add(findings,
                "unfinished",
                house_service(i),
                count,
                "%s was not finished in time: %llu event%s for its group, %llu in its outbox: %s "
                "groups",
                house_service(i),
                (unsigned long long)left->group_events,
                plural(left->group_events),
                (unsigned long long)left->outbox_events,
                cli_name());
        }
    }
    if (cJSON_GetArraySize(findings) == before) {
        add(findings, "unfinished", "", 1, "it could not be seen in time that all is finished");
    }
}

// They were given back and died again, or it did not come to that.
static void add_letters(cJSON *findings, const struct chaos_settled *settled)
{
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        const struct chaos_left *left = &settled->left[i];
        if (left->letters > 0) {
            add(findings,
                "dead-letters",
                house_service(i),
                left->letters,
                "%s gave up %zu event%s for good (%s): %s dead-letters list --group %s",
                house_service(i),
                left->letters,
                plural(left->letters),
                left->error,
                cli_name(),
                house_service(i));
        }
    }
}

cJSON *chaos_findings(const struct chaos_result *result)
{
    cJSON *findings = cJSON_CreateArray();
    add_counts(findings, &result->tally);
    add_troubles(findings, result);
    // Without everybody there nothing could be.
    if (result->all_ready && !result->settled.finished) {
        add_unfinished(findings, &result->settled);
    }
    add_letters(findings, &result->settled);
    return findings;
}
