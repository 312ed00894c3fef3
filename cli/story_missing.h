// story_missing - what a story still waits for, and the present reason.
#ifndef FAULTLINE_CLI_STORY_MISSING_H
#define FAULTLINE_CLI_STORY_MISSING_H

#include "cli/story.h"

// story_explain adds a STORY_MISSING node for every event that a group has yet to
// deal with, with the present reason, from the broker's GET /status. NULL: the broker
// did not answer; problem is then the sentence that says so.
void story_explain(struct story *self, const cJSON *broker_status, const char *problem);

#endif
