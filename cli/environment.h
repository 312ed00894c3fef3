// environment - what a process of a native stack finds in its environment: where it
// stands (ours), and the settings a person gave to `up` (passed through).
#ifndef FAULTLINE_CLI_ENVIRONMENT_H
#define FAULTLINE_CLI_ENVIRONMENT_H

#include "cli/stack.h"

// environment_is_setting: "NAME=value" of the environment is a setting of a broker or
// service (SYNC_…, FRAUD_…, BUS_…), so `start` shall know it as well.
bool environment_is_setting(const char *assignment);

// environment_is_ours: it is such a setting, or says where a process stands.
bool environment_is_ours(const char *assignment);

// environment_keep_settings copies the settings among envp (ended by NULL) into
// stack->settings, at most STACK_SETTINGS_MAX.
void environment_keep_settings(struct stack *stack, char *const *envp);

// environment_of makes the environment of a process, ended by NULL: envp, then the
// stack's settings that envp does not set, then where it shall crash, then those of the
// process itself in place of either, then address, ports, folder and URLs, which nobody
// overrides. Free it with environment_free.
char **environment_of(const struct stack *stack, const struct stack_process *process,
                      char *const *envp);
// environment_set gives a variable of such an environment, "NAME=value", another value; one
// that is not there is left out.
void environment_set(char **environment, const char *assignment);
void environment_free(char ***environment_p);

#endif
