#include "tests/support/shop.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

const char *const shop_services[] = {
    "order", "payment", "inventory", "fraud", "ledger", "notification", NULL};

const char *const shop_topics[] = {"order-created",
                                   "order-confirmed",
                                   "order-cancelled",
                                   "inventory-reserved",
                                   "inventory-rejected",
                                   "inventory-released",
                                   "payment-authorized",
                                   "payment-declined",
                                   "payment-completed",
                                   "payment-voided",
                                   "fraud-cleared",
                                   "fraud-flagged",
                                   "ledger-posted",
                                   "notification-sent",
                                   NULL};

struct rig_reply shop_place(struct rig *rig, const char *mode, const char *customer,
                            const char *token, const char *sku, int quantity,
                            char order_id[UUID_SIZE])
{
    char *body = mem_format("{\"customer_id\":\"%s\",\"payment_token\":\"%s\","
                            "\"items\":[{\"sku\":\"%s\",\"quantity\":%d}]}",
                            customer,
                            token,
                            sku,
                            quantity);
    char *path = mem_format("/orders?mode=%s", mode);
    struct rig_reply reply = rig_call(rig, "order", "POST", path, body, NULL);
    const char *id = json_text_of(reply.json, "order_id");
    cr_assert_not_null(id, "%d %s", reply.status, reply.body);
    snprintf(order_id, UUID_SIZE, "%.36s", id);
    free(path);
    free(body);
    return reply;
}

void shop_place_async(struct rig *rig, const char *customer, const char *token, const char *sku,
                      int quantity, char order_id[UUID_SIZE])
{
    struct rig_reply reply = shop_place(rig, "async", customer, token, sku, quantity, order_id);
    cr_assert_eq(reply.status, 202, "%s", reply.body);
    rig_reply_release(&reply);
}

void shop_expect_status(struct rig *rig, const char *order_id, const char *status)
{
    char *path = mem_format("/orders/%s", order_id);
    rig_wait_member(rig, "order", path, "status", status);
    free(path);
}

void shop_expect_cancelled(struct rig *rig, const char *order_id, const char *reason)
{
    char *path = mem_format("/orders/%s", order_id);
    rig_wait_member(rig, "order", path, "status", "cancelled");
    rig_wait_member(rig, "order", path, "reason", reason);
    free(path);
}

void shop_expect_payment(struct rig *rig, const char *order_id, const char *status)
{
    char *path = mem_format("/payments/%s", order_id);
    rig_wait_member(rig, "payment", path, "status", status);
    free(path);
}

void shop_expect_stock(struct rig *rig, const char *sku, int64_t available, int64_t reserved,
                       int64_t sold)
{
    char *path = mem_format("/stock/%s", sku);
    rig_wait_int(rig, "inventory", path, "available", available);
    rig_wait_int(rig, "inventory", path, "reserved", reserved);
    rig_wait_int(rig, "inventory", path, "sold", sold);
    free(path);
}

void shop_expect_member(const cJSON *json, const char *member, const char *value)
{
    const char *text = json_text_of(json, member);
    cr_expect_not_null(text, "%s is not there", member);
    cr_expect_str_eq(text == NULL ? "" : text, value, "%s", member);
}

void shop_expect_problem(const struct rig_reply *reply, int status, const char *code)
{
    char type[256];
    rig_reply_header(reply, "Content-Type", type);
    cr_expect_str_eq(type, "application/problem+json");
    cr_expect_eq(reply->status, status, "%d %s", reply->status, reply->body);
    const char *text = json_text_of(reply->json, "type");
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    cr_expect(
        colon != NULL && strcmp(colon + 1, code) == 0, "expected %s, got %s", code, reply->body);
    cr_expect_str_not_empty(json_text_of(reply->json, "title"));
    cr_expect_str_not_empty(json_text_of(reply->json, "detail"));
}
