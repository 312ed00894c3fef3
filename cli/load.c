#include "cli/load.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/answer_record.h"
#include "cli/bus_guest.h"
#include "cli/end_table.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/uuid.h"

enum {
    CALL_TIMEOUT_MS = 30000,
    CUSTOMERS = 100000, // so many that fraud's limit per customer is never near
    READ_PAUSE_MS = 2,
    HELLO_TIMEOUT_MS = 2000,
};

// One order.
struct shot {
    int64_t due_us;      // wall clock
    int64_t answered_us; // wall clock; 0: no answer
    int status;
    char id[UUID_SIZE];
};

struct load {
    const struct load_options *options; // borrowed
    struct shot *shots;                 // owned; each written by the one client that drew it
    atomic_size_t drawn;
    atomic_size_t answered;
    int64_t start_us;       // wall clock
    int64_t start_mono_us;  // the same moment
    struct end_table *ends; // owned; the reader thread's until it was joined
    atomic_size_t ends_count;
    atomic_bool ends_unknown;
    atomic_bool stop_reading;
    uint64_t from;
};

static void sleep_until_us(int64_t mono_us)
{
    const int64_t left_us = mono_us - clock_mono_us();
    if (left_us > 0) {
        const struct timespec pause = {.tv_sec = left_us / 1000000,
                                       .tv_nsec = (left_us % 1000000) * 1000};
        nanosleep(&pause, NULL);
    }
}

// --- the clients

static void read_answer(struct shot *shot, const struct http_response *response)
{
    shot->status = response->status;
    cJSON *json = cJSON_ParseWithLength((const char *)response->body.data, response->body.size);
    const char *id = json_text_of(json, "order_id");
    if (id != NULL) {
        snprintf(shot->id, sizeof shot->id, "%s", id);
    }
    cJSON_Delete(json);
}

static void record_answer(const struct load *self, const struct shot *shot, enum err err)
{
    const struct answer answer = {.id = shot->id,
                                  .is_sync = self->options->sync,
                                  .err = err,
                                  .status = shot->status,
                                  .at_us = shot->answered_us};
    if (!answer_record_write(self->options->record_fd, &answer)) {
        exit(EXIT_FAILURE);
    }
}

static void place_order(struct load *self, struct http_client *client, const char *url,
                        size_t index)
{
    struct shot *shot = &self->shots[index];
    char body[256];
    snprintf(body,
             sizeof body,
             "{\"customer_id\":\"load-%05zu\",\"payment_token\":\"%s\","
             "\"items\":[{\"sku\":\"espresso-cup\",\"quantity\":1}]}",
             index % CUSTOMERS,
             self->options->payment_token);
    struct http_response response = {0};
    const enum err err =
        http_client_call(client, "POST", url, NULL, body, CALL_TIMEOUT_MS, &response);
    shot->answered_us = clock_wall_us();
    if (err == ERR_OK) {
        read_answer(shot, &response);
    }
    if (self->options->record_fd >= 0) {
        record_answer(self, shot, err);
    }
    atomic_fetch_add(&self->answered, 1);
}

static void *client_main(void *arg)
{
    struct load *self = arg;
    struct http_client *client = http_client_new();
    char *url = mem_format(
        "%s/orders%s", self->options->order_url, self->options->sync ? "?mode=sync" : "");
    while (true) {
        const size_t index = atomic_fetch_add(&self->drawn, 1);
        if (index >= self->options->orders_count) {
            break;
        }
        if (self->options->rate > 0) {
            const int64_t offset_us = (int64_t)index * 1000000 / self->options->rate;
            self->shots[index].due_us = self->start_us + offset_us;
            sleep_until_us(self->start_mono_us + offset_us);
        } else {
            self->shots[index].due_us = clock_wall_us();
        }
        place_order(self, client, url, index);
    }
    free(url);
    http_client_destroy(&client);
    return NULL;
}

// --- the ends

static void note_end(struct load *self, const struct wire_delivered *event)
{
    const bool confirmed = bytes_equal_text(event->record.topic, "order-confirmed");
    if (!confirmed && !bytes_equal_text(event->record.topic, "order-cancelled")) {
        return;
    }
    if (end_table_add(self->ends, event->record.key, confirmed, (int64_t)event->time_us)) {
        atomic_fetch_add(&self->ends_count, 1);
    }
}

// Reads the log along. The broker may go away and come back: that is what the tool
// is for.
static void *reader_main(void *arg)
{
    struct load *self = arg;
    struct bus_guest *reader = NULL;
    uint64_t offset = self->from;
    while (!atomic_load(&self->stop_reading)) {
        if (reader == NULL) {
            const enum err err = bus_guest_open(&reader, self->options->bus_url, HELLO_TIMEOUT_MS);
            atomic_store(&self->ends_unknown, err != ERR_OK);
            continue;
        }
        struct wire_delivered event;
        switch (bus_guest_next(reader, &offset, &event)) {
        case ERR_OK:
            note_end(self, &event);
            break;
        case ERR_NOT_FOUND:
            sleep_until_us(clock_mono_us() + READ_PAUSE_MS * 1000);
            break;
        default:
            bus_guest_destroy(&reader);
            break;
        }
    }
    bus_guest_destroy(&reader);
    return NULL;
}

static bool find_start(struct load *self)
{
    struct bus_guest *reader = NULL;
    const bool found =
        bus_guest_open(&reader, self->options->bus_url, HELLO_TIMEOUT_MS) == ERR_OK &&
        bus_guest_end(reader, &self->from) == ERR_OK;
    bus_guest_destroy(&reader);
    return found;
}

// --- the sum

static int compare_int64(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

// Sorts samples. Percentiles by nearest rank.
static struct load_times times_of(int64_t *samples, size_t count)
{
    if (count == 0) {
        return (struct load_times){0};
    }
    qsort(samples, count, sizeof *samples, compare_int64);
    return (struct load_times){.count = count,
                               .p50_us = samples[(count - 1) / 2],
                               .p99_us = samples[(count - 1) * 99 / 100],
                               .max_us = samples[count - 1]};
}

static void count_status(struct load_result *out, int status)
{
    for (size_t i = 0; i < out->statuses_count; i++) {
        if (out->statuses[i].status == status) {
            out->statuses[i].count++;
            return;
        }
    }
    if (out->statuses_count < LOAD_CAUSES_MAX) {
        out->statuses[out->statuses_count].status = status;
        out->statuses[out->statuses_count++].count = 1;
    }
}

static bool is_accepted(const struct shot *shot)
{
    return shot->status == 201 || shot->status == 202;
}

static void count_shot(struct load_result *out, const struct shot *shot)
{
    count_status(out, shot->status);
    if (is_accepted(shot)) {
        out->accepted++;
    } else if (shot->status >= 400 && shot->status < 500) {
        out->refused++;
    } else {
        out->failed++;
    }
}

// The end of an accepted order: wall clock, or 0.
static int64_t end_of(const struct load *self, const struct shot *shot, struct load_result *out)
{
    if (self->options->sync) {
        out->confirmed++;
        return shot->answered_us;
    }
    bool confirmed = false;
    int64_t end_us = 0;
    if (!end_table_find(self->ends, shot->id, &confirmed, &end_us)) {
        out->unfinished++;
        return 0;
    }
    out->confirmed += confirmed ? 1 : 0;
    out->cancelled += confirmed ? 0 : 1;
    // The event can be stored before its order's answer reached us; never before it
    // was sent.
    return end_us < shot->due_us ? shot->due_us : end_us;
}

static void sum_up(struct load *self, struct load_result *out)
{
    const size_t count = self->options->orders_count;
    int64_t *answers = mem_calloc(count, sizeof *answers);
    int64_t *ends = mem_calloc(count, sizeof *ends);
    size_t answers_count = 0;
    size_t ends_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct shot *shot = &self->shots[i];
        count_shot(out, shot);
        if (shot->status != 0) {
            answers[answers_count++] = shot->answered_us - shot->due_us;
        }
        if (shot->answered_us - self->start_us > out->sending_us) {
            out->sending_us = shot->answered_us - self->start_us;
        }
        const int64_t end_us = is_accepted(shot) ? end_of(self, shot, out) : 0;
        if (end_us > 0) {
            ends[ends_count++] = end_us - shot->due_us;
        }
        if (end_us - self->start_us > out->finishing_us) {
            out->finishing_us = end_us - self->start_us;
        }
    }
    out->answer = times_of(answers, answers_count);
    out->end = times_of(ends, ends_count);
    free(answers);
    free(ends);
}

// --- the run

static size_t count_accepted(const struct load *self)
{
    size_t accepted = 0;
    for (size_t i = 0; i < self->options->orders_count; i++) {
        accepted += is_accepted(&self->shots[i]) ? 1 : 0;
    }
    return accepted;
}

static void *progress_main(void *arg)
{
    struct load *self = arg;
    while (!atomic_load(&self->stop_reading)) {
        const int64_t next_us = clock_mono_us() + 1000000;
        while (clock_mono_us() < next_us && !atomic_load(&self->stop_reading)) {
            sleep_until_us(clock_mono_us() + 20000);
        }
        if (!atomic_load(&self->stop_reading)) {
            fprintf(stderr,
                    "%zu of %zu answered, %zu at their end\n",
                    atomic_load(&self->answered),
                    self->options->orders_count,
                    atomic_load(&self->ends_count));
        }
    }
    return NULL;
}

static void wait_for_ends(struct load *self)
{
    const size_t accepted = count_accepted(self);
    const int64_t deadline_ms = clock_mono_ms() + self->options->timeout_ms;
    // Other people's orders end as well: being enough is not being ours, so a few
    // that are missing then show up as unfinished only after the whole time.
    while (clock_mono_ms() < deadline_ms) {
        if (atomic_load(&self->ends_count) >= accepted) {
            end_table_lock(self->ends);
            bool all = true;
            for (size_t i = 0; all && i < self->options->orders_count; i++) {
                bool confirmed = false;
                int64_t end_us = 0;
                all = !is_accepted(&self->shots[i]) ||
                      end_table_find(self->ends, self->shots[i].id, &confirmed, &end_us);
            }
            end_table_unlock(self->ends);
            if (all) {
                return;
            }
        }
        sleep_until_us(clock_mono_us() + 5000);
    }
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    if (pthread_create(thread, NULL, run, arg) != 0) {
        fputs("faultline: cannot start a thread\n", stderr);
        abort();
    }
}

void load_run(const struct load_options *options, struct load_result *out)
{
    *out = (struct load_result){0};
    struct load self = {.options = options,
                        .shots = mem_calloc(options->orders_count, sizeof(struct shot)),
                        .ends = end_table_new()};
    const bool reads = !options->sync && find_start(&self);
    out->ends_unknown = !options->sync && !reads;
    self.start_us = clock_wall_us();
    self.start_mono_us = clock_mono_us();

    pthread_t reader;
    pthread_t progress;
    pthread_t *clients = mem_calloc(options->clients_count, sizeof *clients);
    if (reads) {
        start_thread(&reader, reader_main, &self);
    }
    if (options->progress) {
        start_thread(&progress, progress_main, &self);
    }
    for (size_t i = 0; i < options->clients_count; i++) {
        start_thread(&clients[i], client_main, &self);
    }
    for (size_t i = 0; i < options->clients_count; i++) {
        pthread_join(clients[i], NULL);
    }
    if (reads) {
        wait_for_ends(&self);
    }
    atomic_store(&self.stop_reading, true);
    if (reads) {
        pthread_join(reader, NULL);
    }
    if (options->progress) {
        pthread_join(progress, NULL);
    }
    sum_up(&self, out);
    free(clients);
    free(self.shots);
    end_table_destroy(&self.ends);
}
