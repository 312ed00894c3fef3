#include "common/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

enum {
    NUMBER_SIZE = 32
};

// One time series: a metric and the values of its labels.
struct sample {
    const struct metric_def *def;    // borrowed; static
    char *labels[METRIC_LABELS_MAX]; // owned; as many as the metric has names
    double value;                    // histograms: the sum
    uint64_t count;                  // histograms: observations
    uint64_t *buckets;               // owned; one a bound, not cumulative; NULL: no histogram
};

struct metrics {
    pthread_mutex_t mutex;
    // Owned; sorted by name and labels, as the page is: all samples of a metric must
    // stand together there. A service has some 50, found in six steps.
    struct sample *samples[METRIC_SERIES_MAX + 1]; // one more: dropped
    size_t samples_count;
    struct sample *dropped; // borrowed; the updates that METRIC_SERIES_MAX refused
};

static const double default_bounds[] = {0.0001,
                                        0.00025,
                                        0.0005,
                                        0.001,
                                        0.0025,
                                        0.005,
                                        0.01,
                                        0.025,
                                        0.05,
                                        0.1,
                                        0.25,
                                        0.5,
                                        1,
                                        2.5,
                                        5,
                                        10};

static const struct metric_def dropped_def = {
    .name = "faultline_metrics_dropped_total",
    .help = "Updates refused because the process has too many series.",
    .kind = METRIC_COUNTER,
};

static const char *const kind_names[] = {
    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

static const double *bounds_of(const struct metric_def *def, size_t *count)
{
    *count = def->bounds == NULL ? ARRAY_LEN(default_bounds) : def->bounds_count;
    return def->bounds == NULL ? default_bounds : def->bounds;
}

// A label that is not given is empty, which Prometheus takes for no label at all.
static const char *label_text(const char *label)
{
    return label == NULL ? "" : label;
}

// --- finding a sample

static int sample_compare(const struct sample *sample, const struct metric_def *def,
                          const char *const *labels)
{
    int order = sample->def == def ? 0 : strcmp(sample->def->name, def->name);
    for (size_t i = 0; order == 0 && i < METRIC_LABELS_MAX && def->label_names[i] != NULL; i++) {
        order = strcmp(sample->labels[i], label_text(labels[i]));
    }
    return order;
}

static struct sample *sample_new(const struct metric_def *def, const char *const *labels)
{
    struct sample *sample = mem_calloc(1, sizeof *sample);
    sample->def = def;
    for (size_t i = 0; i < METRIC_LABELS_MAX && def->label_names[i] != NULL; i++) {
        sample->labels[i] = mem_strdup(label_text(labels[i]));
    }
    if (def->kind == METRIC_HISTOGRAM) {
        size_t bounds_count = 0;
        bounds_of(def, &bounds_count);
        sample->buckets = mem_calloc(bounds_count, sizeof *sample->buckets);
    }
    return sample;
}

static void sample_free(struct sample *sample)
{
    for (size_t label = 0; label < METRIC_LABELS_MAX; label++) {
        free(sample->labels[label]);
    }
    free(sample->buckets);
    free(sample);
}

// Finds the sample or makes it; NULL when there are too many. The mutex is held.
static struct sample *sample_of(struct metrics *self, const struct metric_def *def,
                                const char *const *labels)
{
    size_t low = 0;
    size_t high = self->samples_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = sample_compare(self->samples[middle], def, labels);
        if (order == 0) {
            return self->samples[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (self->samples_count > METRIC_SERIES_MAX) {
        self->dropped->value += 1;
        return NULL;
    }
    struct sample **at = &self->samples[low];
    memmove(at + 1, at, (self->samples_count - low) * sizeof *at);
    *at = sample_new(def, labels);
    self->samples_count++;
    return *at;
}

// --- changing it

struct metrics *metrics_new(void)
{
    struct metrics *self = mem_calloc(1, sizeof *self);
    pthread_mutex_init(&self->mutex, NULL);
    self->dropped = sample_of(self, &dropped_def, METRIC_NO_LABELS);
    return self;
}

void metrics_destroy(struct metrics **self_p)
{
    struct metrics *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->samples_count; i++) {
        sample_free(self->samples[i]);
    }
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

static void observe(struct sample *sample, double value)
{
    size_t count = 0;
    const double *bounds = bounds_of(sample->def, &count);
    size_t at = 0;
    while (at < count && value > bounds[at]) {
        at++;
    }
    if (at < count) {
        sample->buckets[at]++;
    }
    sample->value += value;
    sample->count++;
}

void metrics_update(struct metrics *self, const struct metric_def *def, const char *const *labels,
                    enum metric_update update, double value)
{
    assert((def->kind == METRIC_HISTOGRAM) == (update == METRIC_OBSERVE));
    pthread_mutex_lock(&self->mutex);
    struct sample *sample = sample_of(self, def, labels);
    if (sample != NULL && update == METRIC_OBSERVE) {
        observe(sample, value);
    } else if (sample != NULL) {
        sample->value = update == METRIC_ADD ? sample->value + value : value;
    }
    pthread_mutex_unlock(&self->mutex);
}

void metrics_forget(struct metrics *self, const struct metric_def *def)
{
    pthread_mutex_lock(&self->mutex);
    size_t kept = 0;
    for (size_t i = 0; i < self->samples_count; i++) {
        if (self->samples[i]->def == def) {
            sample_free(self->samples[i]);
        } else {
            self->samples[kept++] = self->samples[i];
        }
    }
    self->samples_count = kept;
    pthread_mutex_unlock(&self->mutex);
}

// --- as text

// The shortest of the two forms that reads back as the same number.
static const char *number_format(char out[NUMBER_SIZE], double value)
{
    snprintf(out, NUMBER_SIZE, "%.15g", value);
    if (strtod(out, NULL) != value) {
        snprintf(out, NUMBER_SIZE, "%.17g", value);
    }
    return out;
}

// One line: name, suffix, labels, le unless NULL, value.
static void line_put(struct buf *out, const struct sample *sample, const char *suffix,
                     const char *le, const char *value)
{
    buf_put_text(out, sample->def->name);
    buf_put_text(out, suffix);
    char separator = '{';
    for (size_t i = 0; i < METRIC_LABELS_MAX && sample->labels[i] != NULL; i++) {
        buf_printf(out, "%c%s=", separator, sample->def->label_names[i]);
        json_append_text(out, sample->labels[i]); // Prometheus escapes the same way
        separator = ',';
    }
    if (le != NULL) {
        buf_printf(out, "%cle=\"%s\"", separator, le);
        separator = ',';
    }
    buf_printf(out, "%s%s\n", separator == ',' ? "} " : " ", value);
}

static void histogram_put(struct buf *out, const struct sample *sample)
{
    char le[NUMBER_SIZE];
    char value[NUMBER_SIZE];
    size_t count = 0;
    const double *bounds = bounds_of(sample->def, &count);
    uint64_t below = 0;
    for (size_t i = 0; i < count; i++) {
        below += sample->buckets[i];
        snprintf(value, sizeof value, "%" PRIu64, below);
        line_put(out, sample, "_bucket", number_format(le, bounds[i]), value);
    }
    snprintf(value, sizeof value, "%" PRIu64, sample->count);
    line_put(out, sample, "_bucket", "+Inf", value);
    line_put(out, sample, "_count", NULL, value);
    line_put(out, sample, "_sum", NULL, number_format(value, sample->value));
}

void metrics_format(struct metrics *self, struct buf *out)
{
    char value[NUMBER_SIZE];
    pthread_mutex_lock(&self->mutex);
    const char *name = "";
    for (size_t i = 0; i < self->samples_count; i++) {
        const struct sample *sample = self->samples[i];
        const struct metric_def *def = sample->def;
        if (strcmp(name, def->name) != 0) {
            name = def->name;
            buf_printf(out, "# HELP %s %s\n# TYPE %s ", name, def->help, name);
            buf_printf(out, "%s\n", kind_names[def->kind]);
        }
        if (def->kind == METRIC_HISTOGRAM) {
            histogram_put(out, sample);
        } else {
            line_put(out, sample, "", NULL, number_format(value, sample->value));
        }
    }
    pthread_mutex_unlock(&self->mutex);
}
