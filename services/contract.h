// contract - the fields that several services share, in requests and in events.
//
// The getters read like those of common/json.h: member name of object, whose own
// path is path; ERR_INVALID fills problem. Pure.
#ifndef FAULTLINE_CONTRACT_H
#define FAULTLINE_CONTRACT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/event.h"
#include "common/json.h"
#include "common/money.h"

enum {
    CONTRACT_ID_MAX = 64, // bytes of a customer, account or product name
    CONTRACT_ITEMS_MAX = 50,
    CONTRACT_QUANTITY_MAX = 1000,
};

// contract_get_id borrows a customer, account or product name: [a-zA-Z0-9._-]{1,64}.
enum err contract_get_id(const cJSON *object, const char *path, const char *name, const char **out,
                         struct json_problem *problem);

// contract_get_uuid borrows the id of an order or transfer.
enum err contract_get_uuid(const cJSON *object, const char *path, const char *name,
                           const char **out, struct json_problem *problem);

// contract_get_amount reads money above zero; unknown members in it are refused.
enum err contract_get_amount(const cJSON *object, const char *path, const char *name,
                             struct money *out, struct json_problem *problem);

// contract_subject_is tells whether data's member name is event's subject, as it
// must be; a fraud answer has "order_id" or "transfer_id" and is told apart by it.
bool contract_subject_is(const struct event *event, const cJSON *data, const char *name);

// contract_problem_code returns the last part of a problem document's type
// ("card-declined"), borrowed from json, or fallback when there is none.
const char *contract_problem_code(const cJSON *json, const char *fallback);

// contract_object returns an object of text members: name, text, name, text, NULL. A text
// that is NULL becomes null. The caller owns it.
__attribute__((sentinel)) cJSON *contract_object(const char *name, ...);

// contract_name_index finds text in count names, which have no NULL; 0 when it is not
// there: the first status of a state machine is "none".
size_t contract_name_index(const char *const *names, size_t count, const char *text);

// --- the lines of an order

struct item {
    char sku[CONTRACT_ID_MAX + 1];
    int64_t quantity;
};

struct items {
    size_t count;
    struct item list[CONTRACT_ITEMS_MAX];
};

// contract_get_items reads 1 .. CONTRACT_ITEMS_MAX lines {sku, quantity}, each sku
// once, quantity 1 .. CONTRACT_QUANTITY_MAX. strict refuses more members: for
// requests; events may carry more (unit_price).
enum err contract_get_items(const cJSON *object, const char *path, const char *name, bool strict,
                            struct items *out, struct json_problem *problem);

// contract_items_to_json returns such an array; the caller owns it.
cJSON *contract_items_to_json(const struct items *items);

// contract_items_to_text is what a store keeps of them, and the caller frees;
// contract_items_from_text reads it back. ERR_CORRUPT: it is no such text.
char *contract_items_to_text(const struct items *items);
enum err contract_items_from_text(const char *text, struct items *out);

#endif
