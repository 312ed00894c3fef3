#include "common/bus_requests.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/wire.h"

static void request_destroy(struct bus_request **self_p)
{
    struct bus_request *self = *self_p;
    if (self == NULL) {
        return;
    }
    buf_release(&self->records);
    free(self->tags);
    free(self);
    *self_p = NULL;
}

static void tag_push(struct bus_request *request, uint64_t tag)
{
    if (request->count == request->capacity) {
        request->capacity = request->capacity == 0 ? 16 : request->capacity * 2;
        request->tags = mem_realloc(request->tags, request->capacity * sizeof *request->tags);
    }
    request->tags[request->count++] = tag;
}

bool bus_requests_has_room(const struct bus_requests *self, size_t record_bytes)
{
    const struct bus_request *request = self->gathering;
    return request == NULL || (request->count < WIRE_BATCH_MAX &&
                               request->records.size + record_bytes <= WIRE_BATCH_BYTES_MAX);
}

enum err bus_requests_add(struct bus_requests *self, uint64_t tag, const struct record *record)
{
    struct bus_request *request = self->gathering;
    if (request == NULL) {
        request = mem_calloc(1, sizeof *request);
        self->gathering = request;
    }
    const size_t before = request->records.size;
    const enum err err = record_append(&request->records, record);
    if (err != ERR_OK) {
        return err;
    }
    assert(request->records.size <= WIRE_BATCH_BYTES_MAX);
    tag_push(request, tag);
    self->tags_count++;
    self->bytes += request->records.size - before;
    return ERR_OK;
}

static void put_under_way(struct bus_requests *self, struct bus_request *request)
{
    request->number = ++self->numbers;
    request->next = NULL;
    if (self->first == NULL) {
        self->first = request;
    } else {
        self->last->next = request;
    }
    self->last = request;
}

struct bus_request *bus_requests_seal(struct bus_requests *self)
{
    struct bus_request *request = self->gathering;
    if (request == NULL || request->count == 0) {
        return NULL;
    }
    self->gathering = NULL;
    put_under_way(self, request);
    return request;
}

struct bus_request *bus_requests_find(const struct bus_requests *self, uint64_t number)
{
    // Answers come nearly in the order of the requests: it is near the front.
    for (struct bus_request *request = self->first; request != NULL; request = request->next) {
        if (request->number == number) {
            return request;
        }
    }
    return NULL;
}

static void unlink_and_free(struct bus_requests *self, struct bus_request *request)
{
    struct bus_request *before = NULL;
    struct bus_request *at = self->first;
    while (at != request) {
        assert(at != NULL);
        before = at;
        at = at->next;
    }
    if (before == NULL) {
        self->first = request->next;
    } else {
        before->next = request->next;
    }
    if (self->last == request) {
        self->last = before;
    }
    self->tags_count -= request->count - request->answered;
    self->bytes -= request->records.size;
    request_destroy(&request);
}

bool bus_requests_answer(struct bus_requests *self, struct bus_request *request, uint32_t count)
{
    assert(count <= request->count - request->answered);
    request->answered += count;
    self->tags_count -= count;
    if (request->answered < request->count) {
        return false;
    }
    unlink_and_free(self, request);
    return true;
}

struct bus_request *bus_requests_split(struct bus_requests *self, struct bus_request *request,
                                       uint32_t index)
{
    assert(index >= request->answered && index < request->count);
    struct bus_request *others = mem_calloc(1, sizeof *others);
    struct buf bad = {0};
    struct reader reader = {.rest = buf_view(&request->records)};
    for (uint32_t i = 0; i < request->count; i++) {
        const struct bytes record = reader_bytes(&reader, load_u32(reader.rest.data));
        if (i == index) {
            buf_put(&bad, record.data, record.size);
        } else if (i >= request->answered) {
            buf_put(&others->records, record.data, record.size);
            tag_push(others, request->tags[i]);
        } else {
            self->bytes -= record.size;
        }
    }
    request->tags[0] = request->tags[index];
    request->count = 1;
    request->answered = 0;
    buf_release(&request->records);
    request->records = bad;
    if (others->count == 0) {
        request_destroy(&others);
        return NULL;
    }
    put_under_way(self, others);
    return others;
}

void bus_requests_clear(struct bus_requests *self)
{
    while (self->first != NULL) {
        struct bus_request *request = self->first;
        self->first = request->next;
        request_destroy(&request);
    }
    request_destroy(&self->gathering);
    *self = (struct bus_requests){.numbers = self->numbers};
}
