// start_settings - what `start --set NAME=VALUE` gives to processes: checked, kept for
// them in the stack, and taken back when they do not come up with it.
#ifndef FAULTLINE_CLI_START_SETTINGS_H
#define FAULTLINE_CLI_START_SETTINGS_H

#include <stdbool.h>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/target.h"

struct start_settings {
    struct stack_process *before; // owned; the processes' settings as they were; NULL: no --set
    bool *chosen;                 // owned; those that were given some
    size_t count;
};

// start_settings_keep gives the chosen processes of target the settings of --set; an empty
// value makes them forget one. Their executables are asked whether they know it. Anything
// but CLI_YES: it has said why on standard error, and nothing was changed. Release *out in
// any case.
enum cli_exit start_settings_keep(struct start_settings *out, const struct options *options,
                                  struct target *target, const bool *chosen);

// start_settings_take_back gives the processes of the stack of folder dir the settings back
// that they had, and says so on standard error. The stack must not be locked.
void start_settings_take_back(const struct start_settings *self, const char *dir);

void start_settings_release(struct start_settings *self);

#endif
