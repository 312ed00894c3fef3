// The table of limits in docs/protocol.md says what the code does.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_state.h"
#include "broker/server.h"
#include "common/bus_session.h"
#include "common/http_server.h"
#include "common/mem.h"

static const struct limit {
    const char *name;
    long value;
} limits[] = {
    {"`SERVER_MESSAGE_BYTES_MAX`", SERVER_MESSAGE_BYTES_MAX},
    {"`WIRE_BATCH_BYTES_MAX`", WIRE_BATCH_BYTES_MAX},
    {"`WIRE_BATCH_MAX`", WIRE_BATCH_MAX},
    {"`ACK` entry | `WIRE_CREDIT_MAX`", WIRE_CREDIT_MAX},
    {"`WIRE_ACK_EVENTS_MAX`", WIRE_ACK_EVENTS_MAX},
    {"`RECORD_SIZE_MAX`", RECORD_SIZE_MAX},
    {"`RECORD_TOPIC_MAX`", RECORD_TOPIC_MAX},
    {"`RECORD_TOPIC_MAX`, `_KEY_`", RECORD_KEY_MAX},
    {"`RECORD_TOPIC_MAX`, `_KEY_`, `_ID_`", RECORD_ID_MAX},
    {"`RECORD_TOPIC_MAX`, `_KEY_`, `_ID_`, `_HEADERS_`", RECORD_HEADERS_MAX},
    {"| `WIRE_NAME_MAX`", WIRE_NAME_MAX},
    {"`WIRE_ERROR_MAX`", WIRE_ERROR_MAX},
    {"`GROUP_ERROR_MAX`", GROUP_ERROR_MAX},
    {"`WIRE_HEARTBEAT_MIN_MS`", WIRE_HEARTBEAT_MIN_MS},
    {"`WIRE_HEARTBEAT_MIN_MS`, `_MAX_MS`", WIRE_HEARTBEAT_MAX_MS},
    {"`WIRE_MISSES_MAX`", WIRE_MISSES_MAX},
    {"`SESSIONS_MAX`", SESSIONS_MAX},
    {"`BROKER_UNREAD_BYTES_MAX`", BROKER_UNREAD_BYTES_MAX},
    {"`READ` | `WIRE_CREDIT_MAX`", WIRE_CREDIT_MAX},
    {"`BROKER_GROUPS_MAX`", BROKER_GROUPS_MAX},
    {"`GROUP_MEMBERS_MAX`", GROUP_MEMBERS_MAX},
    {"`WIRE_TOPICS_MAX`", WIRE_TOPICS_MAX},
    {"`TOPICS_MAX`", TOPICS_MAX},
    {"| credit | `WIRE_CREDIT_MAX`", WIRE_CREDIT_MAX},
    {"`BROKER_HELD_BYTES_MAX`", BROKER_HELD_BYTES_MAX},
    {"`GROUP_WINDOW_MAX`", GROUP_WINDOW_MAX},
    {"`DEAD_LETTERS_MAX`", BROKER_DEAD_LETTERS_MAX},
    {"`BROKER_REDRIVES_MAX`", BROKER_REDRIVES_MAX},
    {"`DUPLICATES_WINDOW`", DUPLICATES_WINDOW},
    {"`BROKER_BATCH_ITEMS_MAX`", BROKER_BATCH_ITEMS_MAX},
    {"`BUS_IN_FLIGHT_MAX`", BUS_IN_FLIGHT_MAX},
    {"`BUS_IN_FLIGHT_MAX`, `_BYTES_MAX`", BUS_IN_FLIGHT_BYTES_MAX},
    {"`BUS_OUT_MAX`", BUS_OUT_MAX},
    {"`HTTP_CONNECTIONS_MAX`", HTTP_CONNECTIONS_MAX},
};

static bool has_word(const char *line, const char *word)
{
    const char *at = strstr(line, word);
    return at != NULL && at[-1] == ' ' && strchr("0123456789", at[strlen(word)]) == NULL;
}

// "4096", "100,000", "1,048,576" or "8 MiB".
static bool says(const char *line, long value)
{
    char plain[32];
    char thousands[32];
    char millions[32];
    char mebi[32];
    snprintf(plain, sizeof plain, "%ld", value);
    snprintf(thousands, sizeof thousands, "%ld,%03ld", value / 1000, value % 1000);
    snprintf(millions,
             sizeof millions,
             "%ld,%03ld,%03ld",
             value / 1000000,
             value / 1000 % 1000,
             value % 1000);
    snprintf(mebi, sizeof mebi, "%ld MiB", value >> 20);
    return has_word(line, plain) || has_word(line, thousands) || has_word(line, millions) ||
           (value % (1 << 20) == 0 && has_word(line, mebi));
}

Test(limits, the_table_of_the_protocol_has_each_with_its_value)
{
    const char *source = getenv("FAULTLINE_SOURCE");
    cr_assert_not_null(source, "FAULTLINE_SOURCE is not set; run this with ctest");
    char *path = mem_format("%s/docs/protocol.md", source);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    size_t found[ARRAY_LEN(limits)] = {0};
    char line[1024];
    while (fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < ARRAY_LEN(limits) && line[0] == '|'; i++) {
            if (strstr(line, limits[i].name) != NULL) {
                found[i]++;
                cr_expect(says(line, limits[i].value), "%ld? %s", limits[i].value, line);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        cr_expect_eq(found[i], 1, "%s: %zu lines", limits[i].name, found[i]);
    }
    fclose(file);
    free(path);
}
