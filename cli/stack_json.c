#include "cli/stack_json.h"

#include <stdlib.h>
#include <string.h>

#include "cli/stack.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    STACK_FORMAT = 1,
    PORT_MAX = 65535,
    PATH_BYTES_MAX = 4096,
};

#define PID_NUMBER_MAX   INT64_C(0x7fffffff)
#define TICKS_NUMBER_MAX (INT64_C(1) << 53)

static cJSON *process_to_json(const struct stack_process *process)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", process->name);
    cJSON_AddStringToObject(json, "service", house_service(process->service));
    cJSON_AddNumberToObject(json, "replica", process->replica);
    cJSON_AddNumberToObject(json, "port", process->port);
    cJSON_AddNumberToObject(json, "pid", (double)process->id.pid);
    cJSON_AddNumberToObject(json, "start_time", (double)process->id.started_ticks);
    cJSON *settings = cJSON_AddArrayToObject(json, "settings");
    for (size_t i = 0; i < process->settings_count; i++) {
        cJSON_AddItemToArray(settings, cJSON_CreateString(process->settings[i]));
    }
    return json;
}

char *stack_to_json(const struct stack *stack)
{
    char boot_id[UUID_SIZE];
    process_boot_id(boot_id);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "format", STACK_FORMAT);
    cJSON_AddStringToObject(json, "boot_id", boot_id);
    cJSON_AddStringToObject(json, "started_at", stack->started_at);
    cJSON_AddStringToObject(json, "bin", stack->bin);
    cJSON_AddNumberToObject(json, "http_port", stack->http_port);
    cJSON_AddNumberToObject(json, "bus_port", stack->bus_port);
    cJSON *settings = cJSON_AddArrayToObject(json, "settings");
    for (size_t i = 0; i < stack->settings_count; i++) {
        cJSON_AddItemToArray(settings, cJSON_CreateString(stack->settings[i]));
    }
    cJSON *processes = cJSON_AddArrayToObject(json, "processes");
    for (size_t i = 0; i < stack->processes_count; i++) {
        cJSON_AddItemToArray(processes, process_to_json(&stack->processes[i]));
    }
    char *text = cJSON_Print(json);
    char *copy = mem_strdup(text == NULL ? "" : text);
    cJSON_free(text);
    cJSON_Delete(json);
    return copy;
}

static bool is_setting(const cJSON *item)
{
    return cJSON_IsString(item) && strchr(item->valuestring, '=') != NULL;
}

static enum err process_from_json(struct stack *stack, const cJSON *json, bool same_boot,
                                  struct json_problem *problem)
{
    const char *service = NULL;
    int64_t replica = 0;
    int64_t port = 0;
    int64_t pid = 0;
    int64_t ticks = 0;
    const char *path = "processes[]";
    if (json_get_text(json, path, "service", 1, HOUSE_NAME_SIZE, &service, problem) != ERR_OK ||
        json_get_int(json, path, "replica", 1, HOUSE_REPLICAS_MAX, &replica, problem) != ERR_OK ||
        json_get_int(json, path, "port", 1, PORT_MAX, &port, problem) != ERR_OK ||
        json_get_int(json, path, "pid", 0, PID_NUMBER_MAX, &pid, problem) != ERR_OK ||
        json_get_int(json, path, "start_time", 0, TICKS_NUMBER_MAX, &ticks, problem) != ERR_OK) {
        return ERR_CORRUPT;
    }
    const size_t index = house_index(service);
    if (index == HOUSE_SERVICES_COUNT || stack_add_process(stack, index, (int)replica) != ERR_OK) {
        json_problem_set(problem, "processes[].service", "%s is no service", service);
        return ERR_CORRUPT;
    }
    struct stack_process *process = &stack->processes[stack->processes_count - 1];
    process->port = (int)port;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "settings"))
    {
        if (!is_setting(item) || stack_process_set(process, item->valuestring) != ERR_OK) {
            json_problem_set(problem, "processes[].settings", "must be texts like NAME=value");
            return ERR_CORRUPT;
        }
    }
    if (same_boot) {
        process->id = (struct process_id){.pid = (pid_t)pid, .started_ticks = (uint64_t)ticks};
    }
    return ERR_OK;
}

static enum err lists_from_json(struct stack *stack, const cJSON *json, bool same_boot,
                                struct json_problem *problem)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "settings"))
    {
        if (!is_setting(item) || stack->settings_count == STACK_SETTINGS_MAX) {
            json_problem_set(problem, "settings", "must be texts like NAME=value");
            return ERR_CORRUPT;
        }
        stack->settings[stack->settings_count++] = mem_strdup(item->valuestring);
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "processes"))
    {
        if (process_from_json(stack, item, same_boot, problem) != ERR_OK) {
            return ERR_CORRUPT;
        }
    }
    return ERR_OK;
}

static enum err fill_from_json(struct stack *stack, const cJSON *json, struct json_problem *problem)
{
    const char *boot_id = NULL;
    const char *started_at = NULL;
    const char *bin = NULL;
    int64_t format = 0;
    int64_t http_port = 0;
    int64_t bus_port = 0;
    if (json_get_int(json, "", "format", STACK_FORMAT, STACK_FORMAT, &format, problem) != ERR_OK ||
        json_get_text(json, "", "boot_id", 0, UUID_SIZE - 1, &boot_id, problem) != ERR_OK ||
        json_get_text(json, "", "started_at", 0, CLOCK_RFC3339_SIZE - 1, &started_at, problem) !=
            ERR_OK ||
        json_get_text(json, "", "bin", 1, PATH_BYTES_MAX, &bin, problem) != ERR_OK ||
        json_get_int(json, "", "http_port", 1, PORT_MAX, &http_port, problem) != ERR_OK ||
        json_get_int(json, "", "bus_port", 1, PORT_MAX, &bus_port, problem) != ERR_OK) {
        return ERR_CORRUPT;
    }
    free(stack->bin);
    stack->bin = mem_strdup(bin);
    stack->http_port = (int)http_port;
    stack->bus_port = (int)bus_port;
    memcpy(stack->started_at, started_at, strlen(started_at) + 1);

    char boot_id_now[UUID_SIZE];
    process_boot_id(boot_id_now);
    return lists_from_json(stack, json, strcmp(boot_id, boot_id_now) == 0, problem);
}

enum err stack_from_json(struct stack **out, const char *dir, const char *text, char **problem)
{
    *out = NULL;
    *problem = NULL;
    struct stack *stack = stack_new(dir, "");
    struct json_problem json_problem = {0};
    cJSON *json = NULL;
    enum err err = json_parse(bytes_of_text(text), &json, &json_problem);
    if (err == ERR_OK) {
        err = fill_from_json(stack, json, &json_problem);
    }
    if (err == ERR_OK) {
        *out = stack;
        stack = NULL; // handed to the caller
    } else {
        err = ERR_CORRUPT;
        *problem = mem_format("%s%s%s",
                              json_problem.field,
                              json_problem.field[0] == '\0' ? "" : " ",
                              json_problem.reason);
    }
    cJSON_Delete(json);
    stack_destroy(&stack);
    return err;
}
