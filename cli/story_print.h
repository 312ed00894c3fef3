// story_print - draws a story: a tree of causes with times for people, the same
// tree as JSON for programs.
#ifndef FAULTLINE_CLI_STORY_PRINT_H
#define FAULTLINE_CLI_STORY_PRINT_H

#include <stdio.h>

#include "cli/story.h"

// story_print writes a head line and a line for each node: time since the start,
// service, the tree.
void story_print(const struct story *story, FILE *out, bool colours);

// story_to_json returns the story; the caller owns it.
cJSON *story_to_json(const struct story *story);

#endif
