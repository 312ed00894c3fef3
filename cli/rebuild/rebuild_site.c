#include "cli/rebuild/rebuild_site.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bus_guest.h"
#include "cli/house.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    LOCK_TIMEOUT_MS = 5000
};

// --- what must be so

static enum cli_exit find_service(struct rebuild_site *self, const char *name)
{
    self->service = rebuild_service_find(name);
    self->index = house_index(name);
    if (self->service == NULL) {
        cli_problem("there is no service '%s'. There are: %s", name, house_names());
        return CLI_UNKNOWN;
    }
    if (self->service->cannot != NULL) {
        cli_problem("%s cannot be rebuilt from the log: %s", name, self->service->cannot);
        return CLI_UNKNOWN;
    }
    return CLI_YES;
}

// A service that lives would write beside us; paused, it would when it goes on.
static enum cli_exit check_stopped(const struct rebuild_site *self)
{
    const struct stack_process *living = stack_find_living(self->stack, self->index);
    if (living == NULL) {
        return CLI_YES;
    }
    cli_problem("%s lives (pid %d): its database is replaced only while it does not run. End it: "
                "%s kill %s. To compare only: %s rebuild %s --dry-run",
                living->name,
                (int)living->id.pid,
                cli_name(),
                living->name,
                cli_name(),
                self->service->name);
    return CLI_UNKNOWN;
}

// What `down` left behind: data, and nobody who runs. CLI_NO: it is not so.
static enum cli_exit find_down(struct rebuild_site *self, const char *dir)
{
    char *problem = NULL;
    struct stack *stack = NULL;
    const bool is_down = stack_load(&stack, dir, &problem) == ERR_NOT_FOUND;
    char *data = mem_format("%s/data/broker", dir);
    const bool has_data = access(data, F_OK) == 0;
    free(data);
    free(problem);
    stack_destroy(&stack);
    if (!is_down || !has_data) {
        return CLI_NO;
    }
    problem = NULL;
    if (stack_lock(dir, LOCK_TIMEOUT_MS, &self->lock, &problem) != ERR_OK) {
        return cli_cannot(problem);
    }
    char *bin = stack_own_bin();
    self->stack = self->down = stack_new(dir, bin);
    free(bin);
    return CLI_YES;
}

// The stack is locked while something of it is changed, or its log is read by a broker of
// ours: its own must not start meanwhile.
static enum cli_exit find_stack(struct rebuild_site *self, const char *dir)
{
    const enum cli_exit down = find_down(self, dir);
    if (down != CLI_NO) {
        return down;
    }
    enum err err = target_find(&self->target, dir);
    if (err == ERR_OK && self->target->stack != NULL &&
        (!self->is_dry || stack_find_living(self->target->stack, 0) == NULL)) {
        target_destroy(&self->target);
        err = target_find_to_change(&self->target, dir);
    }
    if (err != ERR_OK) {
        return CLI_UNKNOWN; // it has been said
    }
    self->stack = self->target->stack;
    if (self->stack == NULL) {
        cli_problem("rebuild works on a native stack (%s up), not on containers", cli_name());
        return CLI_UNKNOWN;
    }
    return self->is_dry ? CLI_YES : check_stopped(self);
}

// --- the broker

static enum cli_exit find_broker(struct rebuild_site *self)
{
    if (stack_find_living(self->stack, 0) != NULL) {
        self->url = mem_format("tcp://127.0.0.1:%d", self->stack->bus_port);
        return CLI_YES;
    }
    char *log = mem_format("%s/data/broker", self->stack->dir);
    char *problem = NULL;
    const enum err err = verify_broker_start(&self->broker, self->stack->bin, log, &problem);
    free(log);
    if (err != ERR_OK) {
        return cli_cannot(problem);
    }
    self->url = mem_strdup(verify_broker_url(self->broker));
    return CLI_YES;
}

static uint64_t floor_of(struct bytes report, const char *name)
{
    cJSON *json = cJSON_ParseWithLength((const char *)report.data, report.size);
    uint64_t floor = 0;
    const cJSON *group = NULL;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(json, "groups"))
    {
        const char *group_name = json_text_of(group, "name");
        const cJSON *number = cJSON_GetObjectItemCaseSensitive(group, "floor");
        if (group_name != NULL && strcmp(group_name, name) == 0 && cJSON_IsNumber(number)) {
            floor = (uint64_t)number->valuedouble;
        }
    }
    cJSON_Delete(json);
    return floor;
}

static enum cli_exit read_floor(struct rebuild_site *self)
{
    struct bus_guest *guest = bus_guest_visit(self->url);
    struct wire_control answer;
    const struct wire_control question = {.type = WIRE_STATUS};
    const enum cli_exit result =
        guest == NULL ? CLI_UNKNOWN : bus_guest_ask(guest, question, &answer);
    if (result == CLI_YES) {
        self->floor = floor_of(bus_guest_batch(guest), self->service->name);
    }
    bus_guest_destroy(&guest);
    return result == CLI_YES ? CLI_YES : CLI_UNKNOWN;
}

enum cli_exit rebuild_site_open(struct rebuild_site *self, const char *service, const char *dir,
                                bool is_dry)
{
    *self = (struct rebuild_site){.lock = -1, .is_dry = is_dry};
    enum cli_exit result = find_service(self, service);
    if (result == CLI_YES) {
        result = find_stack(self, dir);
    }
    if (result == CLI_YES) {
        result = find_broker(self);
    }
    return result == CLI_YES ? read_floor(self) : result;
}

void rebuild_site_end_broker(struct rebuild_site *self)
{
    verify_broker_stop(&self->broker);
}

void rebuild_site_close(struct rebuild_site *self)
{
    verify_broker_stop(&self->broker);
    free(self->url);
    stack_unlock(&self->lock);
    stack_destroy(&self->down);
    target_destroy(&self->target);
}
