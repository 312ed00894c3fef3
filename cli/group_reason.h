// group_reason - why a group has not dealt with an event yet, in a sentence.
#ifndef FAULTLINE_CLI_GROUP_REASON_H
#define FAULTLINE_CLI_GROUP_REASON_H

#include <cjson/cJSON.h>

enum {
    GROUP_REASON_SIZE = 384
};

// group_reason writes "waiting for payment: no member for 14 s, 3 events behind". group is
// its object in the broker's STATUS, the event and its key are what it waits for. Events of a
// group that wait for the same thing get the same sentence from the same STATUS, so that they
// can be counted together.
void group_reason(char out[GROUP_REASON_SIZE], const cJSON *group, const char *event_id,
                  const char *subject);

#endif
