// Whatever comes in by HTTP gets its documented answer, changes nothing when it is
// wrong, and is done once when it comes twice.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "tests/support/shop.h"

static struct rig *rig;

static void stop(void)
{
    rig_destroy(&rig);
}

TestSuite(shop_input, .fini = stop, .timeout = 120);

#define ORDER(customer, token, items)                                                              \
    "{\"customer_id\":" customer ",\"payment_token\":" token ",\"items\":" items "}"
#define CUP     "[{\"sku\":\"espresso-cup\",\"quantity\":1}]"
#define A_UUID  "\"01890a5d-ac96-774b-bcce-b302099a8057\""
#define AN_EURO "{\"amount_minor\":100,\"currency\":\"EUR\"}"

static const char good_order[] = ORDER("\"alice\"", "\"tok_visa\"", CUP);

struct bad_input {
    const char *service, *path, *body;
    int status;
    const char *code, *field; // field NULL: none
};

static const struct bad_input bad_inputs[] = {
    // not JSON, or not an object
    {"order", "/orders", "", 400, "malformed-json", NULL},
    {"order", "/orders", "{", 400, "malformed-json", NULL},
    {"order", "/orders", "nonsense", 400, "malformed-json", NULL},
    {"order", "/orders", "[]", 400, "malformed-json", NULL},
    {"order", "/orders", "null", 400, "malformed-json", NULL},
    {"order", "/orders", "{}{}", 400, "malformed-json", NULL},
    {"order",
     "/orders",
     "{\"customer_id\":\"a\",\"customer_id\":\"b\"}",
     400,
     "malformed-json",
     NULL},
    {"order", "/orders", "{\"customer_id\":\"\xff\"}", 400, "malformed-json", NULL},
    // orders
    {"order", "/orders", "{}", 422, "invalid-field", "customer_id"},
    {"order", "/orders", ORDER("5", "\"t\"", CUP), 422, "invalid-field", "customer_id"},
    {"order", "/orders", ORDER("\"\"", "\"t\"", CUP), 422, "invalid-field", "customer_id"},
    {"order", "/orders", ORDER("\"a b\"", "\"t\"", CUP), 422, "invalid-field", "customer_id"},
    {"order", "/orders", ORDER("\"a\"", "null", CUP), 422, "invalid-field", "payment_token"},
    {"order", "/orders", ORDER("\"a\"", "\"\"", CUP), 422, "invalid-field", "payment_token"},
    {"order", "/orders", ORDER("\"a\"", "\"t\"", "{}"), 422, "invalid-field", "items"},
    {"order", "/orders", ORDER("\"a\"", "\"t\"", "[]"), 422, "invalid-field", "items"},
    {"order", "/orders", ORDER("\"a\"", "\"t\"", "[1]"), 422, "invalid-field", "items[0]"},
    {"order",
     "/orders",
     ORDER("\"a\"", "\"t\"", "[{\"sku\":\"espresso-cup\",\"quantity\":0}]"),
     422,
     "invalid-field",
     "items[0].quantity"},
    {"order",
     "/orders",
     ORDER("\"a\"", "\"t\"", "[{\"sku\":\"espresso-cup\",\"quantity\":1000000000}]"),
     422,
     "invalid-field",
     "items[0].quantity"},
    {"order",
     "/orders",
     ORDER("\"a\"", "\"t\"", "[{\"sku\":\"espresso-cup\",\"quantity\":\"2\"}]"),
     422,
     "invalid-field",
     "items[0].quantity"},
    {"order",
     "/orders",
     ORDER("\"a\"", "\"t\"", "[{\"sku\":\"espresso-cup\",\"quantity\":1,\"price\":0}]"),
     422,
     "invalid-field",
     "items[0].price"},
    {"order",
     "/orders",
     ORDER("\"a\"", "\"t\"",
           "[{\"sku\":\"espresso-cup\",\"quantity\":1},{\"sku\":\"x\",\"quantity\":1}]"),
     422,
     "unknown-sku",
     "items[1].sku"},
    {"order",
     "/orders",
     "{\"customer_id\":\"a\",\"payment_token\":\"t\",\"items\":" CUP ",\"total\":0}",
     422,
     "invalid-field",
     "total"},
    {"order", "/orders?mode=fast", good_order, 422, "invalid-field", "mode"},
    {"order", "/orders?mode=", good_order, 422, "invalid-field", "mode"},
    {"order", "/orders?mode=sync", "{}", 422, "invalid-field", "customer_id"},
    {"order", "/products", "{}", 405, "method-not-allowed", NULL},
    {"order", "/order", "{}", 404, "not-found", NULL},
    // inventory
    {"inventory", "/stock/espresso-cup/restock", "{}", 422, "invalid-field", "quantity"},
    {"inventory",
     "/stock/espresso-cup/restock",
     "{\"quantity\":0}",
     422,
     "invalid-field",
     "quantity"},
    {"inventory",
     "/stock/espresso-cup/restock",
     "{\"quantity\":1.5}",
     422,
     "invalid-field",
     "quantity"},
    {"inventory",
     "/stock/espresso-cup/restock",
     "{\"quantity\":1000000001}",
     422,
     "invalid-field",
     "quantity"},
    {"inventory",
     "/stock/espresso-cup/restock",
     "{\"quantity\":1,\"sku\":1}",
     422,
     "invalid-field",
     "sku"},
    {"inventory", "/stock/no-such/restock", "{\"quantity\":1}", 404, "not-found", NULL},
    {"inventory", "/reservations", "{\"items\":" CUP "}", 422, "invalid-field", "order_id"},
    {"inventory",
     "/reservations",
     "{\"order_id\":\"1\",\"items\":" CUP "}",
     422,
     "invalid-field",
     "order_id"},
    {"inventory", "/reservations", "{\"order_id\":" A_UUID "}", 422, "invalid-field", "items"},
    {"inventory",
     "/reservations",
     "{\"order_id\":" A_UUID ",\"items\":[{\"sku\":\"x\",\"quantity\":1}]}",
     422,
     "unknown-sku",
     "items[0].sku"},
    // payment
    {"payment", "/charges", "{}", 422, "invalid-field", "order_id"},
    {"payment",
     "/charges",
     "{\"order_id\":" A_UUID ",\"customer_id\":\"a\",\"payment_token\":\"t\",\"amount\":5}",
     422,
     "invalid-field",
     "amount"},
    {"payment",
     "/charges",
     "{\"order_id\":" A_UUID ",\"customer_id\":\"a\",\"payment_token\":\"t\","
     "\"amount\":{\"amount_minor\":1e300,\"currency\":\"EUR\"}}",
     422,
     "invalid-field",
     "amount"},
    {"payment",
     "/charges",
     "{\"order_id\":" A_UUID ",\"customer_id\":\"a\",\"payment_token\":\"t\",\"amount\":" AN_EURO
     ",\"attempt\":0}",
     422,
     "invalid-field",
     "attempt"},
    {"payment", "/refunds", "{\"order_id\":5}", 422, "invalid-field", "order_id"},
    {"payment",
     "/refunds",
     "{\"order_id\":" A_UUID ",\"amount\":1}",
     422,
     "invalid-field",
     "amount"},
};

static void expect_nothing_happened(void)
{
    struct rig_reply reply = rig_call(rig, "order", "GET", "/orders", NULL, NULL);
    cr_expect_str_eq(reply.body, "{\"orders\":[],\"next\":null}");
    rig_reply_release(&reply);
    shop_expect_stock(rig, "espresso-cup", 1000000000, 0, 0);
    reply = rig_call(
        rig, "payment", "GET", "/payments/01890a5d-ac96-774b-bcce-b302099a8057", NULL, NULL);
    shop_expect_problem(&reply, 404, "not-found");
    rig_reply_release(&reply);
}

Test(shop_input, what_is_wrong_is_named_and_changes_nothing)
{
    rig = rig_start(shop_services, NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad_inputs); i++) {
        const struct bad_input *bad = &bad_inputs[i];
        struct rig_reply reply = rig_call(rig, bad->service, "POST", bad->path, bad->body, NULL);
        shop_expect_problem(&reply, bad->status, bad->code);
        const char *field = json_text_of(reply.json, "field");
        cr_expect_str_eq(field == NULL ? "" : field,
                         bad->field == NULL ? "" : bad->field,
                         "%s %s",
                         bad->path,
                         bad->body);
        rig_reply_release(&reply);
    }
    expect_nothing_happened();
}

static void expect_answer(const char *service, const char *method, const char *path, int status,
                          const char *code)
{
    struct rig_reply reply = rig_call(rig, service, method, path, NULL, NULL);
    shop_expect_problem(&reply, status, code);
    rig_reply_release(&reply);
}

Test(shop_input, paths_methods_and_parameters_are_checked)
{
    rig = rig_start(shop_services, NULL);
    expect_answer("order", "GET", "/", 404, "not-found");
    expect_answer("order", "GET", "/orders/", 404, "not-found");
    expect_answer("order", "GET", "/orders/no-such", 404, "not-found");
    expect_answer("order", "GET", "/orders/01890a5d-ac96-774b-bcce-b302099a8057", 404, "not-found");
    expect_answer("order", "GET", "/orders?limit=0", 400, "invalid-parameter");
    expect_answer("order", "GET", "/orders?limit=x", 400, "invalid-parameter");
    expect_answer("order", "GET", "/orders?limit=501", 400, "invalid-parameter");
    expect_answer("order", "GET", "/orders?status=lost", 400, "invalid-parameter");
    expect_answer("order", "GET", "/orders?status=none", 400, "invalid-parameter");
    expect_answer("order", "GET", "/orders?state=pending", 400, "unknown-parameter");
    expect_answer("order", "GET", "/orders/no-such?limit=1", 400, "unknown-parameter");
    expect_answer("order", "POST", "/orders?mod=sync", 400, "unknown-parameter");
    expect_answer("order", "DELETE", "/orders", 405, "method-not-allowed");
    expect_answer("order", "POST", "/orders", 415, "unsupported-media-type");
    expect_answer("inventory", "GET", "/stock/no-such", 404, "not-found");
    expect_answer("inventory", "DELETE", "/reservations/x", 422, "invalid-field");
    expect_answer("payment", "GET", "/payments/no-such", 404, "not-found");
    struct rig_reply reply = rig_call(rig, "order", "DELETE", "/orders", NULL, NULL);
    char allow[256];
    rig_reply_header(&reply, "Allow", allow);
    cr_expect_str_eq(allow, "POST, GET");
    rig_reply_release(&reply);
}

Test(shop_input, ten_megabytes_and_half_a_request_leave_the_service_well)
{
    rig = rig_start(shop_services, NULL);
    enum {
        MEGABYTES_10 = 10 * 1024 * 1024
    };
    char *body = mem_alloc(MEGABYTES_10 + 1);
    memset(body, ' ', MEGABYTES_10);
    body[MEGABYTES_10] = '\0';
    struct rig_reply reply = rig_call(rig, "order", "POST", "/orders", body, NULL);
    cr_expect_eq(reply.status, 413, "%d", reply.status);
    rig_reply_release(&reply);
    free(body);

    static const char half[] = "POST /orders HTTP/1.1\r\nHost: test\r\nContent-Type: "
                               "application/json\r\nContent-Length: 100\r\n\r\n{\"customer_id\":";
    const int silent = rig_begin(rig, "order", half, sizeof half - 1);
    const int none = rig_begin(rig, "order", half, 20);
    char order_id[UUID_SIZE];
    shop_place_async(rig, "alice", "tok_visa", "espresso-cup", 1, order_id);
    shop_expect_status(rig, order_id, "confirmed");
    cr_expect_geq(silent, 0);
    reply = rig_end(silent); // until the server has had enough
    cr_expect_neq(reply.status, 202);
    rig_reply_release(&reply);
    reply = rig_end(none);
    rig_reply_release(&reply);
    cr_expect(rig_is_running(rig, "order"));
}

// --- Idempotency-Key

static struct rig_reply post_with_key(const char *path, const char *body, const char *key)
{
    char header[256];
    snprintf(header, sizeof header, "Idempotency-Key: %s\r\n", key);
    return rig_call(rig, "order", "POST", path, body, header);
}

static void expect_replay(const char *path, const char *body, const char *key, int status)
{
    struct rig_reply first = post_with_key(path, body, key);
    struct rig_reply second = post_with_key(path, body, key);
    char replayed[256];
    cr_expect_eq(first.status, status, "%s", first.body);
    cr_expect_eq(second.status, status);
    cr_expect_str_eq(second.body, first.body);
    rig_reply_header(&first, "Idempotency-Replayed", replayed);
    cr_expect_str_empty(replayed);
    rig_reply_header(&second, "Idempotency-Replayed", replayed);
    cr_expect_str_eq(replayed, "true");
    char location[2][256];
    rig_reply_header(&first, "Location", location[0]);
    rig_reply_header(&second, "Location", location[1]);
    cr_expect_str_eq(location[1], location[0]);
    rig_reply_release(&first);
    rig_reply_release(&second);
}

Test(shop_input, a_request_that_is_repeated_with_its_key_is_done_once)
{
    rig = rig_start(shop_services, NULL);
    expect_replay("/orders", good_order, "k-1", 202);
    expect_replay("/orders?mode=sync", good_order, "k-2", 201);
    expect_replay("/orders?mode=sync", ORDER("\"alice\"", "\"tok_declined\"", CUP), "k-3", 402);
    expect_replay("/orders", "{}", "k-4", 422);

    struct rig_reply reply = post_with_key("/orders", ORDER("\"bob\"", "\"tok_visa\"", CUP), "k-1");
    shop_expect_problem(&reply, 422, "idempotency-key-reused");
    rig_reply_release(&reply);

    reply = rig_call(rig, "order", "GET", "/orders", NULL, NULL);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(reply.json, "orders")), 3);
    rig_reply_release(&reply);
    shop_expect_stock(rig, "espresso-cup", 1000000000 - 2, 0, 2);
}

Test(shop_input, a_key_is_remembered_by_a_process_that_was_killed)
{
    rig = rig_start(shop_services, NULL);
    struct rig_reply first = post_with_key("/orders", good_order, "k-1");
    cr_assert_eq(first.status, 202);
    rig_kill(rig, "order");
    rig_relaunch(rig, "order");
    struct rig_reply second = post_with_key("/orders", good_order, "k-1");
    cr_expect_eq(second.status, 202);
    cr_expect_str_eq(second.body, first.body);
    rig_reply_release(&first);
    rig_reply_release(&second);
}

// --- lists

// Walks all pages of a list and returns how many entries there are; each page's first
// entry must be behind the last of the page before, descending or ascending.
static int walk(const char *service, const char *path, const char *list, const char *member,
                bool descending)
{
    int count = 0;
    char after[128] = "";
    for (bool more = true; more;) {
        char *page = mem_format("%s&after=%s", path, after);
        struct rig_reply reply = rig_call(rig, service, "GET", page, NULL, NULL);
        cr_assert_eq(reply.status, 200, "%s: %s", page, reply.body);
        const cJSON *entries = cJSON_GetObjectItem(reply.json, list);
        for (const cJSON *entry = entries->child; entry != NULL; entry = entry->next) {
            const char *id = json_text_of(entry, member);
            const int order = strcmp(id, after);
            cr_expect(after[0] == '\0' || (descending ? order < 0 : order > 0), "%s", id);
            snprintf(after, sizeof after, "%s", id);
            count++;
        }
        const char *next = json_text_of(reply.json, "next");
        more = next != NULL;
        cr_expect(!more || strcmp(next, after) == 0);
        rig_reply_release(&reply);
        free(page);
    }
    return count;
}

Test(shop_input, lists_come_in_pages)
{
    rig = rig_start(shop_services, NULL);
    enum {
        ORDERS = 11
    };
    char ids[ORDERS][UUID_SIZE];
    for (int i = 0; i < ORDERS; i++) {
        shop_place_async(
            rig, "alice", i % 3 == 0 ? "tok_declined" : "tok_visa", "milk-jug", 1, ids[i]);
    }
    for (int i = 0; i < ORDERS; i++) {
        shop_expect_status(rig, ids[i], i % 3 == 0 ? "cancelled" : "confirmed");
    }
    cr_expect_eq(walk("order", "/orders?limit=3", "orders", "order_id", true), ORDERS);
    cr_expect_eq(walk("order", "/orders?limit=11", "orders", "order_id", true), ORDERS);
    cr_expect_eq(walk("order", "/orders?limit=2&status=cancelled", "orders", "order_id", true), 4);
    cr_expect_eq(walk("order", "/orders?limit=2&status=confirmed", "orders", "order_id", true), 7);
    cr_expect_eq(walk("order", "/orders?limit=2&status=pending", "orders", "order_id", true), 0);
    cr_expect_eq(walk("inventory", "/stock?limit=4", "stock", "sku", false), 6);
}

Test(shop_input, restocked_goods_are_available_and_counted_apart)
{
    rig = rig_start((const char *const[]){"inventory", NULL}, NULL);
    static const char path[] = "/stock/rare-print/restock";
    struct rig_reply reply = rig_call(rig, "inventory", "POST", path, "{\"quantity\":7}", NULL);
    cr_expect_eq(reply.status, 200);
    rig_reply_release(&reply);
    shop_expect_stock(rig, "rare-print", 10, 0, 0);
    cr_expect_eq(rig_get_int(rig, "inventory", "/stock/rare-print", "initial"), 3);
    cr_expect_eq(rig_get_int(rig, "inventory", "/stock/rare-print", "restocked"), 7);
}
