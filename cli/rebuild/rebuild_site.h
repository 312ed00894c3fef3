// rebuild_site - where a service is rebuilt: the stack it belongs to, and who serves its log.
#ifndef FAULTLINE_CLI_REBUILD_SITE_H
#define FAULTLINE_CLI_REBUILD_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command.h"
#include "cli/rebuild/rebuild_tables.h"
#include "cli/target.h"
#include "cli/verify/verify_broker.h"

struct rebuild_site {
    const struct rebuild_service *service;
    size_t index; // of house_service
    bool is_dry;
    struct target *target;        // owned; NULL: the stack is down
    struct stack *down;           // owned; what `down` left; NULL: there is a target
    int lock;                     // on the stack; -1: none
    const struct stack *stack;    // borrowed from one of them
    struct verify_broker *broker; // owned; NULL: the stack's own runs
    char *url;                    // owned; where the log is read
    uint64_t floor;               // below it the service's group has handled all
};

// rebuild_site_open finds the service and the stack of folder dir, running or down, and a
// broker that serves its log, of its own if need be. Unless is_dry the service must not
// live. The stack is locked while it is changed, or its log is read by a broker of ours.
// Anything but CLI_YES: it has said why on standard error. Close it in any case.
enum cli_exit rebuild_site_open(struct rebuild_site *self, const char *service, const char *dir,
                                bool is_dry);

// rebuild_site_end_broker ends a broker of its own: the log was read.
void rebuild_site_end_broker(struct rebuild_site *self);

void rebuild_site_close(struct rebuild_site *self);

#endif
