// status - the broker's HTTP interface, for people, programs and probes that look on:
//
//   GET /healthz  /readyz  /metrics
//   GET /status                                  log, groups, members, failing events
//   GET /dead-letters?group=&limit=&after=       dead letters, oldest first
//   GET /dead-letters/{offset}                   one, with its event
#ifndef FAULTLINE_STATUS_H
#define FAULTLINE_STATUS_H

struct broker;
struct http_server;

enum {
    STATUS_REQUESTS_MAX = 32, // answered in one round
    STATUS_LIMIT_DEFAULT = 50,
    STATUS_LIMIT_MAX = 500,
};

// status_serve answers the requests that wait. Core thread.
void status_serve(struct broker *broker, struct http_server *http);

#endif
