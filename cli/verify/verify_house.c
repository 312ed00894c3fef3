#include "cli/verify/verify_house.h"

#include <assert.h>
#include <string.h>

#include "cli/house.h"
#include "common/mem.h"

_Static_assert(VERIFY_SERVICES + 1 == HOUSE_SERVICES_COUNT, "house.h has the broker as well");

// Who hears what the services say, the same as in their main.c; and in answer to what a
// service says it, the same as in their handlers. Nothing: it comes of a request.
static const struct {
    const char *name;
    const char *heard_by[5];
    const char *caused_by[7];
} topics[VERIFY_TOPICS] = {
    {"order-created", {"payment", "inventory", "notification", "fraud"}, {NULL}},
    {"order-confirmed",
     {"payment", "inventory", "notification"},
     {"fraud-cleared", "inventory-reserved", "payment-authorized"}},
    {"order-cancelled",
     {"payment", "inventory", "notification"},
     {"fraud-flagged", "inventory-rejected", "payment-declined"}},
    {"fraud-cleared", {"order", "transfer"}, {"order-created", "transfer-created"}},
    {"fraud-flagged", {"order", "transfer"}, {"order-created", "transfer-created"}},
    {"inventory-reserved", {"order"}, {"order-created"}},
    {"inventory-rejected", {"order"}, {"order-created"}},
    {"inventory-released", {NULL}, {"order-cancelled"}},
    {"payment-authorized", {"order"}, {"order-created"}},
    {"payment-declined", {"order"}, {"order-created"}},
    {"payment-completed", {"ledger"}, {"order-confirmed"}},
    {"payment-voided", {NULL}, {"order-cancelled"}},
    {"ledger-posted", {NULL}, {"payment-completed", "transfer-completed"}},
    {"notification-sent",
     {NULL},
     {"order-created",
      "order-confirmed",
      "order-cancelled",
      "transfer-created",
      "transfer-completed",
      "transfer-cancelled"}},
    {"transfer-created", {"notification", "fraud", "ledger"}, {NULL}},
    {"transfer-completed", {"notification", "ledger"}, {"fraud-cleared", "funds-held"}},
    {"transfer-cancelled", {"notification", "ledger"}, {"fraud-flagged", "funds-rejected"}},
    {"funds-held", {"transfer"}, {"transfer-created"}},
    {"funds-rejected", {"transfer"}, {"transfer-created"}},
    {"funds-released", {NULL}, {"transfer-cancelled"}},
};

const char *verify_service(size_t index)
{
    assert(index < VERIFY_SERVICES);
    return house_service(index + 1);
}

size_t verify_service_find(struct bytes name)
{
    size_t i = 0;
    while (i < VERIFY_SERVICES && !bytes_equal_text(name, verify_service(i))) {
        i++;
    }
    return i;
}

const char *verify_topic(size_t index)
{
    assert(index < VERIFY_TOPICS);
    return topics[index].name;
}

size_t verify_topic_find(struct bytes name)
{
    size_t i = 0;
    while (i < VERIFY_TOPICS && !bytes_equal_text(name, topics[i].name)) {
        i++;
    }
    return i;
}

bool verify_topic_is_message(size_t index)
{
    return strcmp(verify_topic(index), "notification-sent") == 0;
}

uint32_t verify_topics_heard(size_t service)
{
    uint32_t heard = 0;
    for (size_t i = 0; i < VERIFY_TOPICS; i++) {
        for (const char *const *by = topics[i].heard_by; *by != NULL; by++) {
            heard |= strcmp(*by, verify_service(service)) == 0 ? 1U << i : 0U;
        }
    }
    return heard;
}

uint32_t verify_topic_causes(size_t index)
{
    uint32_t causes = 0;
    for (const char *const *by = topics[index].caused_by; *by != NULL; by++) {
        causes |= 1U << verify_topic_find(bytes_of_text(*by));
    }
    return causes;
}
