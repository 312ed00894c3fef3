#include "cli/verify/verify_house.h"

#include <assert.h>
#include <string.h>

#include "cli/house.h"
#include "common/mem.h"

_Static_assert(VERIFY_SERVICES + 1 == HOUSE_SERVICES_COUNT, "house.h has the broker as well");

// Who hears what the services say; the same as in their main.c.
static const struct {
    const char *name;
    const char *heard_by[5];
} topics[VERIFY_TOPICS] = {
    {"order-created", {"payment", "inventory", "notification", "fraud"}},
    {"order-confirmed", {"payment", "inventory", "notification"}},
    {"order-cancelled", {"payment", "inventory", "notification"}},
    {"fraud-cleared", {"order", "transfer"}},
    {"fraud-flagged", {"order", "transfer"}},
    {"inventory-reserved", {"order"}},
    {"inventory-rejected", {"order"}},
    {"inventory-released", {NULL}},
    {"payment-authorized", {"order"}},
    {"payment-declined", {"order"}},
    {"payment-completed", {"ledger"}},
    {"payment-voided", {NULL}},
    {"ledger-posted", {NULL}},
    {"notification-sent", {NULL}},
    {"transfer-created", {"notification", "fraud", "ledger"}},
    {"transfer-completed", {"notification", "ledger"}},
    {"transfer-cancelled", {"notification", "ledger"}},
    {"funds-held", {"transfer"}},
    {"funds-rejected", {"transfer"}},
    {"funds-released", {NULL}},
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
