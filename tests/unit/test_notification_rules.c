// One notification for each thing to say, in words, and nothing that is stale.
#include <criterion/criterion.h>
#include <string.h>

#include "common/mem.h"
#include "services/notification/notification.h"
#include "services/notification/notification_store.h"

static const struct {
    const char *topic;
    const char *name;
    const char *subject;
    const char *recipient;
    bool is_opening;
} expected[] = {
    {"order-created", "order-received", "order_id", "customer_id", true},
    {"order-confirmed", "order-confirmed", "order_id", "customer_id", false},
    {"order-cancelled", "order-cancelled", "order_id", "customer_id", false},
    {"transfer-created", "transfer-received", "transfer_id", "from_account", true},
    {"transfer-completed", "transfer-completed", "transfer_id", "from_account", false},
    {"transfer-cancelled", "transfer-cancelled", "transfer_id", "from_account", false},
};

Test(notification_rules, each_topic_has_its_template)
{
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct notification_template *found = notification_template_of(expected[i].topic);
        cr_assert_not_null(found);
        cr_expect_str_eq(found->name, expected[i].name);
        cr_expect_str_eq(found->subject, expected[i].subject);
        cr_expect_str_eq(found->recipient, expected[i].recipient);
        cr_expect_eq(found->is_opening, expected[i].is_opening);
        cr_expect_eq(notification_template_named(expected[i].name), found);
    }
    cr_expect_null(notification_template_of("payment-completed"));
    cr_expect_null(notification_template_named("order-created"));
    cr_expect_null(notification_template_named(""));
}

Test(notification_rules, only_an_opening_after_an_end_is_stale)
{
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct notification_template *found = notification_template_of(expected[i].topic);
        cr_expect_not(notification_is_stale(found, false));
        cr_expect_eq(notification_is_stale(found, true), expected[i].is_opening);
    }
}

Test(notification_rules, the_reason_follows_the_sentence)
{
    const struct notification_template *found = notification_template_named("order-cancelled");
    char text[NOTIFICATION_TEXT_SIZE];

    notification_text(found, "out-of-stock", text);
    cr_expect_str_eq(text, "Your order is cancelled: out-of-stock.");
    notification_text(found, NULL, text);
    cr_expect_str_eq(text, "Your order is cancelled.");
    notification_text(found, "", text);
    cr_expect_str_eq(text, "Your order is cancelled.");
}

Test(notification_rules, a_reason_that_is_too_long_is_cut)
{
    char reason[4096];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    char text[NOTIFICATION_TEXT_SIZE];

    notification_text(notification_template_named("order-cancelled"), reason, text);

    cr_expect_lt(strlen(text), sizeof text);
    cr_expect_eq(text[strlen(text) - 1], '.');
}

Test(notification_rules, a_template_is_used_once_a_subject)
{
    struct store *store = NULL;
    char *problem = NULL;
    cr_assert_eq(store_open(&store, ":memory:", &problem), ERR_OK, "%s", problem);
    cr_assert_eq(store_exec_script(store, notification_store_schema), ERR_OK);
    struct notification said = {
        .id = "1", .subject = "s", .template_name = "order-received", .recipient = "alice"};
    bool ended = true;

    cr_expect_eq(notification_store_insert(store, &said, false), ERR_OK);
    cr_expect_eq(notification_store_insert(store, &said, false), ERR_EXISTS);
    cr_expect_eq(notification_store_has_end(store, "s", &ended), ERR_OK);
    cr_expect_not(ended);
    memcpy(said.template_name, "order-confirmed", sizeof "order-confirmed");
    cr_expect_eq(notification_store_insert(store, &said, true), ERR_OK);
    cr_expect_eq(notification_store_has_end(store, "s", &ended), ERR_OK);
    cr_expect(ended);
    cr_expect_eq(notification_store_has_end(store, "other", &ended), ERR_OK);
    cr_expect_not(ended);
    store_destroy(&store);
}
