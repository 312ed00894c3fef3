#include "cli/redrive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/bus_guest.h"
#include "common/json.h"

#define DEAD_LETTER "dead-letter." // how their topics begin; the group's name follows

// Gives back what a group has from offset up to end. The broker does some at a time.
static enum cli_exit redrive(struct bus_guest *guest, struct bytes group, uint64_t offset,
                             uint64_t end, uint64_t *count)
{
    struct wire_control answer;
    enum cli_exit result = CLI_YES;
    while (result == CLI_YES && offset < end) {
        const struct wire_control question = {
            .type = WIRE_REDRIVE, .group = group, .offset = offset, .end = end};
        result = bus_guest_ask(guest, question, &answer);
        if (result == CLI_YES) {
            *count += answer.count;
            offset = answer.offset;
        }
    }
    return result;
}

enum cli_exit redrive_letter(struct bus_guest *guest, const char *group, uint64_t offset,
                             uint64_t *count)
{
    return redrive(guest, bytes_of_text(group), offset, offset + 1, count);
}

// The one dead letter at an offset; its topic names the group.
static enum cli_exit redrive_one(struct bus_guest *guest, const char *text, uint64_t *count)
{
    static const size_t prefix = sizeof DEAD_LETTER - 1;
    const uint64_t before = *count;
    const uint64_t letter = strtoull(text, NULL, 10);
    uint64_t offset = letter;
    struct wire_delivered record;
    if (text[strspn(text, "0123456789")] != '\0' || strlen(text) > 16) {
        cli_problem("'%s' is no offset of a dead letter: %s dead-letters list", text, cli_name());
        return CLI_UNKNOWN;
    }
    const enum err err = bus_guest_next(guest, &offset, &record);
    if (err == ERR_UNAVAILABLE) {
        cli_problem("the broker does not answer any more. Is it up? %s ps", cli_name());
        return CLI_UNKNOWN;
    }
    enum cli_exit result = CLI_YES;
    if (err == ERR_OK && record.record.topic.size > prefix &&
        memcmp(record.record.topic.data, DEAD_LETTER, prefix) == 0) {
        char group[WIRE_NAME_MAX + 1];
        const int size = (int)(record.record.topic.size - prefix);
        snprintf(
            group, sizeof group, "%.*s", size, (const char *)record.record.topic.data + prefix);
        result = redrive_letter(guest, group, letter, count);
    }
    if (result == CLI_YES && *count == before) {
        cli_problem("no dead letter is listed at offset %s, or it was redriven already. Look: %s "
                    "dead-letters list",
                    text,
                    cli_name());
        result = CLI_NO;
    }
    return result;
}

// Every group that has some.
static enum cli_exit redrive_all(struct bus_guest *guest, uint64_t end, uint64_t *count)
{
    struct wire_control answer;
    enum cli_exit result =
        bus_guest_ask(guest, (struct wire_control){.type = WIRE_STATUS}, &answer);
    if (result != CLI_YES) {
        return result;
    }
    const struct bytes text = bus_guest_batch(guest);
    cJSON *report = cJSON_ParseWithLength((const char *)text.data, text.size);
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(report, "groups"))
    {
        const cJSON *letters = cJSON_GetObjectItemCaseSensitive(group, "dead_letters");
        const char *name = json_text_of(group, "name");
        if (result == CLI_YES && name != NULL && cJSON_IsNumber(letters) && letters->valueint > 0) {
            result = redrive(guest, bytes_of_text(name), 0, end, count);
        }
    }
    cJSON_Delete(report);
    return result;
}

enum cli_exit redrive_run(const struct options *options)
{
    const char *group = options_text(options, "group");
    const bool all = options_flag(options, "all");
    const size_t arguments = options_arguments_count(options);
    if ((arguments > 1) == (all || group != NULL)) {
        cli_problem("redrive which? %s dead-letters redrive OFFSET..., or --group GROUP, or --all",
                    cli_name());
        return CLI_UNKNOWN;
    }
    struct api *api = api_open(cli_dir(options));
    struct bus_guest *guest = bus_guest_visit(api_bus_url(api));
    enum cli_exit result = guest == NULL ? CLI_UNKNOWN : CLI_YES;
    uint64_t count = 0;
    // What dies again meanwhile lies behind the end: this comes to one.
    uint64_t end = 0;
    if (result == CLI_YES && bus_guest_end(guest, &end) != ERR_OK) {
        cli_problem("the broker does not answer any more. Is it up? %s ps", cli_name());
        result = CLI_UNKNOWN;
    }
    for (size_t i = 1; i < arguments && result == CLI_YES; i++) {
        result = redrive_one(guest, options_argument(options, i), &count);
    }
    if (result == CLI_YES && group != NULL) {
        result = redrive(guest, bytes_of_text(group), 0, end, &count);
    } else if (result == CLI_YES && all) {
        result = redrive_all(guest, end, &count);
    }
    if (options_flag(options, "json") && result != CLI_UNKNOWN) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddNumberToObject(json, "redriven", (double)count);
        cli_print_json(&json);
    } else if (result == CLI_YES || count > 0) {
        printf("%llu %s given back\n",
               (unsigned long long)count,
               count == 1 ? "dead letter was" : "dead letters were");
    }
    bus_guest_destroy(&guest);
    api_destroy(&api);
    return result;
}
