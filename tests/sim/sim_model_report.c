// What the broker tells people (REPORT) is what is true.
#include <inttypes.h>

#include "common/json.h"
#include "tests/sim/sim_model_state.h"

static void expect(struct sim_model *self, const cJSON *object, const char *where, const char *name,
                   uint64_t truth)
{
    struct json_problem problem;
    int64_t value = 0;
    if (json_get_int(object, where, name, 0, INT64_C(1) << 53, &value, &problem) != ERR_OK) {
        sim_fail(self->sim, "the report has no %s.%s: %s", where, name, problem.reason);
    }
    if ((uint64_t)value != truth) {
        sim_fail(self->sim,
                 "the report says %s.%s %" PRId64 ", in truth %" PRIu64,
                 where,
                 name,
                 value,
                 truth);
    }
}

static void expect_group(struct sim_model *self, const struct sim_group *group, const cJSON *groups)
{
    const char *name = group->options.name;
    const cJSON *object = NULL;
    cJSON_ArrayForEach(object, groups)
    {
        if (bytes_equal_text(bytes_of_text(json_text_of(object, "name")), name)) {
            expect(self, object, name, "lag_events", group->left);
            expect(self, object, name, "dead_letters", group->letters_count);
            return;
        }
    }
    sim_fail(self->sim, "the report does not know %s", name);
}

void sim_report_check(struct sim_model *self, struct bytes json)
{
    cJSON *report = NULL;
    struct json_problem problem;
    if (json_parse(json, &report, &problem) != ERR_OK) {
        sim_fail(self->sim, "the report is no JSON: %s", problem.reason);
    }
    const cJSON *log = cJSON_GetObjectItemCaseSensitive(report, "log");
    const cJSON *counters = cJSON_GetObjectItemCaseSensitive(report, "counters");
    expect(self, log, "log", "next_offset", self->stored_count);
    expect(self, counters, "counters", "published", self->published);
    expect(self, counters, "counters", "acked", self->acked);
    expect(self, counters, "counters", "dead_lettered", self->dead_lettered);
    for (size_t i = 0; i < self->groups_count; i++) {
        if (self->groups[i].exists) {
            expect_group(
                self, &self->groups[i], cJSON_GetObjectItemCaseSensitive(report, "groups"));
        }
    }
    cJSON_Delete(report);
    sim_count(self->sim, SIM_REPORTS);
}
