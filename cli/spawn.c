#include "cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crash_point.h"
#include "common/mem.h"

enum {
    // Shells and test harnesses keep few files open; above this nobody looks.
    INHERITED_FD_MAX = 1024,
    EXIT_NO_EXEC = 127,
    READ_BYTES = 65536,
    LINE_SIZE = 512,
};

// exec wants pointers to text that may be changed, and does not change it.
static char **pointers_copy(const char *const *texts)
{
    size_t count = 0;
    while (texts[count] != NULL) {
        count++;
    }
    char **copy = mem_calloc(count + 1, sizeof *copy);
    memcpy(copy, texts, count * sizeof *copy);
    return copy;
}

// Takes a variable out of such a copy.
static void pointers_drop(char **environment, const char *name)
{
    const size_t name_size = strlen(name);
    char **to = environment;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, name, name_size) != 0 || (*environment)[name_size] != '=') {
            *to++ = *environment;
        }
    }
    *to = NULL;
}

// In the child: default signals again, whatever the caller had.
static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
}

// Everything that the child needs, prepared before the fork: between fork and exec
// it may call only async-signal-safe functions.
struct child {
    char *const *argv;
    char *const *envp; // NULL: the parent's
    const char *folder;
    int in, out, error;
    int report;    // where errno goes when exec fails; closed by a good exec
    bool detached; // in a session of its own, without our files
    pid_t helps;   // ends with this process; 0: with none. Without its files as well
};

static void child_run(const struct child *child)
{
    reset_signals();
    if (child->detached && setsid() < 0) {
        goto failed;
    }
    // It may have died before the kernel knew that we want to hear of it.
    if (child->helps != 0 && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != child->helps)) {
        goto failed;
    }
    if (dup2(child->in, STDIN_FILENO) < 0 || dup2(child->out, STDOUT_FILENO) < 0 ||
        dup2(child->error, STDERR_FILENO) < 0) {
        goto failed;
    }
    if (child->folder != NULL && chdir(child->folder) < 0) {
        goto failed;
    }
    // A caller's locks and pipes must not live on in a service.
    const bool closes = child->detached || child->helps != 0;
    for (int fd = STDERR_FILENO + 1; closes && fd < INHERITED_FD_MAX; fd++) {
        if (fd != child->report) {
            close(fd);
        }
    }
    if (child->envp != NULL) {
        execve(child->argv[0], child->argv, child->envp);
    } else {
        execvp(child->argv[0], child->argv);
    }
failed:;
    const int error = errno;
    while (write(child->report, &error, sizeof error) < 0 && errno == EINTR) {
    }
    _exit(EXIT_NO_EXEC);
}

// Forks and waits until the child has become the program. 0, or the child's errno.
static int fork_and_exec(struct child *child, pid_t *out)
{
    int report[2];
    if (pipe(report) < 0) {
        return errno;
    }
    fcntl(report[0], F_SETFD, FD_CLOEXEC);
    fcntl(report[1], F_SETFD, FD_CLOEXEC);
    child->report = report[1];
    const pid_t pid = fork();
    if (pid == 0) {
        child_run(child);
    }
    const int fork_error = errno;
    close(report[1]);
    int error = 0;
    if (pid < 0) {
        error = fork_error;
    } else {
        ssize_t size = 0;
        do {
            size = read(report[0], &error, sizeof error);
        } while (size < 0 && errno == EINTR);
        if (size == (ssize_t)sizeof error) {
            waitpid(pid, NULL, 0);
        } else {
            error = 0;
            *out = pid;
        }
    }
    close(report[0]);
    return error;
}

// Runs a program; child says how, but for what is the same for all.
static enum err run_program(struct child child, const char *const *arguments,
                            const char *const *envp, const char *log_path, pid_t *out,
                            char **problem)
{
    *problem = NULL;
    char **environment = pointers_copy(envp);
    char **argv = pointers_copy(arguments);
    enum err err = ERR_IO;
    int log = -1;

    if (child.helps != 0) {
        pointers_drop(environment, CRASH_POINT_SETTING);
    }
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    log = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0 || null < 0) {
        *problem = mem_format("cannot write to %s: %s", log_path, strerror(errno));
        goto out;
    }
    child.argv = argv;
    child.envp = environment;
    child.in = null;
    child.out = log;
    child.error = log;
    const int error = fork_and_exec(&child, out);
    if (error != 0) {
        *problem = mem_format("cannot run %s: %s", argv[0], strerror(error));
        goto out;
    }
    err = ERR_OK;

out:
    if (log >= 0) {
        close(log);
    }
    if (null >= 0) {
        close(null);
    }
    free(argv);
    free(environment);
    return err;
}

enum err spawn_detached(const char *path, const char *const *envp, const char *folder,
                        const char *log_path, pid_t *out, char **problem)
{
    const struct child child = {.folder = folder, .detached = true};
    return run_program(child, (const char *const[]){path, NULL}, envp, log_path, out, problem);
}

enum err spawn_helper(const char *const *argv, const char *const *envp, const char *log_path,
                      pid_t *out, char **problem)
{
    const struct child child = {.helps = getpid()};
    return run_program(child, argv, envp, log_path, out, problem);
}

static char *last_line(FILE *file)
{
    char line[LINE_SIZE] = "";
    char last[LINE_SIZE] = "it said nothing";
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0') {
            memcpy(last, line, sizeof last);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return mem_strdup(last);
}

char *spawn_last_words(const char *log_path)
{
    return last_line(fopen(log_path, "re"));
}

char *spawn_last_line(struct bytes said)
{
    char *text = mem_strndup((const char *)said.data, said.size); // fmemopen wants no const
    char *line = last_line(said.size == 0 ? NULL : fmemopen(text, said.size, "r"));
    free(text);
    return line;
}

// Starts a program whose output can be read at *fd; child says what else is special.
static enum err spawn_reader(struct child child, const char *const *argv, bool with_errors,
                             pid_t *pid, int *fd)
{
    int output[2] = {-1, -1};
    char **copy = pointers_copy(argv);
    enum err err = ERR_IO;
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe(output) < 0) {
        goto out;
    }
    fcntl(output[0], F_SETFD, FD_CLOEXEC);
    fcntl(output[1], F_SETFD, FD_CLOEXEC);
    child.argv = copy;
    child.in = null;
    child.out = output[1];
    child.error = with_errors ? output[1] : null;
    const int error = fork_and_exec(&child, pid);
    if (error != 0) {
        err = error == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        goto out;
    }
    *fd = output[0];
    output[0] = -1;
    err = ERR_OK;

out:
    for (size_t i = 0; i < ARRAY_LEN(output); i++) {
        if (output[i] >= 0) {
            close(output[i]);
        }
    }
    if (null >= 0) {
        close(null);
    }
    free(copy);
    return err;
}

// Waits for its end and gives its exit code, -1 when a signal ended it.
static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Reads all that it says, up to its end.
static int read_and_wait(pid_t pid, int fd, struct buf *output)
{
    for (;;) {
        const ssize_t size = read(fd, buf_reserve(output, READ_BYTES), READ_BYTES);
        if (size > 0) {
            output->size += (size_t)size;
        } else if (size == 0 || errno != EINTR) {
            break;
        }
    }
    close(fd);
    return wait_for(pid);
}

enum err spawn_read(const char *const *argv, struct buf *output, int *exit_code)
{
    pid_t pid = 0;
    int fd = -1;
    const enum err err = spawn_reader((struct child){0}, argv, false, &pid, &fd);
    if (err == ERR_OK) {
        *exit_code = read_and_wait(pid, fd, output);
    }
    return err;
}

enum err spawn_helper_read(const char *const *argv, const char *const *envp, struct buf *output,
                           int *exit_code, char **problem)
{
    char **environment = pointers_copy(envp);
    pid_t pid = 0;
    int fd = -1;
    pointers_drop(environment, CRASH_POINT_SETTING);
    const struct child child = {.envp = environment, .helps = getpid()};
    const enum err err = spawn_reader(child, argv, true, &pid, &fd);
    if (err == ERR_OK) {
        *exit_code = read_and_wait(pid, fd, output);
    } else {
        *problem = mem_format("cannot run %s", argv[0]);
    }
    free(environment);
    return err == ERR_OK ? ERR_OK : ERR_IO;
}

enum err spawn_run(const char *const *argv, int *exit_code)
{
    char **copy = pointers_copy(argv);
    struct child child = {
        .argv = copy, .in = STDIN_FILENO, .out = STDOUT_FILENO, .error = STDERR_FILENO};
    pid_t pid = 0;
    const int error = fork_and_exec(&child, &pid);
    free(copy);
    if (error != 0) {
        return error == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    *exit_code = wait_for(pid);
    return ERR_OK;
}

enum err spawn_pipe(const char *const *argv, pid_t *pid, int *fd)
{
    return spawn_reader((struct child){0}, argv, true, pid, fd);
}
