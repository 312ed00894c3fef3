// shop - what tests of the shop say again and again: place an order, wait for its end,
// look at stock and payment. All fail the test when it is not so.
#ifndef FAULTLINE_TESTS_SHOP_H
#define FAULTLINE_TESTS_SHOP_H

#include "common/uuid.h"
#include "tests/support/event_tap.h"
#include "tests/support/rig.h"

// All the services of the shop, and all the topics they speak about; ended by NULL.
extern const char *const shop_services[];
extern const char *const shop_topics[];

// shop_place posts an order of one line and copies its id, which a failure has as well.
struct rig_reply shop_place(struct rig *rig, const char *mode, const char *customer,
                            const char *token, const char *sku, int quantity,
                            char order_id[UUID_SIZE]);

// shop_place_async expects 202.
void shop_place_async(struct rig *rig, const char *customer, const char *token, const char *sku,
                      int quantity, char order_id[UUID_SIZE]);

// These wait until it is so.
void shop_expect_status(struct rig *rig, const char *order_id, const char *status);
void shop_expect_cancelled(struct rig *rig, const char *order_id, const char *reason);
void shop_expect_payment(struct rig *rig, const char *order_id, const char *status);
void shop_expect_stock(struct rig *rig, const char *sku, int64_t available, int64_t reserved,
                       int64_t sold);

// shop_expect_member expects a string member of an object.
void shop_expect_member(const cJSON *json, const char *member, const char *value);

// shop_expect_problem expects a problem document: its status, and the last part of its type.
void shop_expect_problem(const struct rig_reply *reply, int status, const char *code);

#endif
