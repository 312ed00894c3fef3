#include "cli/log_sources.h"

#include <stdlib.h>

#include "cli/compose.h"
#include "cli/house.h"
#include "cli/stack.h"
#include "common/mem.h"

static bool is_asked_for(const struct log_sources *sources, size_t service, int replica)
{
    for (size_t i = 0; i < sources->names_count; i++) {
        size_t asked_service = 0;
        int asked_replica = 0;
        if (house_parse_process(sources->names[i], &asked_service, &asked_replica) &&
            asked_service == service && (asked_replica == 0 || asked_replica == replica)) {
            return true;
        }
    }
    return sources->names_count == 0;
}

// The files are found by what lies in the folder: they outlive stack.json.
static size_t add_files(struct log_merge *merge, const struct log_sources *sources, const char *dir)
{
    size_t added = 0;
    for (size_t service = 0; service < HOUSE_SERVICES_COUNT; service++) {
        for (int replica = 1; replica <= HOUSE_REPLICAS_MAX; replica++) {
            char name[HOUSE_NAME_SIZE];
            house_process_name(name, house_service(service), replica);
            char *path = mem_format("%s/logs/%s.log", dir, name);
            if (is_asked_for(sources, service, replica) &&
                log_merge_add_file(merge, name, path, sources->lines_max, 0) == ERR_OK) {
                added++;
            }
            free(path);
        }
    }
    return added;
}

static size_t add_containers(struct log_merge *merge, const struct log_sources *sources,
                             const struct part *parts, size_t parts_count)
{
    size_t added = 0;
    char *lines = sources->lines_max < 0 ? mem_strdup("all")
                                         : mem_format("%lld", (long long)sources->lines_max);
    for (size_t i = 0; i < parts_count; i++) {
        const char *argv[8] = {"docker", "logs", "--tail", lines};
        size_t argc = 4;
        if (sources->follow && parts[i].state != PROCESS_DEAD) {
            argv[argc++] = "--follow";
        }
        argv[argc] = parts[i].container;
        if (is_asked_for(sources, parts[i].service, parts[i].replica) &&
            log_merge_add_command(merge, parts[i].name, argv) == ERR_OK) {
            added++;
        }
    }
    free(lines);
    return added;
}

size_t log_sources_add(struct log_merge *merge, const struct log_sources *sources, const char *dir)
{
    struct stack *stack = NULL;
    struct part *parts = NULL;
    size_t parts_count = 0;
    size_t added = 0;
    char *problem = NULL;
    (void)stack_load(&stack, dir, &problem);
    const bool native_lives = stack != NULL && stack_living_count(stack) > 0;
    if (!native_lives && compose_list(&parts, &parts_count) == ERR_OK) {
        added = add_containers(merge, sources, parts, parts_count);
    }
    if (added == 0) {
        added = add_files(merge, sources, dir);
    }
    free(problem);
    free(parts);
    stack_destroy(&stack);
    return added;
}
