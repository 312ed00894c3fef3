#include "cli/story.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

struct story {
    char *subject;            // owned
    struct story_node *nodes; // owned array
    size_t count;
    size_t capacity;
    cJSON **lines; // owned array of owned lines
    size_t lines_count;
    size_t lines_capacity;
    cJSON **published; // borrowed: "event published" lines, which only carry offsets
    size_t published_count;
    size_t published_capacity;
};

static const struct {
    const char *msg;
    enum story_kind kind;
} sentences[] = {
    {LOG_REQUEST_ANSWERED, STORY_REQUEST},
    {LOG_CALL_ANSWERED, STORY_CALL},
    {LOG_EVENT_STORED, STORY_EVENT},
    {LOG_EVENT_REFUSED, STORY_REFUSED},
    {LOG_EVENT_HANDLED, STORY_HANDLED},
    {LOG_EVENT_FAILED, STORY_FAILED},
    {LOG_EVENT_DEAD_LETTERED, STORY_DEAD_LETTERED},
    {LOG_EVENT_REDRIVEN, STORY_REDRIVEN},
    {LOG_STATUS_CHANGED, STORY_STATUS},
};

static const char *text_of(const cJSON *line, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, member);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static int64_t number_of(const cJSON *line, const char *member, int64_t fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, member);
    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : fallback;
}

struct story *story_new(const char *subject)
{
    struct story *self = mem_calloc(1, sizeof *self);
    self->subject = mem_strdup(subject);
    return self;
}

void story_destroy(struct story **self_p)
{
    struct story *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->lines_count; i++) {
        cJSON_Delete(self->lines[i]);
    }
    free(self->lines);
    free(self->published);
    free(self->nodes);
    free(self->subject);
    free(self);
    *self_p = NULL;
}

static struct story_node *add_node(struct story *self, enum story_kind kind)
{
    self->nodes = mem_grow(self->nodes, &self->capacity, self->count + 1, sizeof *self->nodes);
    struct story_node *node = &self->nodes[self->count++];
    *node =
        (struct story_node){.kind = kind, .duration_us = -1, .offset = -1, .parent = STORY_ROOT};
    return node;
}

static void add_known(struct story *self, enum story_kind kind, const cJSON *line)
{
    struct story_node *node = add_node(self, kind);
    node->line = line;
    node->duration_us = number_of(line, "duration_us", -1);
    node->at_us = clock_parse_rfc3339(text_of(line, "ts"));
    snprintf(node->service, sizeof node->service, "%s", text_of(line, "service"));
    if ((kind == STORY_REQUEST || kind == STORY_CALL) && node->duration_us > 0) {
        node->at_us -= node->duration_us; // they are logged at their end
    }
}

// Most lines of a log are about others: parsing those would take most of the time.
static bool contains(struct bytes text, const char *word)
{
    const size_t size = strlen(word);
    while (text.size >= size) {
        const uint8_t *at = memchr(text.data, word[0], text.size - size + 1);
        if (at == NULL) {
            return false;
        }
        if (memcmp(at, word, size) == 0) {
            return true;
        }
        text.size -= (size_t)(at + 1 - text.data);
        text.data = at + 1;
    }
    return false;
}

bool story_add_line(struct story *self, struct bytes text)
{
    if (self->subject[0] == '\0' || !contains(text, self->subject)) {
        return false;
    }
    const char *start = memchr(text.data, '{', text.size);
    if (start == NULL) {
        return false;
    }
    const size_t size = text.size - (size_t)(start - (const char *)text.data);
    cJSON *line = cJSON_ParseWithLength(start, size);
    if (line == NULL || strcmp(text_of(line, "correlation_id"), self->subject) != 0) {
        cJSON_Delete(line);
        return false;
    }
    self->lines = mem_grow(
        (void *)self->lines, &self->lines_capacity, self->lines_count + 1, sizeof(cJSON *));
    self->lines[self->lines_count++] = line;
    const char *msg = text_of(line, "msg");
    if (strcmp(msg, LOG_EVENT_PUBLISHED) == 0) {
        self->published = mem_grow((void *)self->published,
                                   &self->published_capacity,
                                   self->published_count + 1,
                                   sizeof(cJSON *));
        self->published[self->published_count++] = line;
    }
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
        if (strcmp(msg, sentences[i].msg) == 0) {
            add_known(self, sentences[i].kind, line);
        }
    }
    return true;
}

// --- the tree

static int compare_times(const void *a, const void *b)
{
    const struct story_node *left = a;
    const struct story_node *right = b;
    if (left->at_us != right->at_us) {
        return left->at_us < right->at_us ? -1 : 1;
    }
    return (left->kind > right->kind) - (left->kind < right->kind);
}

// Finds the first node of a kind whose line has a member with this text; service
// NULL: of any service.
static int find(const struct story *self, enum story_kind kind, const char *member,
                const char *text, const char *service)
{
    if (text[0] == '\0') {
        return STORY_ROOT;
    }
    for (size_t i = 0; i < self->count; i++) {
        const struct story_node *node = &self->nodes[i];
        if (node->kind == kind && node->line != NULL &&
            strcmp(text_of(node->line, member), text) == 0 &&
            (service == NULL || strcmp(node->service, service) == 0)) {
            return (int)i;
        }
    }
    return STORY_ROOT;
}

// The handler or request of a service that had this cause.
static int find_cause(const struct story *self, const char *cause, const char *service)
{
    int parent = find(self, STORY_REQUEST, "request_id", cause, service);
    // An event that was handled twice (the log line of the first time may stand
    // anywhere): the time that did something is the one with result "done".
    for (size_t i = 0; parent == STORY_ROOT && i < self->count; i++) {
        const struct story_node *node = &self->nodes[i];
        if (node->kind == STORY_HANDLED && strcmp(node->service, service) == 0 &&
            strcmp(text_of(node->line, "event_id"), cause) == 0 &&
            strcmp(text_of(node->line, "result"), "duplicate") != 0) {
            parent = (int)i;
        }
    }
    return parent != STORY_ROOT ? parent : find(self, STORY_EVENT, "event_id", cause, NULL);
}

static int parent_of(const struct story *self, const struct story_node *node)
{
    const char *span = text_of(node->line, "parent_span_id");
    switch (node->kind) {
    case STORY_REQUEST:
        return find(self, STORY_CALL, "span_id", span, NULL);
    case STORY_CALL:
        return find(self, STORY_REQUEST, "span_id", span, node->service);
    case STORY_EVENT:
        return find_cause(self, text_of(node->line, "causation_id"), node->service);
    case STORY_STATUS:
        return find_cause(self, text_of(node->line, "event_id"), node->service);
    case STORY_REFUSED:
    case STORY_HANDLED:
    case STORY_FAILED:
    case STORY_DEAD_LETTERED:
    case STORY_REDRIVEN:
        return find(self, STORY_EVENT, "event_id", text_of(node->line, "event_id"), NULL);
    case STORY_MISSING:
        break;
    }
    return STORY_ROOT;
}

// The line that told of an event's commit can be lost with the process that was
// about to write it: the event is known from who handled it, then.
static void add_untold_events(struct story *self)
{
    const size_t count = self->count;
    for (size_t i = 0; i < count; i++) {
        const struct story_node node = self->nodes[i];
        const bool tells = node.kind == STORY_HANDLED || node.kind == STORY_FAILED ||
                           node.kind == STORY_DEAD_LETTERED;
        if (tells && find(self, STORY_EVENT, "event_id", text_of(node.line, "event_id"), NULL) ==
                         STORY_ROOT) {
            struct story_node *event = add_node(self, STORY_EVENT);
            event->line = node.line;
            event->at_us = node.at_us;
        }
    }
}

void story_link(struct story *self)
{
    add_untold_events(self);
    if (self->count > 0) {
        qsort(self->nodes, self->count, sizeof *self->nodes, compare_times);
    }
    for (size_t i = 0; i < self->count; i++) {
        struct story_node *node = &self->nodes[i];
        node->parent = parent_of(self, node);
        for (size_t k = 0; node->kind == STORY_EVENT && k < self->published_count; k++) {
            if (strcmp(text_of(self->published[k], "event_id"), text_of(node->line, "event_id")) ==
                0) {
                node->offset = number_of(self->published[k], "offset", -1);
            }
        }
    }
    // Damaged logs could tell of a circle; cut it, so that whoever walks up ends.
    for (size_t i = 0; i < self->count; i++) {
        size_t steps = 0;
        for (int at = (int)i; at != STORY_ROOT && steps <= self->count; steps++) {
            at = self->nodes[at].parent;
        }
        if (steps > self->count) {
            self->nodes[i].parent = STORY_ROOT;
        }
    }
}

void story_add_missing(struct story *self, size_t event, const char *service, const char *reason)
{
    assert(event < self->count);
    struct story_node *node = add_node(self, STORY_MISSING);
    node->parent = (int)event;
    snprintf(node->service, sizeof node->service, "%s", service);
    snprintf(node->reason, sizeof node->reason, "%s", reason);
}

// --- reading it

size_t story_count(const struct story *self)
{
    return self->count;
}

const struct story_node *story_node_at(const struct story *self, size_t index)
{
    assert(index < self->count);
    return &self->nodes[index];
}

const char *story_text(const struct story_node *node, const char *member)
{
    return text_of(node->line, member);
}

int64_t story_number(const struct story_node *node, const char *member)
{
    return number_of(node->line, member, 0);
}

static const struct story_node *last_status(const struct story *self)
{
    const struct story_node *last = NULL;
    for (size_t i = 0; i < self->count; i++) {
        if (self->nodes[i].kind == STORY_STATUS) {
            last = &self->nodes[i];
        }
    }
    return last;
}

const char *story_status(const struct story *self)
{
    const struct story_node *last = last_status(self);
    return last == NULL ? "" : text_of(last->line, "status");
}

const char *story_reason(const struct story *self)
{
    const struct story_node *last = last_status(self);
    return last == NULL ? "" : text_of(last->line, "reason");
}

bool story_is_finished(const struct story *self)
{
    static const char *const ends[] = {"confirmed", "cancelled", "completed"};
    for (size_t i = 0; i < self->count; i++) {
        if (self->nodes[i].kind == STORY_MISSING) {
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (strcmp(story_status(self), ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

const char *story_subject(const struct story *self)
{
    return self->subject;
}

int64_t story_start_us(const struct story *self)
{
    return self->count == 0 ? 0 : self->nodes[0].at_us;
}

int64_t story_end_us(const struct story *self)
{
    const struct story_node *last = last_status(self);
    return last == NULL ? story_start_us(self) : last->at_us;
}
