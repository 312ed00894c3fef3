#include "cli/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api.h"
#include "cli/term.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/money.h"

enum {
    POLL_TIMEOUT_MS = 2000,
    POLL_GAP_MIN_NS = 2000000,
    POLL_GAP_MAX_NS = 50000000,
};

// How the placing went.
struct placing {
    const struct subject_kind *kind; // borrowed
    const struct subject_wish *wish; // borrowed
    int64_t sent_us;                 // wall clock
    struct api_answer answer;        // to the POST; owned
    const char *id;                  // borrowed from answer; NULL: none
    cJSON *last;                     // the newest GET of it; owned, or NULL
    int64_t ended_us;                // from sending to its end; -1: no end yet
};

static bool is_good(const struct placing *self)
{
    return self->answer.status >= 200 && self->answer.status < 300;
}

static const char *status_of(const struct placing *self)
{
    const char *status = json_text_of(self->last, "status");
    return status != NULL ? status : json_text_of(self->answer.json, "status");
}

static bool has_ended(const struct placing *self)
{
    const char *status = status_of(self);
    return status != NULL &&
           (strcmp(status, self->kind->good_end) == 0 || strcmp(status, self->kind->bad_end) == 0);
}

// The end as the service noted it; our polling would add its own gaps. Another
// machine's clock may disagree: then what we saw counts.
static int64_t end_after_us(const struct placing *self, int64_t seen_us)
{
    const cJSON *history = cJSON_GetObjectItemCaseSensitive(self->last, "history");
    const cJSON *end = cJSON_GetArrayItem(history, cJSON_GetArraySize(history) - 1);
    const char *at = json_text_of(end, "at");
    const int64_t at_us = at == NULL ? -1 : clock_parse_rfc3339(at);
    const int64_t after_us = at_us - self->sent_us;
    return at_us < 0 || after_us < 0 || after_us > seen_us ? seen_us : after_us;
}

static void wait_for_end(struct placing *self, struct api *api)
{
    char *path = mem_format("%s/%s", self->kind->path, self->id);
    const int64_t deadline_ms = clock_mono_ms() + self->wish->timeout_ms;
    long gap_ns = POLL_GAP_MIN_NS;
    for (;;) {
        const struct api_request request = {
            .service = self->kind->service,
            .method = "GET",
            .path = path,
            .timeout_ms = POLL_TIMEOUT_MS,
            .quiet = true, // the service may be killed meanwhile, that is the point
        };
        struct api_answer answer = {0};
        if (api_call(api, &request, &answer) == ERR_OK && answer.status == 200) {
            cJSON_Delete(self->last);
            self->last = answer.json;
            answer.json = NULL;
        }
        api_answer_release(&answer);
        if (has_ended(self)) {
            self->ended_us = end_after_us(self, clock_wall_us() - self->sent_us);
            break;
        }
        if (clock_mono_ms() >= deadline_ms) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = gap_ns}, NULL);
        gap_ns = gap_ns * 5 / 4 < POLL_GAP_MAX_NS ? gap_ns * 5 / 4 : POLL_GAP_MAX_NS;
    }
    free(path);
}

static void print_total(const cJSON *answer)
{
    struct money money;
    char text[MONEY_TEXT_SIZE];
    const cJSON *total = cJSON_GetObjectItemCaseSensitive(answer, "total");
    total = total != NULL ? total : cJSON_GetObjectItemCaseSensitive(answer, "amount");
    if (total != NULL && money_from_json(total, &money) == ERR_OK) {
        money_to_text(money, text);
        printf("  %-10s %s\n", "amount", text);
    }
}

// Each step of its life and how long after sending it came.
static void print_history(const struct placing *self)
{
    const cJSON *step = NULL;
    cJSON_ArrayForEach(step, cJSON_GetObjectItemCaseSensitive(self->last, "history"))
    {
        const char *status = json_text_of(step, "status");
        const char *at = json_text_of(step, "at");
        const int64_t at_us = at == NULL ? -1 : clock_parse_rfc3339(at);
        char after[TERM_NUMBER_SIZE];
        if (status != NULL && at_us >= 0) {
            term_format_duration(after, at_us > self->sent_us ? at_us - self->sent_us : 0);
            printf("  %-10s after %s\n", status, after);
        }
    }
}

// What a failed chain of calls did about what it had done already.
static void print_undone(const cJSON *answer)
{
    const cJSON *step = NULL;
    cJSON_ArrayForEach(step, cJSON_GetObjectItemCaseSensitive(answer, "undone"))
    {
        const char *name = json_text_of(step, "step");
        const char *result = json_text_of(step, "result");
        const char *detail = json_text_of(step, "detail");
        printf("  %-10s %s: %s%s%s\n",
               "undoing",
               name == NULL ? "?" : name,
               result == NULL ? "?" : result,
               detail == NULL ? "" : ", ",
               detail == NULL ? "" : detail);
    }
}

static enum colour status_colour(const struct placing *self, const char *status)
{
    if (status == NULL || !is_good(self) || strcmp(status, self->kind->bad_end) == 0) {
        return COLOUR_RED;
    }
    return strcmp(status, self->kind->good_end) == 0 ? COLOUR_GREEN : COLOUR_YELLOW;
}

static void print_for_people(const struct placing *self)
{
    const bool colours = term_has_colours(stdout);
    const char *status = is_good(self) ? status_of(self) : "refused";
    const enum colour colour = status_colour(self, status);
    const char *reason = json_text_of(self->last, "reason");
    const char *failed_step = json_text_of(self->answer.json, "failed_step");
    char took[TERM_NUMBER_SIZE];
    term_format_duration(took, self->answer.took_us);
    printf("%s %s %s%s%s%s%s\n",
           self->kind->noun,
           self->id == NULL ? "" : self->id,
           term_start(colour, colours),
           status == NULL ? "answered" : status,
           term_end(colour, colours),
           reason == NULL ? "" : ": ",
           reason == NULL ? "" : reason);
    printf("  %-10s %d after %s\n", "answer", self->answer.status, took);
    print_total(self->answer.json);
    if (failed_step != NULL) {
        printf("  %-10s %s\n", "failed at", failed_step);
    }
    print_undone(self->answer.json);
    print_history(self);
    fflush(stdout);
    if (!is_good(self)) {
        api_say_problem("the answer", &self->answer);
    } else if (self->id != NULL && !has_ended(self)) {
        if (self->wish->wait) {
            cli_problem("it had no end within %lld s. Why: %s trace %s",
                        (long long)(self->wish->timeout_ms / 1000),
                        cli_name(),
                        self->id);
        } else {
            printf("Its story: %s trace %s\n", cli_name(), self->id);
        }
    }
}

static void print_for_programs(struct placing *self)
{
    cJSON *json = cJSON_CreateObject();
    const char *status = status_of(self);
    cJSON_AddItemToObject(
        json, "id", self->id == NULL ? cJSON_CreateNull() : cJSON_CreateString(self->id));
    cJSON_AddItemToObject(json,
                          "status",
                          status == NULL || !is_good(self) ? cJSON_CreateNull()
                                                           : cJSON_CreateString(status));
    cJSON_AddNumberToObject(json, "http_status", self->answer.status);
    cJSON_AddNumberToObject(json, "answered_ms", (double)self->answer.took_us / 1000.0);
    cJSON_AddItemToObject(json,
                          "ended_ms",
                          self->ended_us < 0 ? cJSON_CreateNull()
                                             : cJSON_CreateNumber((double)self->ended_us / 1000.0));
    cJSON_AddItemToObject(json,
                          "answer",
                          self->answer.json == NULL ? cJSON_CreateNull()
                                                    : cJSON_Duplicate(self->answer.json, true));
    cJSON_AddItemToObject(
        json, "last", self->last == NULL ? cJSON_CreateNull() : cJSON_Duplicate(self->last, true));
    cli_print_json(&json);
}

static enum cli_exit exit_of(const struct placing *self)
{
    const char *status = status_of(self);
    if (!is_good(self) || (status != NULL && strcmp(status, self->kind->bad_end) == 0)) {
        return CLI_NO;
    }
    return self->wish->wait && !has_ended(self) ? CLI_UNKNOWN : CLI_YES;
}

enum cli_exit subject_place(const struct subject_kind *kind, const struct subject_wish *wish,
                            const char *dir)
{
    struct api *api = api_open(dir);
    struct placing placing = {
        .kind = kind, .wish = wish, .sent_us = clock_wall_us(), .ended_us = -1};
    const struct http_header headers[] = {
        {wish->idempotency_key == NULL ? NULL : "Idempotency-Key", wish->idempotency_key},
        {NULL, NULL},
    };
    char *path = wish->mode == NULL ? mem_strdup(kind->path)
                                    : mem_format("%s?mode=%s", kind->path, wish->mode);
    const struct api_request request = {
        .service = kind->service,
        .method = "POST",
        .path = path,
        .body = wish->body,
        .headers = headers,
        .timeout_ms = wish->timeout_ms,
    };
    enum cli_exit result = CLI_UNKNOWN;
    if (api_call(api, &request, &placing.answer) != ERR_OK) {
        goto out;
    }
    placing.id = json_text_of(placing.answer.json, kind->id_member);
    if (is_good(&placing) && has_ended(&placing)) {
        placing.ended_us = placing.answer.took_us;
    } else if (is_good(&placing) && wish->wait && placing.id != NULL) {
        wait_for_end(&placing, api);
    }
    if (wish->json) {
        print_for_programs(&placing);
    } else {
        print_for_people(&placing);
    }
    result = exit_of(&placing);

out:
    cJSON_Delete(placing.last);
    api_answer_release(&placing.answer);
    free(path);
    api_destroy(&api);
    return result;
}
