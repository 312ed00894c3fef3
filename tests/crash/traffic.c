#include "tests/crash/traffic.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    CALL_TIMEOUT_MS = 5000,
    BODY_SIZE = 256,
    CUSTOMERS = 100000, // so many that fraud's limit per customer is never near
    PAUSE_MS = 100,     // between two requests of one client: some 100 a second in all
    CLIENTS = 10,
};

// What a client sends, again and again.
enum errand {
    ORDER_BY_EVENTS,
    ORDER_BY_CHAIN,
    TRANSFER
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

struct client {
    struct traffic *traffic; // borrowed
    enum errand errand;
    pthread_t thread;
};

struct traffic {
    char *order_url, *transfer_url; // owned
    const char *sync_token;         // borrowed
    atomic_bool stopping;
    atomic_uint drawn;     // requests so far
    pthread_mutex_t mutex; // of record
    FILE *record;          // owned; a line an answer, as `faultline load --record` writes it
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

static void *client_main(void *argument)
{
    const struct client *self = argument;
    struct traffic *traffic = self->traffic;
    struct http_client *http = http_client_new();
    char *url = mem_format("%s%s",
                           self->errand == TRANSFER ? traffic->transfer_url : traffic->order_url,
                           self->errand == ORDER_BY_CHAIN ? "?mode=sync" : "");
    while (!atomic_load(&traffic->stopping)) {
        char body[BODY_SIZE];
        struct http_response response;
        const unsigned number = atomic_fetch_add(&traffic->drawn, 1);
        if (self->errand == TRANSFER) {
            transfer_body(body, number);
        } else {
            const bool by_chain = self->errand == ORDER_BY_CHAIN;
            order_body(body, by_chain ? traffic->sync_token : "tok_visa", number);
        }
        const enum err err =
            http_client_call(http, "POST", url, NULL, body, CALL_TIMEOUT_MS, &response);
        if (err != ERR_UNAVAILABLE) { // else nothing was sent
            note(self, err, &response);
        }
        rig_pause_ms(PAUSE_MS);
    }
    free(url);
    http_client_destroy(&http);
    return NULL;
}

struct traffic *traffic_start(const struct rig *rig, const char *sync_token)
{
    struct traffic *self = mem_calloc(1, sizeof *self);
    char *order = rig_url(rig, "order");
    char *transfer = rig_url(rig, "transfer");
    self->order_url = mem_format("%s/orders", order);
    self->transfer_url = mem_format("%s/transfers", transfer);
    self->sync_token = sync_token;
    char *record = rig_record_path(rig);
    self->record = fopen(record, "a");
    free(record);
    if (self->record == NULL || pthread_mutex_init(&self->mutex, NULL) != 0) {
        abort();
    }
    free(transfer);
    free(order);
    for (size_t i = 0; i < CLIENTS; i++) {
        self->clients[i] = (struct client){.traffic = self, .errand = errands[i]};
        if (pthread_create(&self->clients[i].thread, NULL, client_main, &self->clients[i]) != 0) {
            abort();
        }
    }
    return self;
}

void traffic_stop(struct traffic **self_p)
{
    struct traffic *self = *self_p;
    if (self == NULL) {
        return;
    }
    atomic_store(&self->stopping, true);
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)pthread_join(self->clients[i].thread, NULL);
    }
    (void)fclose(self->record);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self->order_url);
    free(self->transfer_url);
    free(self);
    *self_p = NULL;
}
