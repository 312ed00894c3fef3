#include "cli/part.h"

const char *part_state_name(enum process_state state)
{
    static const char *const names[] = {
        [PROCESS_DEAD] = "dead",
        [PROCESS_RUNNING] = "running",
        [PROCESS_PAUSED] = "paused",
    };
    return names[state];
}
