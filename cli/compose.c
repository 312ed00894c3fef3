#include "cli/compose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/spawn.h"
#include "common/json.h"
#include "common/mem.h"

#define COMPOSE_FILE          "docker-compose.yml"
#define LABEL_SERVICE         "com.docker.compose.service"
#define LABEL_NUMBER          "com.docker.compose.container-number"
#define CONTAINER_DATA        "/data"
#define CONTAINER_HTTP_PREFIX "800" // 8000 to 8007, whatever they are published as

static enum process_state state_of(const cJSON *container)
{
    const char *status =
        json_text_of(cJSON_GetObjectItemCaseSensitive(container, "State"), "Status");
    if (status != NULL && strcmp(status, "running") == 0) {
        return PROCESS_RUNNING;
    }
    return status != NULL && strcmp(status, "paused") == 0 ? PROCESS_PAUSED : PROCESS_DEAD;
}

// {"8001/tcp":[{"HostIp":"127.0.0.1","HostPort":"8001"}]}; only a running container
// has them.
static int published_port(const cJSON *container)
{
    const cJSON *network = cJSON_GetObjectItemCaseSensitive(container, "NetworkSettings");
    const cJSON *port = NULL;
    cJSON_ArrayForEach(port, cJSON_GetObjectItemCaseSensitive(network, "Ports"))
    {
        const char *number = json_text_of(cJSON_GetArrayItem(port, 0), "HostPort");
        if (number != NULL && strncmp(port->string, CONTAINER_HTTP_PREFIX, 3) == 0) {
            return (int)strtol(number, NULL, 10);
        }
    }
    return 0;
}

static bool part_from_container(const cJSON *container, struct part *out)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(container, "Config"), "Labels");
    const char *service = json_text_of(labels, LABEL_SERVICE);
    const char *number = json_text_of(labels, LABEL_NUMBER);
    const char *id = json_text_of(container, "Id");
    if (service == NULL || id == NULL || house_index(service) == HOUSE_SERVICES_COUNT) {
        return false;
    }
    *out = (struct part){
        .service = house_index(service),
        .replica = number == NULL ? 1 : (int)strtol(number, NULL, 10),
        .state = state_of(container),
        .port = published_port(container),
    };
    house_process_name(out->name, service, out->replica);
    snprintf(out->container, sizeof out->container, "%s", id);
    const cJSON *pid = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(container, "State"), "Pid");
    if (cJSON_IsNumber(pid) && pid->valueint > 0 &&
        process_identify((pid_t)pid->valueint, &out->id) != ERR_OK) {
        out->id = (struct process_id){.pid = (pid_t)pid->valueint};
    }
    return true;
}

static int compare_parts(const void *left, const void *right)
{
    const struct part *a = left;
    const struct part *b = right;
    if (a->service != b->service) {
        return a->service < b->service ? -1 : 1;
    }
    return a->replica - b->replica;
}

enum err compose_parse(struct bytes text, struct part **out, size_t *count)
{
    *out = NULL;
    *count = 0;
    struct json_problem problem;
    cJSON *containers = NULL;
    if (json_parse(text, &containers, &problem) != ERR_OK || !cJSON_IsArray(containers)) {
        cJSON_Delete(containers);
        return ERR_INVALID;
    }
    struct part *parts = mem_calloc(COMPOSE_PARTS_MAX, sizeof *parts);
    const cJSON *container = NULL;
    cJSON_ArrayForEach(container, containers)
    {
        if (*count < COMPOSE_PARTS_MAX && part_from_container(container, &parts[*count])) {
            (*count)++;
        }
    }
    cJSON_Delete(containers);
    qsort(parts, *count, sizeof *parts, compare_parts);
    *out = parts;
    return ERR_OK;
}

// The ids of the project's containers, a line each.
static enum err list_ids(const char *file, struct buf *out)
{
    const char *const with_space[] = {"docker", "compose", "-f", file, "ps", "-a", "-q", NULL};
    const char *const with_dash[] = {"docker-compose", "-f", file, "ps", "-a", "-q", NULL};
    int exit_code = 0;
    if (spawn_read(with_space, out, &exit_code) == ERR_OK && exit_code == 0) {
        return ERR_OK;
    }
    buf_clear(out);
    if (spawn_read(with_dash, out, &exit_code) == ERR_OK && exit_code == 0) {
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

static enum err inspect(char *ids, struct buf *out)
{
    const char *argv[COMPOSE_PARTS_MAX + 3] = {"docker", "inspect"};
    size_t argc = 2;
    char *rest = NULL;
    for (char *id = strtok_r(ids, " \r\n", &rest); id != NULL && argc < COMPOSE_PARTS_MAX + 2;
         id = strtok_r(NULL, " \r\n", &rest)) {
        argv[argc++] = id;
    }
    int exit_code = 0;
    if (argc == 2 || spawn_read(argv, out, &exit_code) != ERR_OK || exit_code != 0) {
        return ERR_NOT_FOUND;
    }
    return ERR_OK;
}

enum err compose_list(struct part **out, size_t *count)
{
    *out = NULL;
    *count = 0;
    const char *named = getenv("FAULTLINE_COMPOSE_FILE");
    const char *file = named == NULL || named[0] == '\0' ? COMPOSE_FILE : named;
    if (access(file, R_OK) != 0) {
        return ERR_NOT_FOUND;
    }
    struct buf ids = {0};
    struct buf text = {0};
    enum err err = list_ids(file, &ids);
    if (err == ERR_OK) {
        buf_put_u8(&ids, 0);
        err = inspect((char *)ids.data, &text);
    }
    if (err == ERR_OK) {
        err = compose_parse(buf_view(&text), out, count);
    }
    if (err == ERR_OK && *count == 0) {
        free(*out);
        *out = NULL;
    }
    buf_release(&text);
    buf_release(&ids);
    return *out == NULL ? ERR_NOT_FOUND : ERR_OK;
}

enum err compose_act(const struct part *part, const char *verb)
{
    const char *const argv[] = {"docker", verb, part->container, NULL};
    struct buf output = {0};
    int exit_code = 0;
    const enum err err = spawn_read(argv, &output, &exit_code);
    buf_release(&output);
    return err == ERR_OK && exit_code == 0 ? ERR_OK : ERR_IO;
}

// --- data

// The volume or folder that a container has at DATA; NULL: none.
static char *data_of(const cJSON *container)
{
    const cJSON *mount = NULL;
    cJSON_ArrayForEach(mount, cJSON_GetObjectItemCaseSensitive(container, "Mounts"))
    {
        const char *destination = json_text_of(mount, "Destination");
        const char *name = json_text_of(mount, "Name");
        const char *source = json_text_of(mount, "Source");
        if (destination != NULL && strcmp(destination, CONTAINER_DATA) == 0) {
            return mem_strdup(name != NULL && name[0] != '\0' ? name : source);
        }
    }
    return NULL;
}

enum err compose_mounts_read(const struct part *parts, size_t parts_count,
                             struct compose_mounts *out)
{
    *out = (struct compose_mounts){0};
    struct buf ids = {0};
    struct buf text = {0};
    struct json_problem problem;
    cJSON *containers = NULL;
    for (size_t i = 0; i < parts_count; i++) {
        buf_printf(&ids, "%s\n", parts[i].container);
    }
    buf_put_u8(&ids, 0);
    enum err err = inspect((char *)ids.data, &text);
    if (err == ERR_OK) {
        err = json_parse(buf_view(&text), &containers, &problem);
    }
    // It answers in the order in which it was asked.
    for (size_t i = 0; i < parts_count && err == ERR_OK; i++) {
        const cJSON *container = cJSON_GetArrayItem(containers, (int)i);
        const char *image = json_text_of(container, "Image");
        char **data = &out->data[parts[i].service];
        if (*data == NULL) {
            *data = data_of(container);
        }
        if (out->image == NULL && image != NULL) {
            out->image = mem_strdup(image);
        }
    }
    cJSON_Delete(containers);
    buf_release(&text);
    buf_release(&ids);
    return err == ERR_OK && out->image != NULL ? ERR_OK : ERR_NOT_FOUND;
}

void compose_mounts_release(struct compose_mounts *mounts)
{
    for (size_t i = 0; i < HOUSE_SERVICES_COUNT; i++) {
        free(mounts->data[i]);
    }
    free(mounts->image);
    *mounts = (struct compose_mounts){0};
}
