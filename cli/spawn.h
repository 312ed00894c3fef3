// spawn - starting other programs: a process that lives on without us, or a
// command whose output we read.
#ifndef FAULTLINE_CLI_SPAWN_H
#define FAULTLINE_CLI_SPAWN_H

#include <sys/types.h>

#include "common/bytes.h"
#include "common/err.h"

// spawn_detached runs the program at path in a session of its own, in folder, with
// exactly the environment envp (ended by NULL): standard input is empty, output and
// errors are appended to log_path, every other file of ours is closed. It stays our
// child, for waitpid, as long as we live. ERR_IO: it could not be started, and
// *problem, which the caller frees, says why.
enum err spawn_detached(const char *path, const char *const *envp, const char *folder,
                        const char *log_path, pid_t *out, char **problem);

// spawn_helper does the same with argv (ended by NULL; a path and its arguments), a program
// that is of no use without us: it gets SIGTERM when we end, however that comes. It stays
// in our session and in our folder, and has no FAULTLINE_CRASH_AT: that was not meant for it.
enum err spawn_helper(const char *const *argv, const char *const *envp, const char *log_path,
                      pid_t *out, char **problem);

// spawn_helper_read does so and waits for its end; what it says goes to output, through a
// pipe: a full disk does not silence it. Its exit code as with spawn_read. ERR_IO likewise.
enum err spawn_helper_read(const char *const *argv, const char *const *envp, struct buf *output,
                           int *exit_code, char **problem);

// spawn_last_words is the last line of such a log, for a sentence about an early end, and
// spawn_last_line that of such an output; the caller frees it.
char *spawn_last_words(const char *log_path);
char *spawn_last_line(struct bytes said);

// spawn_read runs argv (ended by NULL, found by PATH), waits for its end and gives
// its standard output. ERR_NOT_FOUND: there is no such program. Its exit code goes
// to *exit_code, -1 when a signal ended it; its errors are thrown away.
enum err spawn_read(const char *const *argv, struct buf *output, int *exit_code);

// spawn_run runs argv likewise, with our own standard input, output and errors, and waits.
enum err spawn_run(const char *const *argv, int *exit_code);

// spawn_pipe starts argv likewise and gives the end of a pipe where its output and
// errors can be read. The caller closes *fd and waits for *pid.
enum err spawn_pipe(const char *const *argv, pid_t *pid, int *fd);

#endif
