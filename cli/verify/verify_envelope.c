#include "cli/verify/verify_envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verify/json_walk.h"
#include "cli/verify/verify_house.h"
#include "common/event.h"
#include "common/mem.h"

static bool is_of_house(struct bytes source)
{
    static const char prefix[] = "/services/";
    const size_t size = sizeof prefix - 1;
    return source.size > size && memcmp(source.data, prefix, size) == 0 &&
           verify_service_find((struct bytes){source.data + size, source.size - size}) <
               VERIFY_SERVICES;
}

static bool is_named(char out[VERIFY_ENVELOPE_SIZE], const char *what, const char *text,
                     struct bytes wanted)
{
    if (bytes_equal_text(wanted, text)) {
        return true;
    }
    snprintf(out,
             VERIFY_ENVELOPE_SIZE,
             "says that its %s is %.80s, and its record says %.*s",
             what,
             text,
             (int)(wanted.size < 80 ? wanted.size : 80),
             (const char *)wanted.data);
    return false;
}

static bool has_cause(struct verify_log *log, size_t index, const char *causation_id,
                      char out[VERIFY_ENVELOPE_SIZE])
{
    const struct verify_event *event = verify_log_event(log, index);
    const uint32_t causes = verify_topic_causes(event->topic);
    if (causes == 0) {
        return true; // a request, whose id the client may have chosen
    }
    const size_t at = verify_log_find(log, id_of_text(bytes_of_text(causation_id)));
    if (at == VERIFY_NO_EVENT) {
        snprintf(out,
                 VERIFY_ENVELOPE_SIZE,
                 "names %.80s as its cause, which does not stand before it in the log",
                 causation_id);
        return verify_log_counts(log).first_offset > 0; // it may have been dropped
    }
    const struct verify_event *cause = verify_log_event(log, at);
    const char *topic = cause->topic == VERIFY_NO_TOPIC ? "another" : verify_topic(cause->topic);
    if (cause->topic == VERIFY_NO_TOPIC || (causes & 1U << cause->topic) == 0) {
        snprintf(out,
                 VERIFY_ENVELOPE_SIZE,
                 "names %.80s as its cause, which is %s: nobody says it in answer to that",
                 causation_id,
                 topic);
        return false;
    }
    if (cause->subject != event->subject) {
        snprintf(out,
                 VERIFY_ENVELOPE_SIZE,
                 "names %.80s as its cause, which is %s of another subject",
                 causation_id,
                 topic);
        return false;
    }
    return true;
}

// Whether all that is said of one order or transfer is about the same amount; amount without
// currency: it tells none.
static bool agrees(struct money amount, struct verify_about *about, char out[VERIFY_ENVELOPE_SIZE])
{
    if (amount.currency[0] == '\0') {
        return true;
    }
    if (about->amount.currency[0] == '\0') {
        about->amount = amount;
    }
    if (about->amount.amount_minor == amount.amount_minor &&
        strcmp(about->amount.currency, amount.currency) == 0) {
        return true;
    }
    char says[MONEY_TEXT_SIZE];
    char said[MONEY_TEXT_SIZE];
    money_to_text(amount, says);
    money_to_text(about->amount, said);
    snprintf(out, VERIFY_ENVELOPE_SIZE, "is about %s, and an event before it about %s", says, said);
    return false;
}

// Version 1 has it as a text.
static struct money amount_of(const cJSON *data)
{
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(data, "total");
    json = json == NULL ? cJSON_GetObjectItemCaseSensitive(data, "amount") : json;
    struct money amount = {0};
    if (cJSON_IsString(json) ? money_from_text(json->valuestring, &amount) != ERR_OK
                             : money_from_json(json, &amount) != ERR_OK) {
        return (struct money){0};
    }
    return amount;
}

static bool is_good(struct verify_log *log, size_t index, const struct record *record,
                    const struct event *envelope, struct verify_about *about,
                    char out[VERIFY_ENVELOPE_SIZE])
{
    return is_named(out, "id", envelope->id, record->id) &&
           is_named(out, "type", envelope->type, record->topic) &&
           is_named(out, "subject", envelope->subject, record->key) &&
           is_named(out, "correlation id", envelope->correlation_id, record->key) &&
           has_cause(log, index, envelope->causation_id, out) &&
           agrees(amount_of(envelope->data), about, out);
}

// --- the same at a glance

// What the check looks at, as it is written; nothing where it is not plain.
struct glance {
    struct bytes id, source, type, subject, correlation_id, causation_id, data;
};

static struct glance glance_at(struct bytes body)
{
    struct glance glance = {0};
    const struct {
        const char *name;
        struct bytes *to;
    } wanted[] = {
        {"id", &glance.id},
        {"source", &glance.source},
        {"type", &glance.type},
        {"subject", &glance.subject},
        {"correlationid", &glance.correlation_id},
        {"causationid", &glance.causation_id},
    };
    struct bytes rest;
    struct bytes name;
    struct bytes value;
    if (!json_walk_begin(body, &rest)) {
        return glance;
    }
    while (json_walk_next(&rest, &name, &value)) {
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
            if (bytes_equal_text(name, wanted[i].name)) {
                *wanted[i].to = json_walk_text(value);
            }
        }
        if (bytes_equal_text(name, "data")) {
            glance.data = value;
        }
    }
    return json_walk_has_ended(rest) ? glance : (struct glance){0};
}

static struct money money_at(struct bytes value)
{
    struct money amount = {0};
    const struct bytes text = json_walk_text(value);
    char copy[MONEY_TEXT_SIZE];
    if (text.size > 0 && text.size < sizeof copy) {
        snprintf(copy, sizeof copy, "%.*s", (int)text.size, (const char *)text.data);
        return money_from_text(copy, &amount) == ERR_OK ? amount : (struct money){0};
    }
    struct bytes rest;
    struct bytes name;
    if (!json_walk_begin(value, &rest)) {
        return amount;
    }
    while (json_walk_next(&rest, &name, &value)) {
        if (bytes_equal_text(name, "amount_minor") && value.size < sizeof copy) {
            snprintf(copy, sizeof copy, "%.*s", (int)value.size, (const char *)value.data);
            amount.amount_minor = strtoll(copy, NULL, 10);
        } else if (bytes_equal_text(name, "currency")) {
            const struct bytes currency = json_walk_text(value);
            snprintf(amount.currency,
                     sizeof amount.currency,
                     "%.*s",
                     (int)currency.size,
                     (const char *)currency.data);
        }
    }
    return amount;
}

static struct money amount_at(struct bytes data)
{
    struct bytes rest;
    struct bytes name;
    struct bytes value;
    if (!json_walk_begin(data, &rest)) {
        return (struct money){0};
    }
    while (json_walk_next(&rest, &name, &value)) {
        if (bytes_equal_text(name, "total") || bytes_equal_text(name, "amount")) {
            return money_at(value);
        }
    }
    return (struct money){0};
}

static bool is_equal(struct bytes a, struct bytes b)
{
    return a.size > 0 && a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static bool seems_good(struct verify_log *log, size_t index, const struct record *record,
                       struct verify_about *about, char out[VERIFY_ENVELOPE_SIZE])
{
    const struct glance glance = glance_at(record->body);
    char cause[EVENT_TEXT_MAX];
    if (glance.causation_id.size == 0 || glance.causation_id.size >= sizeof cause) {
        return false;
    }
    memcpy(cause, glance.causation_id.data, glance.causation_id.size);
    cause[glance.causation_id.size] = '\0';
    return is_of_house(glance.source) && is_equal(glance.id, record->id) &&
           is_equal(glance.type, record->topic) && is_equal(glance.subject, record->key) &&
           is_equal(glance.correlation_id, record->key) && has_cause(log, index, cause, out) &&
           agrees(amount_at(glance.data), about, out);
}

enum verify_envelope verify_envelope_check(struct verify_log *log, size_t index,
                                           const struct record *record, struct verify_about *about,
                                           char out[VERIFY_ENVELOPE_SIZE])
{
    // To parse each event whole takes as long as all the rest of verify.
    if (seems_good(log, index, record, about, out)) {
        return VERIFY_ENVELOPE_GOOD;
    }
    struct json_problem problem;
    struct event *envelope = NULL;
    enum verify_envelope what = VERIFY_ENVELOPE_STRANGE;
    if (event_parse(&envelope, record->body, &problem) == ERR_OK &&
        is_of_house(bytes_of_text(envelope->source))) {
        what = is_good(log, index, record, envelope, about, out) ? VERIFY_ENVELOPE_GOOD
                                                                 : VERIFY_ENVELOPE_ODD;
    }
    event_destroy(&envelope);
    return what;
}
