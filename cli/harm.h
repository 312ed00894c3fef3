// harm - what can be done to a process of the house from outside, whether it runs here
// or in a container: kill, pause, resume, end.
#ifndef FAULTLINE_CLI_HARM_H
#define FAULTLINE_CLI_HARM_H

#include "cli/part.h"
#include "common/err.h"

enum harm {
    HARM_KILL,   // SIGKILL
    HARM_PAUSE,  // SIGSTOP
    HARM_RESUME, // SIGCONT
    HARM_END,    // SIGTERM: it may finish what it is at
};

// harm_outcome is the state that a process is in afterwards.
enum process_state harm_outcome(enum harm harm);

// harm_send sends it and does not wait; a container's engine answers when it is done.
// ERR_NOT_FOUND: the process is dead. ERR_IO: we may not, or the engine said no.
enum err harm_send(const struct part *part, enum harm harm);

// harm_do sends it and waits until it is so, so that what comes next can rely on it.
// ERR_IO: we may not, or the engine said no. ERR_TIMEOUT: it is still not so. Either has
// been said on standard error.
enum err harm_do(const struct part *part, enum harm harm);

#endif
