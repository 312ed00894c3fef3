#include "cli/environment.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/crash_point.h"
#include "common/mem.h"

// How the names of settings begin, besides those that begin with a service's name.
static const char *const setting_prefixes[] = {
    "SYNC_",
    "BUS_",
    "LOG_",
    "HTTP_RECORD=",
    "EVENT_BYTES_MAX=",
    "EVENT_VERSION_MAX=",
    "SEGMENT_BYTES=",
    "HEARTBEAT_MS=",
    "DISK_BYTES_MAX=",
    "RETENTION_BYTES=",
    "RETENTION_HOURS=",
    "DEAD_LETTERS_MAX=",
};

// What says where a process stands is ours alone: with one BUS_GROUP from the
// person's shell all services would be one group.
static const char *const placed_names[] = {
    "HTTP_ADDRESS=",
    "HTTP_PORT=",
    "DATA_DIR=",
    "BUS_URL=",
    "BUS_GROUP=",
    "BUS_MEMBER=",
    "BROKER_BIND=",
    "LOG_FORMAT=",
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

// "PAYMENT" for the service payment.
static void upper_name(char out[HOUSE_NAME_SIZE], size_t service)
{
    const char *name = house_service(service);
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < HOUSE_NAME_SIZE; i++) {
        out[i] = (char)toupper((unsigned char)name[i]);
    }
    out[i] = '\0';
}

// The service whose name the variable begins with, "PAYMENT_…"; or the count.
static size_t service_of_variable(const char *assignment)
{
    size_t i = 0;
    for (; i < HOUSE_SERVICES_COUNT; i++) {
        char name[HOUSE_NAME_SIZE];
        upper_name(name, i);
        if (starts_with(assignment, name) && assignment[strlen(name)] == '_') {
            break;
        }
    }
    return i;
}

static bool is_placed(const char *assignment)
{
    for (size_t i = 0; i < ARRAY_LEN(placed_names); i++) {
        if (starts_with(assignment, placed_names[i])) {
            return true;
        }
    }
    const size_t service = service_of_variable(assignment);
    if (service == HOUSE_SERVICES_COUNT) {
        return false;
    }
    return starts_with(assignment + strlen(house_service(service)), "_URL=");
}

bool environment_is_setting(const char *assignment)
{
    if (is_placed(assignment)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(setting_prefixes); i++) {
        if (starts_with(assignment, setting_prefixes[i])) {
            return true;
        }
    }
    return service_of_variable(assignment) < HOUSE_SERVICES_COUNT;
}

bool environment_is_ours(const char *assignment)
{
    return is_placed(assignment) || environment_is_setting(assignment);
}

void environment_keep_settings(struct stack *stack, char *const *envp)
{
    for (; *envp != NULL && stack->settings_count < STACK_SETTINGS_MAX; envp++) {
        if (environment_is_setting(*envp)) {
            stack->settings[stack->settings_count++] = mem_strdup(*envp);
        }
    }
}

static bool is_set_in(char *const *envp, size_t count, const char *assignment)
{
    const size_t name_size = strcspn(assignment, "=") + 1;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(envp[i], assignment, name_size) == 0) {
            return true;
        }
    }
    return false;
}

// Writes what is ours at `at`.
static void add_placed(char **at, const struct stack *stack, const struct stack_process *process)
{
    const char *service = house_service(process->service);
    char *data = stack_data_path(stack, process);
    size_t count = 0;
    at[count++] = mem_strdup("HTTP_ADDRESS=127.0.0.1");
    at[count++] = mem_format("HTTP_PORT=%d", process->port);
    at[count++] = mem_format("DATA_DIR=%s", data);
    at[count++] = mem_format("BUS_URL=tcp://127.0.0.1:%d", stack->bus_port);
    at[count++] = mem_format("BROKER_BIND=tcp://127.0.0.1:%d", stack->bus_port);
    at[count++] = mem_format("BUS_GROUP=%s", service);
    at[count++] = mem_format("BUS_MEMBER=%s-%d", service, process->replica);
    // `faultline logs` renders for people; the files are for programs.
    at[count++] = mem_strdup("LOG_FORMAT=json");
    for (size_t i = 1; i < HOUSE_SERVICES_COUNT; i++) {
        char name[HOUSE_NAME_SIZE];
        upper_name(name, i);
        at[count++] =
            mem_format("%s_URL=http://127.0.0.1:%d", name, house_port(stack->http_port, i, 1));
    }
    free(data);
}

char **environment_of(const struct stack *stack, const struct stack_process *process,
                      char *const *envp)
{
    size_t envp_count = 0;
    while (envp[envp_count] != NULL) {
        envp_count++;
    }
    char *const *own = process->settings;
    const size_t own_count = process->settings_count;
    const size_t capacity = envp_count + stack->settings_count + own_count +
                            ARRAY_LEN(placed_names) + HOUSE_SERVICES_COUNT + 2;
    char **environment = mem_calloc(capacity, sizeof *environment);
    size_t count = 0;
    for (size_t i = 0; i < envp_count; i++) {
        if (!is_placed(envp[i]) && !is_set_in(own, own_count, envp[i])) {
            environment[count++] = mem_strdup(envp[i]);
        }
    }
    for (size_t i = 0; i < stack->settings_count; i++) {
        const char *setting = stack->settings[i];
        if (!is_set_in(envp, envp_count, setting) && !is_set_in(own, own_count, setting)) {
            environment[count++] = mem_strdup(setting);
        }
    }
    if (process->crash_at != NULL) {
        environment[count++] = mem_format(CRASH_POINT_SETTING "=%s", process->crash_at);
    }
    for (size_t i = 0; i < own_count; i++) {
        environment[count++] = mem_strdup(own[i]);
    }
    add_placed(environment + count, stack, process);
    return environment;
}

void environment_set(char **environment, const char *assignment)
{
    const size_t name_size = strcspn(assignment, "=") + 1;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, assignment, name_size) == 0) {
            free(*environment);
            *environment = mem_strdup(assignment);
        }
    }
}

void environment_free(char ***environment_p)
{
    char **environment = *environment_p;
    if (environment == NULL) {
        return;
    }
    for (size_t i = 0; environment[i] != NULL; i++) {
        free(environment[i]);
    }
    free(environment);
    *environment_p = NULL;
}
