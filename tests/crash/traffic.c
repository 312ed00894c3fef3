#include "tests/crash/traffic.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    CALL_TIMEOUT_MS = 60000, // no chain of calls takes longer: see SYNC_TIMEOUT_MS in lane.c
    BODY_SIZE = 256,
    KEY_SIZE = 64,
    REPEAT_EVERY = 4,   // requests of one client, then one is repeated
    LAST_TRIES = 50,    // for an answer, once everybody is back
    STATUS_BUSY = 409,  // the first request with a key is still at work
    CUSTOMERS = 100000, // so many that fraud's limit per customer is never near
    PAUSE_MS = 100,     // between two requests of one client: some 100 a second in all
    CLIENTS = 10,
};

static const char busy_code[] = "request-in-progress";

// What a client sends, again and again.
enum errand {
    ORDER_BY_EVENTS,
    ORDER_BY_CHAIN,
    TRANSFER,
    ERRANDS_COUNT
};

static const enum errand errands[CLIENTS] = {ORDER_BY_EVENTS,
                                             ORDER_BY_EVENTS,
                                             ORDER_BY_EVENTS,
                                             ORDER_BY_EVENTS,
                                             ORDER_BY_CHAIN,
                                             ORDER_BY_CHAIN,
                                             ORDER_BY_CHAIN,
                                             TRANSFER,
                                             TRANSFER,
                                             TRANSFER};

// A request under its key, and what it was answered.
struct ask {
    char key[KEY_SIZE];
    char body[BODY_SIZE];
    int status;   // 0: no answer yet
    char *answer; // owned
};

struct client {
    struct traffic *traffic; // borrowed
    enum errand errand;
    pthread_t thread;
    struct http_client *http; // owned
    char *url;                // owned
    struct ask first, last;   // of those whose answer is to be kept
};

struct traffic {
    char *order_url, *transfer_url; // owned
    const char *sync_token;         // borrowed
    atomic_bool stopping;
    atomic_uint drawn;     // requests so far
    int64_t began_us;      // makes the keys of this traffic its own
    pthread_mutex_t mutex; // of what follows
    FILE *record;          // owned; a line an answer, as `faultline load --record` writes it
    int64_t accepted[ERRANDS_COUNT], unknown[ERRANDS_COUNT];
    char wrong[CELL_TEXT_SIZE]; // the first answer that must not be
    struct client clients[CLIENTS];
};

static void order_body(char body[BODY_SIZE], const char *token, unsigned number)
{
    (void)snprintf(body,
                   BODY_SIZE,
                   "{\"customer_id\":\"crash-%05u\",\"payment_token\":\"%s\","
                   "\"items\":[{\"sku\":\"espresso-cup\",\"quantity\":1}]}",
                   number % CUSTOMERS,
                   token);
}

// In a circle, so that nobody runs out of money for long.
static void transfer_body(char body[BODY_SIZE], unsigned number)
{
    static const char *const accounts[] = {"alice", "bob", "carol"};
    (void)snprintf(body,
                   BODY_SIZE,
                   "{\"from_account\":\"%s\",\"to_account\":\"%s\","
                   "\"amount\":{\"amount_minor\":100,\"currency\":\"EUR\"}}",
                   accounts[number % ARRAY_LEN(accounts)],
                   accounts[(number + 1) % ARRAY_LEN(accounts)]);
}

// Writes down what a client was told. An answer that never came is of interest only over
// the chain: nobody knows then what became of the order.
static void note(const struct client *self, enum err err, const struct http_response *response)
{
    static const char *const modes[] = {
        [ORDER_BY_EVENTS] = "async", [ORDER_BY_CHAIN] = "sync", [TRANSFER] = "async"};
    const char *member = self->errand == TRANSFER ? "transfer_id" : "order_id";
    cJSON *answer = err == ERR_OK ? cJSON_Parse((const char *)response->body.data) : NULL;
    cJSON *line = cJSON_CreateObject();
    const char *id = json_text_of(answer, member);
    char at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(at, clock_wall_us());
    if (id != NULL) {
        cJSON_AddStringToObject(line, member, id);
    }
    cJSON_AddStringToObject(line, "mode", modes[self->errand]);
    cJSON_AddStringToObject(line, "at", at);
    if (err == ERR_OK) {
        cJSON_AddNumberToObject(line, "status", response->status);
    } else {
        cJSON_AddStringToObject(line, "status", err == ERR_TIMEOUT ? "timeout" : "no-answer");
    }
    char *text = cJSON_PrintUnformatted(line);
    (void)pthread_mutex_lock(&self->traffic->mutex);
    (void)fprintf(self->traffic->record, "%s\n", text);
    (void)pthread_mutex_unlock(&self->traffic->mutex);
    cJSON_free(text);
    cJSON_Delete(line);
    cJSON_Delete(answer);
}

// --- asking

static void ask_release(struct ask *self)
{
    free(self->answer);
    *self = (struct ask){0};
}

static void ask_copy(struct ask *out, const struct ask *ask)
{
    ask_release(out);
    *out = *ask;
    out->answer = mem_strdup(ask->answer);
}

static void draw(const struct client *self, struct ask *out)
{
    struct traffic *traffic = self->traffic;
    const unsigned number = atomic_fetch_add(&traffic->drawn, 1);
    *out = (struct ask){0};
    (void)snprintf(
        out->key, sizeof out->key, "crash-%lld-%u", (long long)traffic->began_us, number);
    if (self->errand == TRANSFER) {
        transfer_body(out->body, number);
    } else {
        const bool by_chain = self->errand == ORDER_BY_CHAIN;
        order_body(out->body, by_chain ? traffic->sync_token : "tok_visa", number);
    }
}

static enum err call(const struct client *self, const struct ask *ask, struct http_response *out)
{
    const struct http_header headers[] = {{"Idempotency-Key", ask->key}, {0}};
    return http_client_call(
        self->http, "POST", self->url, headers, ask->body, CALL_TIMEOUT_MS, out);
}

// A failure of ours frees the key. Of an order over the chain it is the answer all the same:
// that order has failed.
static bool is_answer(const struct client *self, const struct http_response *response)
{
    if (response->status == STATUS_BUSY) {
        return strstr((const char *)response->body.data, busy_code) == NULL;
    }
    return response->status < 500 || self->errand == ORDER_BY_CHAIN;
}

// Sends it until it is answered. Under one key at most one order by events and one transfer
// comes of that. A chain that was cut when the order service died may run anew.
static void ask_until_answered(const struct client *self, struct ask *ask)
{
    struct traffic *traffic = self->traffic;
    for (int last_tries = 0; ask->status == 0 && last_tries < LAST_TRIES;) {
        struct http_response response;
        const enum err err = call(self, ask, &response);
        if (err != ERR_UNAVAILABLE) { // else nothing was sent
            note(self, err, &response);
        }
        if (err == ERR_OK && is_answer(self, &response)) {
            ask->status = response.status;
            ask->answer = mem_strdup((const char *)response.body.data);
        } else {
            last_tries += atomic_load(&traffic->stopping) ? 1 : 0;
            rig_pause_ms(PAUSE_MS);
        }
    }
    (void)pthread_mutex_lock(&traffic->mutex);
    traffic->accepted[self->errand] += ask->status == 202 ? 1 : 0;
    traffic->unknown[self->errand] += ask->status == 0 ? 1 : 0;
    (void)pthread_mutex_unlock(&traffic->mutex);
}

// false: whom it went to is dead, or dying.
static bool repeat(const struct client *self, const struct ask *ask)
{
    struct traffic *traffic = self->traffic;
    struct http_response response;
    if (call(self, ask, &response) != ERR_OK || response.status >= 500) {
        return false;
    }
    const char *answer = (const char *)response.body.data;
    if (response.status != ask->status || strcmp(answer, ask->answer) != 0) {
        (void)pthread_mutex_lock(&traffic->mutex);
        (void)snprintf(traffic->wrong,
                       sizeof traffic->wrong,
                       "one key, two answers: %d %.60s and %d %.60s",
                       ask->status,
                       ask->answer,
                       response.status,
                       answer);
        (void)pthread_mutex_unlock(&traffic->mutex);
    }
    return true;
}

static void *client_main(void *argument)
{
    struct client *self = argument;
    struct traffic *traffic = self->traffic;
    for (unsigned turn = 1; !atomic_load(&traffic->stopping); turn++) {
        struct ask ask;
        draw(self, &ask);
        ask_until_answered(self, &ask);
        if (ask.status != 0 && ask.status < 500) {
            ask_copy(&self->last, &ask);
            if (self->first.status == 0) {
                ask_copy(&self->first, &ask);
            }
        }
        ask_release(&ask);
        if (turn % REPEAT_EVERY == 0 && self->last.status != 0) {
            (void)repeat(self, &self->last);
        }
        rig_pause_ms(PAUSE_MS);
    }
    // All are back: what was answered before somebody died has the same answer.
    for (int tries = 0; self->first.status != 0 && tries < LAST_TRIES; tries++) {
        if (repeat(self, &self->first)) {
            break;
        }
        rig_pause_ms(PAUSE_MS);
    }
    return NULL;
}

// --- from start to end

static void client_start(struct client *self, struct traffic *traffic, enum errand errand)
{
    *self = (struct client){.traffic = traffic, .errand = errand, .http = http_client_new()};
    self->url = mem_format("%s%s",
                           errand == TRANSFER ? traffic->transfer_url : traffic->order_url,
                           errand == ORDER_BY_CHAIN ? "?mode=sync" : "");
    if (pthread_create(&self->thread, NULL, client_main, self) != 0) {
        abort();
    }
}

static void client_end(struct client *self)
{
    (void)pthread_join(self->thread, NULL);
    ask_release(&self->first);
    ask_release(&self->last);
    http_client_destroy(&self->http);
    free(self->url);
}

struct traffic *traffic_start(const struct rig *rig, const char *sync_token)
{
    struct traffic *self = mem_calloc(1, sizeof *self);
    char *order = rig_url(rig, "order");
    char *transfer = rig_url(rig, "transfer");
    self->order_url = mem_format("%s/orders", order);
    self->transfer_url = mem_format("%s/transfers", transfer);
    self->sync_token = sync_token;
    self->began_us = clock_wall_us();
    char *record = rig_record_path(rig);
    self->record = fopen(record, "a");
    free(record);
    if (self->record == NULL || pthread_mutex_init(&self->mutex, NULL) != 0) {
        abort();
    }
    free(transfer);
    free(order);
    for (size_t i = 0; i < CLIENTS; i++) {
        client_start(&self->clients[i], self, errands[i]);
    }
    return self;
}

void traffic_stop(struct traffic **self_p, struct traffic_sum *sum)
{
    struct traffic *self = *self_p;
    if (self == NULL) {
        return;
    }
    atomic_store(&self->stopping, true);
    for (size_t i = 0; i < CLIENTS; i++) {
        client_end(&self->clients[i]);
    }
    sum->orders += self->accepted[ORDER_BY_EVENTS];
    sum->orders_unknown += self->unknown[ORDER_BY_EVENTS];
    sum->transfers += self->accepted[TRANSFER];
    sum->transfers_unknown += self->unknown[TRANSFER];
    (void)snprintf(sum->wrong, sizeof sum->wrong, "%s", self->wrong);
    (void)fclose(self->record);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self->order_url);
    free(self->transfer_url);
    free(self);
    *self_p = NULL;
}
