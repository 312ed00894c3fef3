// The envelope is CloudEvents 1.0 with our attributes; whatever breaks it is named.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/mem.h"

#define ORDER_ID    "01890a5d-ac96-774b-bcce-b302099a8057"
#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct json_problem problem;

static cJSON *good_envelope(void)
{
    return cJSON_Parse(
        "{\"specversion\":\"1.0\",\"id\":\"0190-e\",\"source\":\"/services/order\","
        "\"type\":\"order-created\",\"subject\":\"" ORDER_ID "\",\"partitionkey\":\"" ORDER_ID "\","
        "\"time\":\"2026-11-23T20:36:57.123456Z\",\"datacontenttype\":\"application/json\","
        "\"dataschema\":\"urn:faultline:order-created:2\",\"correlationid\":\"" ORDER_ID "\","
        "\"causationid\":\"request-1\",\"traceparent\":\"" TRACEPARENT "\","
        "\"data\":{\"order_id\":\"" ORDER_ID "\"}}");
}

static enum err parse(const cJSON *envelope, struct event **out)
{
    char *text = cJSON_PrintUnformatted(envelope);
    const enum err err = event_parse(out, bytes_of_text(text), &problem);
    free(text);
    return err;
}

// Sets (or with NULL removes) one member of a good envelope and expects what is given.
static void expect_with(const char *name, const char *value_json, enum err expected)
{
    cJSON *envelope = good_envelope();
    cJSON_DeleteItemFromObjectCaseSensitive(envelope, name);
    if (value_json != NULL) {
        cJSON_AddItemToObject(envelope, name, cJSON_Parse(value_json));
    }
    struct event *event = NULL;
    cr_expect_eq(parse(envelope, &event), expected, "%s: %s", name, value_json);
    if (expected != ERR_OK) {
        cr_expect_null(event);
        cr_expect_str_eq(problem.field, name);
        cr_expect_str_not_empty(problem.reason);
    }
    event_destroy(&event);
    cJSON_Delete(envelope);
}

Test(event, an_envelope_is_read)
{
    cJSON *envelope = good_envelope();
    struct event *event = NULL;
    cr_assert_eq(parse(envelope, &event), ERR_OK, "%s %s", problem.field, problem.reason);
    cr_expect_str_eq(event->id, "0190-e");
    cr_expect_str_eq(event->source, "/services/order");
    cr_expect_str_eq(event->type, "order-created");
    cr_expect_str_eq(event->subject, ORDER_ID);
    cr_expect_str_eq(event->time, "2026-11-23T20:36:57.123456Z");
    cr_expect_str_eq(event->correlation_id, ORDER_ID);
    cr_expect_str_eq(event->causation_id, "request-1");
    cr_expect_str_eq(event->trace.span_id, "00f067aa0ba902b7");
    cr_expect_eq(event->version, 2);
    cr_expect_str_eq(json_text_of(event->data, "order_id"), ORDER_ID);
    event_destroy(&event);
    cr_expect_null(event);
    event_destroy(&event);
    cJSON_Delete(envelope);
}

Test(event, what_is_written_is_read_back)
{
    struct event event = {
        .id = "e-1",
        .source = "/services/order",
        .type = "order-confirmed",
        .subject = "quote\" back\\slash \xc3\xa9",
        .time = "2026-11-23T20:36:57.000001Z",
        .correlation_id = "c",
        .causation_id = "k",
        .version = 12,
        .data = cJSON_Parse("{\"total\":{\"amount_minor\":1000000000000000,\"currency\":\"EUR\"}}"),
    };
    trace_parse(&event.trace, TRACEPARENT);

    char *text = event_format(&event);
    struct event *back = NULL;
    cr_assert_eq(event_parse(&back, bytes_of_text(text), &problem),
                 ERR_OK,
                 "%s %s",
                 problem.field,
                 problem.reason);

    cr_expect_str_eq(back->id, event.id);
    cr_expect_str_eq(back->source, event.source);
    cr_expect_str_eq(back->type, event.type);
    cr_expect_str_eq(back->subject, event.subject);
    cr_expect_str_eq(back->time, event.time);
    cr_expect_str_eq(back->correlation_id, event.correlation_id);
    cr_expect_str_eq(back->causation_id, event.causation_id);
    cr_expect_str_eq(back->trace.trace_id, event.trace.trace_id);
    cr_expect_eq(back->version, 12);
    cr_expect(cJSON_Compare(back->data, event.data, true));
    cr_expect_not_null(strstr(text, "\"dataschema\":\"urn:faultline:order-confirmed:12\""));
    cr_expect_not_null(strstr(text, "\"partitionkey\":\"quote\\\" back\\\\slash"));
    cr_expect_not_null(strstr(text, "\"traceparent\":\"" TRACEPARENT "\""));
    free(text);
    event_destroy(&back);
    cJSON_Delete(event.data);
}

Test(event, an_event_without_a_trace_has_no_traceparent)
{
    struct event event = {.type = "a", .version = 1, .data = cJSON_CreateObject()};
    char *text = event_format(&event);
    cr_expect_null(strstr(text, "traceparent"));
    free(text);
    cJSON_Delete(event.data);
    expect_with("traceparent", NULL, ERR_OK);
}

Test(event, each_attribute_that_is_required_is_missed)
{
    static const char *const names[] = {"specversion",
                                        "id",
                                        "source",
                                        "type",
                                        "subject",
                                        "time",
                                        "dataschema",
                                        "correlationid",
                                        "causationid",
                                        "data"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        expect_with(names[i], NULL, ERR_INVALID);
        expect_with(names[i], "5", ERR_INVALID);
        expect_with(names[i], "null", ERR_INVALID);
        expect_with(names[i], "\"\"", ERR_INVALID);
    }
}

Test(event, malformed_attributes_are_refused)
{
    expect_with("specversion", "\"0.3\"", ERR_INVALID);
    expect_with("source", "\"a b\"", ERR_INVALID);
    expect_with("type", "\"Order-Created\"", ERR_INVALID);
    expect_with("time", "\"yesterday\"", ERR_INVALID);
    expect_with("time", "\"2026-11-23T20:36:57+01:00\"", ERR_INVALID);
    expect_with("datacontenttype", "\"text/plain\"", ERR_INVALID);
    expect_with("dataschema", "\"urn:faultline:order-cancelled:2\"", ERR_INVALID);
    expect_with("dataschema", "\"urn:faultline:order-created\"", ERR_INVALID);
    expect_with("dataschema", "\"urn:faultline:order-created:\"", ERR_INVALID);
    expect_with("dataschema", "\"urn:faultline:order-created:0\"", ERR_INVALID);
    expect_with("dataschema", "\"urn:faultline:order-created:2x\"", ERR_INVALID);
    expect_with("dataschema", "\"urn:faultline:order-created:9999999\"", ERR_INVALID);
    expect_with("dataschema", "\"order-created:2\"", ERR_INVALID);
    expect_with("partitionkey", "\"another\"", ERR_INVALID);
    expect_with("traceparent", "\"00-0-0-0\"", ERR_INVALID);
    expect_with("id", "\"a\\nb\"", ERR_INVALID);
    expect_with("data", "[]", ERR_INVALID);
    expect_with("data", "\"text\"", ERR_INVALID);
}

Test(event, an_attribute_that_is_too_long_is_refused)
{
    char text[EVENT_TEXT_MAX + 3];
    memset(text, 'x', sizeof text);
    text[0] = '"';
    text[EVENT_TEXT_MAX] = '"';
    text[EVENT_TEXT_MAX + 1] = '\0';
    expect_with("id", text, ERR_OK); // 127 bytes
    text[EVENT_TEXT_MAX] = 'x';
    text[EVENT_TEXT_MAX + 1] = '"';
    text[EVENT_TEXT_MAX + 2] = '\0';
    expect_with("id", text, ERR_INVALID);
}

// CloudEvents 1.0, 3.1: names are [a-z0-9], values of a simple type; extensions of
// others are theirs.
Test(event, attribute_names_and_values_follow_cloudevents)
{
    expect_with("comexampleextension1", "\"value\"", ERR_OK);
    expect_with("othervalue", "5", ERR_OK);
    expect_with("flag", "true", ERR_OK);
    expect_with("correlation_id", "\"x\"", ERR_INVALID);
    expect_with("traceParent", "\"x\"", ERR_INVALID);
    expect_with("data_base64", "\"e30=\"", ERR_INVALID);
    expect_with("extension", "{}", ERR_INVALID);
    expect_with("extension", "[1]", ERR_INVALID);
    expect_with("extension", "2147483647", ERR_OK);
    expect_with("extension", "-2147483648", ERR_OK);
    expect_with("extension", "2147483648", ERR_INVALID);
    expect_with("extension", "-2147483649", ERR_INVALID);
    expect_with("extension", "5.5", ERR_INVALID);
    expect_with("extension", "\"\\u0007\"", ERR_INVALID);
    expect_with("extension", "\"\\u007f\"", ERR_INVALID);
    expect_with("extension", "\"\\u0085\"", ERR_INVALID);
    expect_with("extension", "\"\\u00a0\\u00e9\"", ERR_OK);
    expect_with("extension", "\"\"", ERR_OK);
}

Test(event, defaults_may_be_left_out)
{
    expect_with("datacontenttype", NULL, ERR_OK);
    expect_with("partitionkey", NULL, ERR_OK);
    expect_with("time", "\"2026-11-23T20:36:57Z\"", ERR_OK);
}

// CloudEvents JSON format, 2.2: null is as good as nothing.
Test(event, an_attribute_that_is_null_is_not_there)
{
    expect_with("datacontenttype", "null", ERR_OK);
    expect_with("partitionkey", "null", ERR_OK);
    expect_with("traceparent", "null", ERR_OK);
    expect_with("extension", "null", ERR_OK);
    expect_with("id", "null", ERR_INVALID);
    expect_with("specversion", "null", ERR_INVALID);
    expect_with("data", "null", ERR_INVALID);
}

Test(event, what_is_no_object_is_no_envelope)
{
    static const char *const texts[] = {"", "[]", "5", "{", "{}x", "{\"id\":\"a\",\"id\":\"b\"}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct event *event = NULL;
        cr_expect_eq(event_parse(&event, bytes_of_text(texts[i]), &problem), ERR_INVALID);
        cr_expect_null(event);
    }
}
