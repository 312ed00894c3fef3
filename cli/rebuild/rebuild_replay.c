#include "cli/rebuild/rebuild_replay.h"

#include <stdlib.h>
#include <string.h>

#include "cli/environment.h"
#include "cli/spawn.h"
#include "common/mem.h"

extern char **environ;

enum {
    TOPICS_MAX = 64
};

// Asks the executable what it subscribes to. The lines of text become topics.
static enum cli_exit read_topics(const char *path, struct buf *text,
                                 const char *topics[TOPICS_MAX + 1])
{
    const char *const argv[] = {path, "--topics", NULL};
    int code = -1;
    if (spawn_read(argv, text, &code) != ERR_OK || code != 0) {
        cli_problem("%s does not say what it subscribes to. Is it of this version?", path);
        return CLI_UNKNOWN;
    }
    buf_put_u8(text, 0);
    size_t count = 0;
    char *rest = NULL;
    char *line = strtok_r((char *)text->data, "\n", &rest);
    for (; line != NULL && count < TOPICS_MAX; line = strtok_r(NULL, "\n", &rest)) {
        topics[count++] = line;
    }
    topics[count] = NULL;
    return CLI_YES;
}

static enum cli_exit make_plan(const struct rebuild_site *site, const struct rebuild_work *work,
                               const char *living, const char *const *topics,
                               struct rebuild_counts *counts)
{
    // A replacement takes all that the log has. A comparison takes what the living database
    // has handled, and what its group says that it has.
    const struct rebuild_choice choice = {
        .database = living, .only_handled = site->is_dry && living != NULL, .floor = site->floor};
    struct rebuild_plan *plan = NULL;
    char *problem = NULL;
    enum err err = rebuild_plan_open(&plan, work->plan, site->service->name, topics, &problem);
    if (err == ERR_OK) {
        err = rebuild_plan_read(plan, site->url, &problem);
    }
    if (err == ERR_OK) {
        err = rebuild_plan_schedule(plan, &choice, counts, &problem);
    }
    rebuild_plan_destroy(&plan);
    return err == ERR_OK ? CLI_YES : cli_cannot(problem);
}

// What the stack knows of the service's processes: `start --set` gave them settings, which
// a version of an event may depend on. Replicas have the same ones, or soon will.
static const struct stack_process *find_process(const struct stack *stack, size_t service)
{
    for (size_t i = 0; i < stack->processes_count; i++) {
        if (stack->processes[i].service == service) {
            return &stack->processes[i];
        }
    }
    return NULL;
}

// The service's own executable, with the settings of the stack, over an empty folder.
static enum cli_exit replay(const struct rebuild_site *site, const struct rebuild_work *work,
                            const char *path)
{
    const struct stack_process unknown = {.service = site->index, .replica = 1};
    const struct stack_process *process = find_process(site->stack, site->index);
    const char *const argv[] = {path, "--rebuild", work->plan, NULL};
    char *data_dir = mem_format("DATA_DIR=%s", work->folder);
    char **environment = environment_of(site->stack, process == NULL ? &unknown : process, environ);
    environment_set(environment, data_dir);
    environment_set(environment, "LOG_FORMAT=text");
    struct buf said = {0};
    char *problem = NULL;
    int code = -1;
    enum err err =
        spawn_helper_read(argv, (const char *const *)environment, &said, &code, &problem);
    if (err == ERR_OK && code != 0) {
        char *words = spawn_last_line(buf_view(&said));
        problem = mem_format("%s --rebuild failed: %s", path, words);
        free(words);
        err = ERR_IO;
    }
    buf_release(&said);
    environment_free(&environment);
    free(data_dir);
    return err == ERR_OK ? CLI_YES : cli_cannot(problem);
}

enum cli_exit rebuild_replay(struct rebuild_site *site, const struct rebuild_work *work,
                             const char *living, struct rebuild_counts *counts)
{
    char *path = mem_format("%s/faultline-%s", site->stack->bin, site->service->name);
    struct buf text = {0};
    const char *topics[TOPICS_MAX + 1];
    enum cli_exit result = read_topics(path, &text, topics);
    if (result == CLI_YES) {
        result = make_plan(site, work, living, topics, counts);
    }
    rebuild_site_end_broker(site);
    if (result == CLI_YES) {
        result = replay(site, work, path);
    }
    buf_release(&text);
    free(path);
    return result;
}
