#include "cli/story_print.h"

#include <stdlib.h>
#include <string.h>

#include "cli/term.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    SERVICE_WIDTH = 13,
    PREFIX_MAX = 256,
    SENTENCE_SIZE = 640
};

// A status stands behind what caused it, not on a line of its own.
static bool has_own_line(const struct story_node *node)
{
    return node->kind != STORY_STATUS || node->parent == STORY_ROOT;
}

static void say_duration(struct buf *out, int64_t us)
{
    char duration[TERM_NUMBER_SIZE];
    term_format_duration(duration, us);
    buf_put_text(out, duration);
}

static void say_attempts(struct buf *out, const struct story_node *node)
{
    if (story_number(node, "attempt") > 1) {
        buf_printf(out, ", attempt %d", (int)story_number(node, "attempt"));
    }
}

static void say_http(struct buf *out, const struct story_node *node)
{
    if (node->kind == STORY_CALL) {
        buf_printf(out, "calls %s: ", story_text(node, "target"));
    }
    buf_printf(out, "%s %s -> ", story_text(node, "method"), story_text(node, "path"));
    if (story_number(node, "status") > 0) {
        buf_printf(out, "%d in ", (int)story_number(node, "status"));
    } else {
        buf_printf(out, "%s, after ", story_text(node, "error"));
    }
    say_duration(out, node->duration_us);
    if (node->kind == STORY_CALL) {
        say_attempts(out, node);
    }
}

static void say_handled(struct buf *out, const struct story_node *node)
{
    const bool before = strcmp(story_text(node, "result"), "duplicate") == 0;
    const bool is_timed = node->duration_us >= 0; // a database does not tell
    buf_put_text(out, before ? "had handled it before" : "handled it");
    buf_put_text(out, !is_timed ? "" : before ? ", " : " in ");
    if (is_timed) {
        say_duration(out, node->duration_us);
    }
    say_attempts(out, node);
}

static void say(struct buf *out, const struct story_node *node)
{
    switch (node->kind) {
    case STORY_REQUEST:
    case STORY_CALL:
        say_http(out, node);
        break;
    case STORY_EVENT:
        buf_put_text(out, story_text(node, "topic"));
        break;
    case STORY_HANDLED:
        say_handled(out, node);
        break;
    case STORY_REFUSED:
        buf_printf(out, "refused by the broker: %s", story_text(node, "error"));
        break;
    case STORY_FAILED:
        buf_printf(out, "failed: %s", story_text(node, "error"));
        say_attempts(out, node);
        break;
    case STORY_DEAD_LETTERED:
        buf_printf(
            out, "dead letter for %s: %s", story_text(node, "group"), story_text(node, "error"));
        say_attempts(out, node);
        break;
    case STORY_REDRIVEN:
        buf_printf(out, "given back to %s", story_text(node, "group"));
        break;
    case STORY_STATUS:
        buf_put_text(out, story_text(node, "status"));
        break;
    case STORY_MISSING:
        buf_put_text(out, node->reason);
        break;
    }
}

static enum colour colour_of(const struct story_node *node)
{
    switch (node->kind) {
    case STORY_FAILED:
    case STORY_MISSING:
        return COLOUR_YELLOW;
    case STORY_DEAD_LETTERED:
    case STORY_REFUSED:
        return COLOUR_RED;
    case STORY_EVENT:
        return COLOUR_BOLD;
    case STORY_REQUEST:
    case STORY_CALL:
        return story_number(node, "status") >= 200 && story_number(node, "status") < 400
                   ? COLOUR_NONE
                   : COLOUR_RED;
    case STORY_HANDLED:
    case STORY_REDRIVEN:
    case STORY_STATUS:
        break;
    }
    return COLOUR_NONE;
}

struct pen {
    const struct story *story;
    FILE *out;
    bool colours;
};

static void print_statuses(const struct pen *pen, int parent)
{
    for (size_t i = 0; i < story_count(pen->story); i++) {
        const struct story_node *node = story_node_at(pen->story, i);
        if (node->kind != STORY_STATUS || node->parent != parent) {
            continue;
        }
        const bool bad = strcmp(story_text(node, "status"), "cancelled") == 0;
        const enum colour colour = bad ? COLOUR_RED : COLOUR_GREEN;
        fprintf(pen->out,
                "  => %s%s%s%s%s",
                term_start(colour, pen->colours),
                story_text(node, "status"),
                story_text(node, "reason")[0] == '\0' ? "" : ": ",
                story_text(node, "reason"),
                term_end(colour, pen->colours));
    }
}

static void print_line(const struct pen *pen, size_t index, const char *prefix, const char *branch)
{
    const struct story_node *node = story_node_at(pen->story, index);
    char time[TERM_NUMBER_SIZE] = "";
    if (node->at_us > 0) {
        snprintf(time,
                 sizeof time,
                 "%.1f ms",
                 (double)(node->at_us - story_start_us(pen->story)) / 1000);
    }
    const enum colour service = term_service_colour(node->service);
    fprintf(pen->out,
            "%12s  %s%-*s%s %s%s",
            time,
            term_start(service, pen->colours),
            SERVICE_WIDTH,
            node->service,
            term_end(service, pen->colours),
            prefix,
            branch);
    struct buf sentence = {0};
    say(&sentence, node);
    const enum colour colour = colour_of(node);
    fprintf(pen->out,
            "%s%.*s%s",
            term_start(colour, pen->colours),
            (int)sentence.size,
            (const char *)sentence.data,
            term_end(colour, pen->colours));
    buf_release(&sentence);
    print_statuses(pen, (int)index);
    fputc('\n', pen->out);
}

static bool is_child(const struct story *story, size_t index, int parent)
{
    const struct story_node *node = story_node_at(story, index);
    return node->parent == parent && has_own_line(node);
}

// Depth first; the depth is bounded by the tree having no circle, and the prefix is
// cut where no terminal could show it.
static void print_children(const struct pen *pen, int parent, const char *prefix)
{
    const size_t count = story_count(pen->story);
    size_t last = count;
    for (size_t i = 0; i < count; i++) {
        if (is_child(pen->story, i, parent)) {
            last = i;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_child(pen->story, i, parent)) {
            continue;
        }
        const bool root = parent == STORY_ROOT;
        print_line(pen, i, prefix, root ? "" : (i == last ? "└─ " : "├─ "));
        char deeper[PREFIX_MAX];
        snprintf(deeper, sizeof deeper, "%s%s", prefix, root ? "" : (i == last ? "   " : "│  "));
        print_children(pen, (int)i, deeper);
    }
}

void story_print(const struct story *story, FILE *out, bool colours)
{
    const char *status = story_status(story);
    const bool pending = strcmp(status, "pending") == 0;
    char duration[TERM_NUMBER_SIZE];
    term_format_duration(duration,
                         (pending ? clock_wall_us() : story_end_us(story)) - story_start_us(story));
    fprintf(out,
            "%s%s%s: %s%s%s %s %s\n\n",
            term_start(COLOUR_BOLD, colours),
            story_subject(story),
            term_end(COLOUR_BOLD, colours),
            status[0] == '\0' ? "status unknown" : status,
            story_reason(story)[0] == '\0' ? "" : ", ",
            story_reason(story),
            pending ? "for" : "after",
            duration);
    print_children(&(struct pen){.story = story, .out = out, .colours = colours}, STORY_ROOT, "");
}

// --- JSON

static const char *const kind_names[] = {
    [STORY_REQUEST] = "request",
    [STORY_CALL] = "call",
    [STORY_EVENT] = "event",
    [STORY_REFUSED] = "refused",
    [STORY_HANDLED] = "handled",
    [STORY_FAILED] = "failed",
    [STORY_DEAD_LETTERED] = "dead-lettered",
    [STORY_REDRIVEN] = "redriven",
    [STORY_STATUS] = "status",
    [STORY_MISSING] = "missing",
};

static cJSON *children_to_json(const struct story *story, int parent);

static cJSON *node_to_json(const struct story *story, size_t index)
{
    static const char *const kept[] = {
        "event_id",
        "topic",
        "offset",
        "attempt",
        "result",
        "error",
        "target",
        "method",
        "path",
        "status",
        "reason",
        "group",
        "request_id",
        "trace_id",
        "span_id",
    };
    const struct story_node *node = story_node_at(story, index);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "kind", kind_names[node->kind]);
    cJSON_AddStringToObject(json, "service", node->service);
    if (node->at_us > 0) {
        cJSON_AddNumberToObject(json, "at_us", (double)(node->at_us - story_start_us(story)));
    }
    if (node->duration_us >= 0) {
        cJSON_AddNumberToObject(json, "duration_us", (double)node->duration_us);
    }
    for (size_t i = 0; node->line != NULL && i < ARRAY_LEN(kept); i++) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(node->line, kept[i]);
        if (member != NULL) {
            cJSON_AddItemToObject(json, kept[i], cJSON_Duplicate(member, true));
        }
    }
    if (node->reason[0] != '\0') {
        cJSON_AddStringToObject(json, "reason", node->reason);
    }
    cJSON_AddItemToObject(json, "children", children_to_json(story, (int)index));
    return json;
}

static cJSON *children_to_json(const struct story *story, int parent)
{
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < story_count(story); i++) {
        if (story_node_at(story, i)->parent == parent) {
            cJSON_AddItemToArray(array, node_to_json(story, i));
        }
    }
    return array;
}

cJSON *story_to_json(const struct story *story)
{
    cJSON *json = cJSON_CreateObject();
    char start[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(start, story_start_us(story));
    cJSON_AddStringToObject(json, "subject", story_subject(story));
    cJSON_AddStringToObject(json, "status", story_status(story));
    cJSON_AddStringToObject(json, "reason", story_reason(story));
    cJSON_AddBoolToObject(json, "finished", story_is_finished(story));
    cJSON_AddStringToObject(json, "started_at", start);
    cJSON_AddNumberToObject(
        json, "duration_us", (double)(story_end_us(story) - story_start_us(story)));
    cJSON_AddItemToObject(json, "story", children_to_json(story, STORY_ROOT));
    return json;
}
