#include "common/crash_point.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"

// In the order of a life: what is stored, given, acked, saved; the rarer things; the start
// and the end.
const struct crash_point_def crash_points[] = {
    {"broker-before-append", "broker", "a publish is checked; nothing of it is kept"},
    {"broker-after-append", "broker", "its events are in the batch, which is in memory alone"},
    {"broker-before-write",
     "broker",
     "the batch is complete, in memory alone; its write comes next"},
    {"broker-before-sync", "broker", "the batch is written to the log's file and not synced"},
    {"broker-after-sync", "broker", "the batch is durable; no publisher has been answered"},
    {"broker-after-answer", "broker", "the publishers' answers are with the socket"},
    {"broker-before-deliver", "broker", "a member's events are packed; nothing is sent"},
    {"broker-after-deliver", "broker", "they are with the socket, and held by the member"},
    {"broker-before-ack", "broker", "acks have come; their group does not know"},
    {"broker-after-ack", "broker", "the group knows; its file does not"},
    {"broker-after-nack", "broker", "a failure is counted and its retry waits, in memory alone"},
    {"broker-before-save", "broker", "the file of the groups is about to be written"},
    {"broker-save-written", "broker", "the new file lies beside the old one, synced"},
    {"broker-save-renamed", "broker", "the new file has the name; its folder is not synced"},
    {"broker-after-save", "broker", "the new file is durable under its name"},
    {"broker-before-create", "broker", "a new group is in memory alone; its member waits"},
    {"broker-after-create", "broker", "the new group is saved; its member was not told"},
    {"broker-before-reset", "broker", "a group has its new beginning in memory alone"},
    {"broker-after-reset", "broker", "the new beginning is saved; nobody was told"},
    {"broker-before-delete", "broker", "a group is gone from memory; its file still has it"},
    {"broker-after-delete", "broker", "the group is gone from the file; nobody was told"},
    {"broker-before-roll", "broker", "a segment is full, and nothing was done about it yet"},
    {"broker-roll-cut", "broker", "the full segment is cut to its size; there is no next one"},
    {"broker-roll-made", "broker", "a new segment's file is durable and has no batch"},
    {"broker-dead-letter-appended", "broker", "a dead letter is in the batch, not in the log"},
    {"broker-dead-letter-synced", "broker", "it is durable; the group still holds the event"},
    {"broker-redrive-appended", "broker", "a letter's copy is in the batch, not in the log"},
    {"broker-redrive-synced", "broker", "it is durable; the letter is listed, nobody answered"},
    {"broker-before-drop", "broker", "retention is about to remove the oldest segment"},
    {"broker-after-drop", "broker", "it is removed; the groups and their file do not know"},
    {"broker-recovery-scan", "broker", "a start has read a batch of the log, with more behind"},
    {"broker-recovery-cut", "broker", "a start has cut off a torn tail, durably"},
    {"broker-recovered", "broker", "log and groups are read; nobody can connect yet"},
    {"broker-stop-begun", "broker", "SIGTERM has come; nothing was done about it yet"},
    {"broker-stop-synced",
     "broker",
     "what waited is stored and members know; groups are not saved"},
    {"broker-stop-saved", "broker", "the groups are saved as well"},

    {"service-schema-made", "service", "the tables are there; no port is open, no bus connected"},
    {"service-relay-row", "service", "a row of the outbox is with the bus again; others follow"},
    {"service-relay-acked", "service", "the broker has such a row; it is not deleted"},
    {"service-mid-batch", "service", "an input is handled, another follows; nothing is committed"},
    {"service-before-commit", "service", "all of a batch is handled; nothing is committed"},
    {"service-request-uncommitted",
     "service",
     "a request is handled, its answer ready; nothing is committed"},
    {"service-after-commit", "service", "a batch is on disk; nobody was told anything"},
    {"service-before-publish", "service", "an event is committed; the bus does not have it"},
    {"service-publish-acked", "service", "the broker has an event; its outbox row is not deleted"},
    {"service-before-answer", "service", "a request's change is committed; it is not answered"},
    {"service-before-ack", "service", "an event's change is committed; it is not acked"},
    {"service-before-nack", "service", "a handler's failure is undone; the broker is not told"},
    {"service-before-reject", "service", "an event is given up; the broker is not told"},
    {"service-bus-flushed", "service", "a round's acks and publishes are with the socket"},
    {"service-stop-begun", "service", "SIGTERM has come; nothing is flushed"},
    {"service-stop-flushed", "service", "all is published and acked; no BYE was said"},

    {"order-chain-begun", "order", "the order is committed as pending; nobody was called"},
    {"order-chain-reserved", "order", "inventory has reserved; payment was not called"},
    {"order-chain-charged", "order", "payment has charged; notification was not called"},
    {"order-chain-notified", "order", "all have answered well; the order's end is not written"},
    {"order-chain-failed", "order", "a call has failed; nothing is undone"},
    {"order-chain-refunded", "order", "payment was asked to undo; inventory was not"},
    {"order-chain-released",
     "order",
     "inventory was asked to undo; the order's end is not written"},
    {"payment-charge-begun", "payment", "a charge is noted; neither fraud nor ledger was asked"},
    {"payment-charge-screened", "payment", "fraud has cleared the order; no card was asked"},
    {"payment-charge-agreed", "payment", "the card pays; the ledger was not asked"},
    {"payment-charge-posted", "payment", "the ledger has answered; the charge is not written"},
    {"payment-refund-begun", "payment", "a refund is noted; the ledger was not asked"},
    {"payment-refund-reversed", "payment", "the ledger has answered; the refund is not written"},

    {"rebuild-before-exchange", "rebuild", "the new database is made; the old one is untouched"},
    {"rebuild-kept", "rebuild", "what is there is kept under its second name, and in its place"},
    {"rebuild-after-exchange", "rebuild", "the new one is in its place; its files are not closed"},
    {0},
};

bool crash_point_is_armed;

// What crash_point_arm found out, for crash_point_pass: complete before there are threads,
// so that a dying process neither allocates nor formats.
static struct {
    const char *name; // borrowed from the table
    char line[256];
    atomic_long left; // passings up to the last one
    long late_ms;
} armed;

bool crash_point_is_of(const struct crash_point_def *point, const char *process)
{
    const bool any_service = strcmp(point->process, "service") == 0 &&
                             strcmp(process, "broker") != 0 && strcmp(process, "rebuild") != 0;
    return any_service || strcmp(point->process, process) == 0;
}

// Whose a point is, for a sentence.
static const char *owner_of(const struct crash_point_def *point)
{
    static const char *const owners[][2] = {
        {"service", "a service"}, {"broker", "the broker"}, {"rebuild", "`faultline rebuild`"}};
    for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
        if (strcmp(point->process, owners[i][0]) == 0) {
            return owners[i][1];
        }
    }
    return point->process;
}

static const struct crash_point_def *find(const char *name, size_t size)
{
    for (const struct crash_point_def *point = crash_points; point->name != NULL; point++) {
        if (strlen(point->name) == size && memcmp(point->name, name, size) == 0) {
            return point;
        }
    }
    return NULL;
}

// Reads a number up to max and moves *at behind it. -1: there is none.
static long take_number(const char **at, long max)
{
    char *end = NULL;
    errno = 0;
    const long number = **at >= '0' && **at <= '9' ? strtol(*at, &end, 10) : -1;
    if (number < 0 || number > max || errno != 0) {
        return -1;
    }
    *at = end;
    return number;
}

// Takes the setting apart. *passing is 1 when none is named; 0: what is behind the colon is
// not as it should be.
static const struct crash_point_def *parse(const char *setting, long *passing, long *late_ms)
{
    const size_t size = strcspn(setting, ":");
    const char *at = setting + size;
    *passing = 1;
    *late_ms = 0;
    if (*at == ':') {
        at++;
        *passing = take_number(&at, CRASH_POINT_PASSINGS_MAX);
        if (*passing > 0 && *at == '+') {
            at++;
            *late_ms = take_number(&at, CRASH_POINT_LATE_MS_MAX);
        }
        *passing = *passing < 0 || *late_ms < 0 || *at != '\0' ? 0 : *passing;
    }
    return find(setting, size);
}

enum err crash_point_check(const char *setting, const char *process, char **problem)
{
    static const char list[] = "`faultline crash-points` lists them";
    *problem = NULL;
    if (setting[0] == '\0') {
        return ERR_OK;
    }
    long passing = 0;
    long late_ms = 0;
    const struct crash_point_def *point = parse(setting, &passing, &late_ms);
    if (point == NULL) {
        *problem = mem_format(
            "FAULTLINE_CRASH_AT is \"%s\": there is no such crash point; %s", setting, list);
    } else if (!crash_point_is_of(point, process)) {
        *problem =
            mem_format("FAULTLINE_CRASH_AT is \"%s\": %s never passes that crash point, only "
                       "%s does; %s",
                       setting,
                       process,
                       owner_of(point),
                       list);
    } else if (passing < 1) {
        *problem = mem_format("FAULTLINE_CRASH_AT is \"%s\": behind the colon must stand which "
                              "passing it is, from 1 to %d, and behind a plus, if there is "
                              "one, how many ms late, up to %d; %s",
                              setting,
                              CRASH_POINT_PASSINGS_MAX,
                              CRASH_POINT_LATE_MS_MAX,
                              list);
    }
    return *problem == NULL ? ERR_OK : ERR_INVALID;
}

enum err crash_point_arm(const char *setting, const char *process, char **problem)
{
    const enum err err = crash_point_check(setting, process, problem);
    if (err != ERR_OK || setting[0] == '\0') {
        return err;
    }
    long passing = 0;
    armed.name = parse(setting, &passing, &armed.late_ms)->name;
    atomic_init(&armed.left, passing);
    (void)snprintf(
        armed.line,
        sizeof armed.line,
        "faultline-%s: died at crash point %s, passing %ld, as FAULTLINE_CRASH_AT says\n",
        process,
        armed.name,
        passing);
    crash_point_is_armed = true;
    return ERR_OK;
}

void crash_point_pass(const char *name)
{
    if (strcmp(name, armed.name) != 0 || atomic_fetch_sub(&armed.left, 1) != 1) {
        return;
    }
    const struct timespec late = {.tv_sec = armed.late_ms / 1000,
                                  .tv_nsec = armed.late_ms % 1000 * 1000000};
    (void)nanosleep(&late, NULL);
    const ssize_t written = write(STDERR_FILENO, armed.line, strlen(armed.line));
    (void)written; // whoever closed standard error has the exit code
    _exit(CRASH_POINT_EXIT);
}
