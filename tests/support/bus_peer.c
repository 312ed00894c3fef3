#include "tests/support/bus_peer.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

enum {
    INPUTS_MAX = 256,
    ROUND_MS = 5
};

struct bus_peer *peer_open_unconnected(const struct bus_options *options)
{
    struct bus_peer *self = mem_calloc(1, sizeof *self);
    const char *problem = NULL;
    self->delay_ms = -1;
    cr_assert_eq(bus_open(&self->bus, options, &problem), ERR_OK, "%s", problem);
    return self;
}

struct bus_peer *peer_open(const struct bus_options *options)
{
    struct bus_peer *self = peer_open_unconnected(options);
    PUMP_UNTIL(bus_is_connected(self->bus), self);
    return self;
}

struct bus_peer *peer_consumer(const char *url, const char *group, int number, const char *topic)
{
    char member[64];
    snprintf(member, sizeof member, "%s-%d", group, number);
    return peer_open(&(struct bus_options){.url = url,
                                           .member = member,
                                           .group = group,
                                           .topics = &topic,
                                           .topics_count = 1,
                                           .retries_max = 3});
}

struct bus_peer *peer_publisher(const char *url)
{
    return peer_open(&(struct bus_options){.url = url, .member = "publisher-1"});
}

static void delivery_free(struct peer_delivery *kept)
{
    // One block holds all views; the topic is its beginning.
    free((void *)(uintptr_t)kept->delivery.topic.data);
}

void peer_close(struct bus_peer **self_p)
{
    struct bus_peer *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->deliveries_count; i++) {
        delivery_free(&self->deliveries[i]);
    }
    bus_destroy(&self->bus);
    free(self->deliveries);
    free(self->unanswered);
    free(self);
    *self_p = NULL;
}

static struct bytes view_keep(uint8_t **to, struct bytes view)
{
    const struct bytes kept = {.data = *to, .size = view.size};
    if (view.size > 0) {
        memcpy(*to, view.data, view.size);
    }
    *to += view.size;
    return kept;
}

static void delivery_keep(struct bus_peer *self, const struct bus_delivery *delivery)
{
    struct bus_delivery kept = *delivery;
    uint8_t *block = mem_alloc(kept.topic.size + kept.key.size + kept.id.size + kept.body.size);
    kept.topic = view_keep(&block, delivery->topic);
    kept.key = view_keep(&block, delivery->key);
    kept.id = view_keep(&block, delivery->id);
    kept.body = view_keep(&block, delivery->body);
    const size_t count = self->deliveries_count;
    if ((count & (count + 1)) == 0) { // room runs out at 0, 1, 3, 7, ..
        self->deliveries =
            mem_realloc(self->deliveries, (2 * count + 1) * sizeof *self->deliveries);
    }
    self->deliveries[self->deliveries_count++] =
        (struct peer_delivery){.delivery = kept, .at_ms = clock_mono_ms()};
}

static void delivery_answer(struct bus_peer *self, struct peer_delivery *kept)
{
    if (kept->is_answered || self->answer == PEER_HOLD) {
        return;
    }
    kept->is_answered = true;
    const struct bus_delivery *delivery = &kept->delivery;
    if (self->answer == PEER_NACK &&
        (self->nack_only == NULL || bytes_equal_text(delivery->id, self->nack_only))) {
        bus_nack(self->bus, delivery, self->delay_ms, "told to fail");
    } else {
        bus_ack(self->bus, delivery);
    }
}

void peer_answer_with(struct bus_peer *self, enum peer_answer answer)
{
    self->answer = answer;
    for (size_t i = 0; i < self->deliveries_count; i++) {
        delivery_answer(self, &self->deliveries[i]);
    }
    bus_flush(self->bus);
}

static void on_input(struct bus_peer *self, const struct bus_input *input)
{
    if (input->detail != NULL) {
        snprintf(self->last_detail, sizeof self->last_detail, "%s", input->detail);
    }
    switch (input->kind) {
    case BUS_DELIVERY:
        delivery_keep(self, &input->delivery);
        delivery_answer(self, &self->deliveries[self->deliveries_count - 1]);
        break;
    case BUS_PUBLISHED:
        self->published++;
        self->last_offset = input->offset;
        self->unanswered[input->tag] = false;
        break;
    case BUS_REFUSED:
        self->refused++;
        self->last_err = input->err;
        self->unanswered[input->tag] = false;
        break;
    case BUS_CONNECTED:
        self->connected++;
        break;
    case BUS_LOST:
        self->lost++;
        break;
    }
}

void peer_pump(struct bus_peer *self, int64_t wait_ms)
{
    struct bus_input inputs[INPUTS_MAX];
    const int64_t due_ms = bus_timer_ms(self->bus);
    if (!bus_has_input(self->bus)) {
        struct pollfd fd = {.fd = bus_fd(self->bus), .events = POLLIN};
        poll(&fd, 1, (int)(due_ms < wait_ms ? due_ms : wait_ms));
    }
    const size_t count = bus_take(self->bus, inputs, INPUTS_MAX);
    for (size_t i = 0; i < count; i++) {
        on_input(self, &inputs[i]);
    }
    bus_flush(self->bus);
}

void peers_pump(struct bus_peer *const *peers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        peer_pump(peers[i], count == 1 ? ROUND_MS : 1);
    }
}

static bool publish_tag(struct bus_peer *self, uint64_t tag, const char *topic, const char *key)
{
    char id[32];
    snprintf(id, sizeof id, "event-%llu", (unsigned long long)tag);
    enum err err = bus_publish(self->bus, tag, topic, key, id, bytes_of_text("{}"));
    while (err == ERR_FULL) {
        peer_pump(self, ROUND_MS);
        err = bus_publish(self->bus, tag, topic, key, id, bytes_of_text("{}"));
    }
    cr_assert(err == ERR_OK || err == ERR_UNAVAILABLE);
    return err == ERR_OK;
}

bool peer_publish(struct bus_peer *self, const char *topic, const char *key)
{
    const size_t tag = self->tags_count;
    if ((tag & (tag + 1)) == 0) {
        self->unanswered = mem_realloc(self->unanswered, 2 * tag + 1);
    }
    self->unanswered[tag] = true;
    self->tags_count++;
    return publish_tag(self, tag, topic, key);
}

bool peer_publish_again(struct bus_peer *self, const char *topic, const char *key)
{
    for (size_t tag = 0; tag < self->tags_count; tag++) {
        if (self->unanswered[tag] && !publish_tag(self, tag, topic, key)) {
            return false;
        }
    }
    bus_flush(self->bus);
    return true;
}

size_t peer_count_id(const struct bus_peer *self, const char *id)
{
    size_t count = 0;
    for (size_t i = 0; i < self->deliveries_count; i++) {
        count += bytes_equal_text(self->deliveries[i].delivery.id, id);
    }
    return count;
}

static int id_compare(const void *a, const void *b)
{
    const struct bytes *left = &((const struct peer_delivery *)a)->delivery.id;
    const struct bytes *right = &((const struct peer_delivery *)b)->delivery.id;
    const size_t size = left->size < right->size ? left->size : right->size;
    const int order = memcmp(left->data, right->data, size);
    return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

size_t peer_ids(const struct bus_peer *self)
{
    const size_t count = self->deliveries_count;
    if (count == 0) {
        return 0;
    }
    struct peer_delivery *sorted = mem_alloc(count * sizeof *sorted);
    memcpy(sorted, self->deliveries, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, id_compare);
    size_t ids = 1;
    for (size_t i = 1; i < count; i++) {
        ids += id_compare(&sorted[i - 1], &sorted[i]) != 0;
    }
    free(sorted);
    return ids;
}
