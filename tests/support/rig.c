#include "tests/support/rig.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/free_ports.h"

enum {
    PROCESSES = 8,
    SETTINGS_MAX = 48,
    NAP_MS = 5
};

static const char *const names[PROCESSES] = {
    "broker", "order", "payment", "inventory", "notification", "fraud", "ledger", "transfer"};

struct process {
    uint16_t port;
    pid_t pid; // 0: not running
};

struct rig {
    char *folder; // owned
    char *bin;    // owned
    char *bus_url;
    struct process processes[PROCESSES];
    char *settings[SETTINGS_MAX]; // owned, ended by NULL; as given
};

static size_t index_of(const char *name)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    cr_assert(false, "there is no process %s", name);
    return 0;
}

static struct process *find(struct rig *self, const char *name)
{
    return &self->processes[index_of(name)];
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
}

static char *log_path(const struct rig *self, const char *name)
{
    return mem_format("%s/logs/%s.log", self->folder, name);
}

static char *read_file(const char *path)
{
    struct buf text = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    while (fd >= 0 && (got = read(fd, buf_reserve(&text, 65536), 65536)) > 0) {
        text.size += (size_t)got;
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_put_u8(&text, 0);
    return (char *)text.data;
}

static void show_logs(const struct rig *self)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        char *path = log_path(self, names[i]);
        char *text = read_file(path);
        const size_t size = strlen(text);
        if (size > 0) {
            fprintf(stderr, "--- %s\n%s\n", names[i], text + (size > 6000 ? size - 6000 : 0));
        }
        free(text);
        free(path);
    }
}

// --- processes

static void put_env(char **env, char *entry)
{
    size_t count = 0;
    while (env[count] != NULL) {
        count++;
    }
    cr_assert(count < 2 * SETTINGS_MAX - 1);
    env[count] = entry;
}

static void make_env(const struct rig *self, const char *name, char **env)
{
    for (size_t i = 1; i < PROCESSES; i++) {
        char upper[32] = {0};
        for (size_t n = 0; names[i][n] != '\0'; n++) {
            upper[n] = (char)(names[i][n] - 'a' + 'A');
        }
        put_env(env, mem_format("%s_URL=http://127.0.0.1:%d", upper, self->processes[i].port));
    }
    put_env(env, mem_format("DATA_DIR=%s/data/%s", self->folder, name));
    put_env(env, mem_format("HTTP_PORT=%d", self->processes[index_of(name)].port));
    put_env(env, mem_format("BUS_URL=%s", self->bus_url));
    put_env(env, mem_format("BROKER_BIND=%s", self->bus_url));
    put_env(env, mem_strdup("SEGMENT_BYTES=4194304"));
    const char *const passed_on[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "PATH"};
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
        const char *value = getenv(passed_on[i]);
        if (value != NULL) {
            put_env(env, mem_format("%s=%s", passed_on[i], value));
        }
    }
    const size_t name_size = strlen(name);
    for (size_t i = 0; self->settings[i] != NULL; i++) {
        const char *setting = self->settings[i];
        const size_t head = strcspn(setting, ":=");
        if (setting[head] == '=') {
            put_env(env, mem_strdup(setting));
        } else if (head == name_size && strncmp(setting, name, head) == 0) {
            put_env(env, mem_strdup(setting + head + 1));
        }
    }
}

void rig_launch(struct rig *self, const char *name)
{
    struct process *process = find(self, name);
    cr_assert_eq(process->pid, 0, "%s runs already", name);
    char *env[2 * SETTINGS_MAX] = {NULL};
    make_env(self, name, env);
    char *binary = mem_format("%s/faultline-%s", self->bin, name);
    char *log = log_path(self, name);
    const pid_t parent = getpid();
    process->pid = fork();
    cr_assert(process->pid >= 0);
    if (process->pid == 0) {
        // The test may be killed: nothing it started outlives it.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (getppid() != parent || fd < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
            dup2(fd, STDERR_FILENO) < 0) {
            _exit(126);
        }
        char *argv[] = {binary, NULL};
        execve(binary, argv, env);
        _exit(127);
    }
    for (size_t i = 0; env[i] != NULL; i++) {
        free(env[i]);
    }
    free(binary);
    free(log);
}

bool rig_is_running(struct rig *self, const char *name)
{
    struct process *process = find(self, name);
    if (process->pid != 0 && waitpid(process->pid, NULL, WNOHANG) == process->pid) {
        process->pid = 0;
    }
    return process->pid != 0;
}

static void wait_ready(struct rig *self, const char *name)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (;;) {
        struct rig_reply reply = rig_call(self, name, "GET", "/readyz", NULL, NULL);
        const int status = reply.status;
        rig_reply_release(&reply);
        if (status == 200) {
            return;
        }
        if (!rig_is_running(self, name) || clock_mono_ms() > deadline_ms) {
            show_logs(self);
            cr_assert(false, "%s did not become ready", name);
        }
        nap();
    }
}

void rig_relaunch(struct rig *self, const char *name)
{
    rig_launch(self, name);
    wait_ready(self, name);
}

static void signal_process(struct rig *self, const char *name, int number)
{
    const struct process *process = find(self, name);
    cr_assert(process->pid > 0, "%s does not run", name);
    cr_assert_eq(kill(process->pid, number), 0);
}

void rig_kill(struct rig *self, const char *name)
{
    signal_process(self, name, SIGKILL);
    waitpid(find(self, name)->pid, NULL, 0);
    find(self, name)->pid = 0;
}

// Waits for the end of a process that was told to stop.
static int wait_end(struct rig *self, const char *name)
{
    struct process *process = find(self, name);
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    int raw = 0;
    while (waitpid(process->pid, &raw, WNOHANG) != process->pid) {
        if (clock_mono_ms() > deadline_ms) {
            show_logs(self);
            cr_assert(false, "%s does not stop", name);
        }
        nap();
    }
    process->pid = 0;
    return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

int rig_stop(struct rig *self, const char *name)
{
    signal_process(self, name, SIGTERM);
    return wait_end(self, name);
}

void rig_pause(struct rig *self, const char *name)
{
    signal_process(self, name, SIGSTOP);
}

void rig_resume(struct rig *self, const char *name)
{
    signal_process(self, name, SIGCONT);
}

// --- all of them

static void make_folders(const struct rig *self)
{
    static const char *const parts[] = {"logs", "data"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char *path = mem_format("%s/%s", self->folder, parts[i]);
        cr_assert_eq(mkdir(path, 0700), 0);
        free(path);
    }
}

struct rig *rig_start(const char *const *services, const char *const *settings)
{
    struct rig *self = mem_calloc(1, sizeof *self);
    const char *bin = getenv("FAULTLINE_BIN");
    char folder[] = "/tmp/faultline-rig-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    self->folder = mem_strdup(folder);
    self->bin = mem_strdup(bin == NULL ? "build/dev/bin" : bin);
    uint16_t ports[PROCESSES + 1];
    free_ports(ports, ARRAY_LEN(ports));
    self->bus_url = mem_format("tcp://127.0.0.1:%d", ports[PROCESSES]);
    for (size_t i = 0; i < PROCESSES; i++) {
        self->processes[i].port = ports[i];
    }
    for (size_t i = 0; settings != NULL && settings[i] != NULL; i++) {
        cr_assert(i < SETTINGS_MAX - 1);
        self->settings[i] = mem_strdup(settings[i]);
    }
    make_folders(self);
    rig_launch(self, "broker");
    for (size_t i = 0; services[i] != NULL; i++) {
        rig_launch(self, services[i]);
    }
    wait_ready(self, "broker");
    for (size_t i = 0; services[i] != NULL; i++) {
        wait_ready(self, services[i]);
    }
    return self;
}

static bool has_complaint(const struct rig *self)
{
    static const char *const complaints[] = {
        "AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "Assertion"};
    bool has = false;
    for (size_t i = 0; i < PROCESSES; i++) {
        char *path = log_path(self, names[i]);
        char *text = read_file(path);
        for (size_t n = 0; n < ARRAY_LEN(complaints); n++) {
            const char *at = strstr(text, complaints[n]);
            if (at != NULL) {
                fprintf(stderr, "%s: %.4000s\n", names[i], at);
                has = true;
            }
        }
        free(text);
        free(path);
    }
    return has;
}

static void remove_tree(const char *path)
{
    const pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
}

// A clean end is when leaks are told. The broker goes last, as in life.
static void stop_all(struct rig *self)
{
    for (size_t i = 1; i < PROCESSES; i++) {
        if (rig_is_running(self, names[i])) {
            signal_process(self, names[i], SIGCONT);
            signal_process(self, names[i], SIGTERM);
        }
    }
    for (size_t i = 1; i < PROCESSES; i++) {
        if (self->processes[i].pid != 0) {
            cr_expect_eq(wait_end(self, names[i]), 0, "%s did not stop cleanly", names[i]);
        }
    }
    if (rig_is_running(self, names[0])) {
        signal_process(self, names[0], SIGCONT);
        cr_expect_eq(rig_stop(self, names[0]), 0, "the broker did not stop cleanly");
    }
}

void rig_destroy(struct rig **self_p)
{
    struct rig *self = *self_p;
    if (self == NULL) {
        return;
    }
    stop_all(self);
    cr_expect_not(has_complaint(self), "a process complained, see above");
    remove_tree(self->folder);
    for (size_t i = 0; self->settings[i] != NULL; i++) {
        free(self->settings[i]);
    }
    free(self->folder);
    free(self->bin);
    free(self->bus_url);
    free(self);
    *self_p = NULL;
}

const char *rig_bus_url(const struct rig *self)
{
    return self->bus_url;
}

const char *rig_folder(const struct rig *self)
{
    return self->folder;
}

uint16_t rig_port(const struct rig *self, const char *name)
{
    return self->processes[index_of(name)].port;
}

pid_t rig_pid(const struct rig *self, const char *name)
{
    return self->processes[index_of(name)].pid;
}

// --- HTTP, as small as it gets

void rig_reply_release(struct rig_reply *reply)
{
    free(reply->head);
    free(reply->body);
    cJSON_Delete(reply->json);
    *reply = (struct rig_reply){0};
}

void rig_reply_header(const struct rig_reply *reply, const char *name, char out[256])
{
    out[0] = '\0';
    const size_t name_size = strlen(name);
    for (const char *line = reply->head; line != NULL && *line != '\0';) {
        if (strncasecmp(line, name, name_size) == 0 && line[name_size] == ':') {
            const char *value = line + name_size + 1;
            value += strspn(value, " ");
            snprintf(out, 256, "%.*s", (int)strcspn(value, "\r\n"), value);
            return;
        }
        const char *end = strstr(line, "\r\n");
        line = end == NULL ? NULL : end + 2;
    }
}

static struct rig_reply parse_reply(struct buf *answer)
{
    struct rig_reply reply = {0};
    buf_put_u8(answer, 0);
    char *text = (char *)answer->data;
    char *blank = strstr(text, "\r\n\r\n");
    if (blank != NULL && sscanf(text, "HTTP/1.1 %d", &reply.status) == 1) {
        reply.body = mem_strdup(blank + 4);
        blank[2] = '\0';
        reply.head = mem_strdup(text);
        reply.json = cJSON_Parse(reply.body);
    }
    return reply;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    const struct timeval limit = {.tv_sec = RIG_DEADLINE_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

static void read_all(int fd, struct buf *answer)
{
    ssize_t got = 0;
    while ((got = recv(fd, buf_reserve(answer, 65536), 65536, 0)) > 0) {
        answer->size += (size_t)got;
    }
}

int rig_begin(struct rig *self, const char *service, const void *data, size_t size)
{
    const int fd = connect_to(rig_port(self, service));
    // The server may answer and close before it has read all: that is no failure here.
    for (const char *at = data; fd >= 0 && size > 0;) {
        const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            break;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return fd;
}

struct rig_reply rig_end(int connection)
{
    struct rig_reply reply = {0};
    if (connection >= 0) {
        struct buf answer = {0};
        read_all(connection, &answer);
        reply = parse_reply(&answer);
        buf_release(&answer);
        close(connection);
    }
    return reply;
}

struct rig_reply rig_send(struct rig *self, const char *service, const void *data, size_t size)
{
    return rig_end(rig_begin(self, service, data, size));
}

struct rig_reply rig_call(struct rig *self, const char *service, const char *method,
                          const char *path, const char *body, const char *headers)
{
    struct buf request = {0};
    buf_printf(&request,
               "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s",
               method,
               path,
               headers == NULL ? "" : headers);
    if (body != NULL) {
        buf_printf(
            &request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    }
    buf_put_text(&request, "\r\n");
    buf_put_text(&request, body == NULL ? "" : body);
    const struct rig_reply reply = rig_send(self, service, request.data, request.size);
    buf_release(&request);
    return reply;
}

static bool text_is(const cJSON *item, const void *expected)
{
    const char *text = cJSON_GetStringValue(item);
    const char *value = expected;
    return text == NULL ? value[0] == '\0' && cJSON_IsNull(item) : strcmp(text, value) == 0;
}

static bool int_is(const cJSON *item, const void *expected)
{
    const int64_t *value = expected;
    return cJSON_IsNumber(item) && (int64_t)item->valuedouble == *value;
}

static void wait_for(struct rig *self, const char *service, const char *path, const char *member,
                     bool (*is)(const cJSON *item, const void *expected), const void *expected)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (bool is_there = false; !is_there;) {
        struct rig_reply reply = rig_call(self, service, "GET", path, NULL, NULL);
        is_there = reply.status == 200 &&
                   is(cJSON_GetObjectItemCaseSensitive(reply.json, member), expected);
        if (!is_there && clock_mono_ms() > deadline_ms) {
            show_logs(self);
            cr_assert(false,
                      "GET %s of %s never had the %s it should, but: %d %s",
                      path,
                      service,
                      member,
                      reply.status,
                      reply.body == NULL ? "" : reply.body);
        }
        rig_reply_release(&reply);
        if (!is_there) {
            nap();
        }
    }
}

void rig_wait_member(struct rig *self, const char *service, const char *path, const char *member,
                     const char *value)
{
    wait_for(self, service, path, member, text_is, value);
}

void rig_wait_int(struct rig *self, const char *service, const char *path, const char *member,
                  int64_t value)
{
    wait_for(self, service, path, member, int_is, &value);
}

static bool has_line(const char *log, const char *text, const char *other)
{
    for (const char *line = log; line != NULL;) {
        const char *end = strchr(line, '\n');
        char *copy = end == NULL ? mem_strdup(line) : mem_strndup(line, (size_t)(end - line));
        const bool has = strstr(copy, text) != NULL && strstr(copy, other) != NULL;
        free(copy);
        if (has) {
            return true;
        }
        line = end == NULL ? NULL : end + 1;
    }
    return false;
}

void rig_wait_log(struct rig *self, const char *name, const char *text, const char *other)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    char *path = log_path(self, name);
    for (bool has = false; !has;) {
        char *log = read_file(path);
        has = has_line(log, text, other);
        free(log);
        if (!has) {
            cr_assert(clock_mono_ms() < deadline_ms, "%s never logged %s", name, text);
            nap();
        }
    }
    free(path);
}

static bool is_quiet(struct rig *self)
{
    struct rig_reply reply = rig_call(self, "broker", "GET", "/status", NULL, NULL);
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(reply.json, "groups");
    bool quiet = cJSON_IsArray(groups);
    for (const cJSON *group = quiet ? groups->child : NULL; group != NULL; group = group->next) {
        const cJSON *lag = cJSON_GetObjectItemCaseSensitive(group, "lag_events");
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(group, "name"));
        const bool is_tap = name != NULL && strcmp(name, "tap") == 0; // the test's own ear
        quiet = quiet && (is_tap || (cJSON_IsNumber(lag) && lag->valueint == 0));
    }
    rig_reply_release(&reply);
    return quiet;
}

void rig_wait_quiet(struct rig *self)
{
    const int64_t deadline_ms = clock_mono_ms() + RIG_DEADLINE_MS;
    for (int64_t since_ms = -1; since_ms < 0 || clock_mono_ms() - since_ms < RIG_QUIET_MS;) {
        cr_assert(clock_mono_ms() < deadline_ms, "the broker's groups are never done");
        if (!is_quiet(self)) {
            since_ms = -1;
        } else if (since_ms < 0) {
            since_ms = clock_mono_ms();
        }
        nap();
    }
}

int64_t rig_get_int(struct rig *self, const char *service, const char *path, const char *member)
{
    struct rig_reply reply = rig_call(self, service, "GET", path, NULL, NULL);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(reply.json, member);
    cr_assert(cJSON_IsNumber(item), "GET %s has no number %s: %s", path, member, reply.body);
    const int64_t number = (int64_t)item->valuedouble;
    rig_reply_release(&reply);
    return number;
}
