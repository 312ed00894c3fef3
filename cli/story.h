// story - what happened to one order or transfer, put together from log lines: a
// tree of causes.
//
//   request --stored--> event --handled by a service--> event --> ...
//      \--call--> request of another service
//
// The lines may come in any order, from any number of processes, with anything in
// front of the JSON (docker-compose writes "payment_1  | "). What they are called and
// carry is written in common/log.h.
#ifndef FAULTLINE_CLI_STORY_H
#define FAULTLINE_CLI_STORY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

enum story_kind {
    STORY_REQUEST,       // an HTTP request that a service answered
    STORY_CALL,          // an HTTP call that a service made
    STORY_EVENT,         // a fact, once it was committed
    STORY_REFUSED,       // the broker would not have it: it stays in the outbox
    STORY_HANDLED,       // a service has dealt with an event
    STORY_FAILED,        // a service has failed with an event; it comes again
    STORY_DEAD_LETTERED, // an event was given up for a group
    STORY_REDRIVEN,      // it was given back to the group
    STORY_STATUS,        // the order or transfer moved on
    STORY_MISSING,       // a group has not dealt with an event yet, and why
};

enum {
    STORY_SERVICE_SIZE = 40,
    STORY_REASON_SIZE = 384,
    STORY_ROOT = -1
};

struct story_node {
    enum story_kind kind;
    int64_t at_us;       // wall clock; 0 for STORY_MISSING
    int64_t duration_us; // requests, calls, handlers; -1: none
    char service[STORY_SERVICE_SIZE];
    const cJSON *line;              // the log line, owned by the story; NULL for STORY_MISSING
    char reason[STORY_REASON_SIZE]; // STORY_MISSING
    int64_t offset;                 // STORY_EVENT: in the broker's log; -1: not known to be there
    int parent;                     // an index, or STORY_ROOT
};

struct story; // opaque

// story_new makes an empty story of the order or transfer called subject (copied).
struct story *story_new(const char *subject);
void story_destroy(struct story **self_p);

// story_add_line takes a log line if it belongs to the story. Returns whether it did.
bool story_add_line(struct story *self, struct bytes line);

// story_link makes the tree of the lines added so far: every node gets its parent,
// and nodes are in the order of their times. Call it once, when all lines are in.
void story_link(struct story *self);

// story_add_missing adds a STORY_MISSING node below an event's node; story_missing.h
// knows when and why.
void story_add_missing(struct story *self, size_t event, const char *service, const char *reason);

size_t story_count(const struct story *self);
const struct story_node *story_node_at(const struct story *self, size_t index);

// story_text is a member of the node's line, or "".
const char *story_text(const struct story_node *node, const char *member);
int64_t story_number(const struct story_node *node, const char *member);

// story_status is where the order or transfer stands: "confirmed", "pending"; ""
// when no line says so. story_reason is why, "" for none.
const char *story_status(const struct story *self);
const char *story_reason(const struct story *self);

// story_is_finished: it has reached its end and no group has anything left to do.
bool story_is_finished(const struct story *self);

const char *story_subject(const struct story *self);
int64_t story_start_us(const struct story *self);

// story_end_us is the time of the last change of status.
int64_t story_end_us(const struct story *self);

#endif
