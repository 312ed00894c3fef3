#include "cli/harm.h"

#include <signal.h>

#include "cli/command.h"
#include "cli/compose.h"
#include "common/mem.h"

enum {
    WAIT_MS = 2000
};

static const struct {
    int signal;
    const char *docker_verb;
    enum process_state outcome;
} harms[] = {
    [HARM_KILL] = {SIGKILL, "kill", PROCESS_DEAD},
    [HARM_PAUSE] = {SIGSTOP, "pause", PROCESS_PAUSED},
    [HARM_RESUME] = {SIGCONT, "unpause", PROCESS_RUNNING},
    [HARM_END] = {SIGTERM, "stop", PROCESS_DEAD},
};

enum process_state harm_outcome(enum harm harm)
{
    return harms[harm].outcome;
}

static bool is_container(const struct part *part)
{
    return part->container[0] != '\0';
}

enum err harm_send(const struct part *part, enum harm harm)
{
    return is_container(part) ? compose_act(part, harms[harm].docker_verb)
                              : process_signal(part->id, harms[harm].signal);
}

enum err harm_do(const struct part *part, enum harm harm)
{
    const enum err err = harm_send(part, harm);
    if (is_container(part)) {
        if (err != ERR_OK) {
            cli_problem("docker %s said no about %s", harms[harm].docker_verb, part->name);
        }
        return err;
    }
    if (err == ERR_IO) {
        cli_problem("we may not signal %s (pid %ld): it belongs to another user",
                    part->name,
                    (long)part->id.pid);
        return err;
    }
    if (!process_wait_state(part->id, harms[harm].outcome, WAIT_MS)) {
        cli_problem("%s (pid %ld) is still not %s",
                    part->name,
                    (long)part->id.pid,
                    part_state_name(harms[harm].outcome));
        return ERR_TIMEOUT;
    }
    return ERR_OK;
}
