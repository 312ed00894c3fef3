#include "common/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/utf8.h"

enum {
    SLOTS_MIN = 64,
    NUMBER_SIZE = 32,
};

// One time series: a metric and the values of its labels.
struct sample {
    const struct metric_def *def; // borrowed; static
    uint64_t hash;
    char *labels[METRIC_LABELS_MAX]; // owned; as many as the metric has names
    double value;                    // histograms: the sum
    uint64_t count;                  // histograms: observations
    uint64_t *buckets;               // owned; one a bound, not cumulative; NULL: no histogram
};

struct metrics {
    pthread_mutex_t mutex;
    struct sample **slots; // owned; open addressing, a power of two, at most half full
    size_t slots_count;
    size_t samples_count;
    uint64_t dropped; // updates that METRIC_SERIES_MAX refused
};

static const double default_bounds[] = {
    0.0001,
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
    10,
};

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

static size_t labels_count(const struct metric_def *def)
{
    size_t count = 0;
    while (count < METRIC_LABELS_MAX && def->label_names[count] != NULL) {
        count++;
    }
    return count;
}

// A label that is not given is empty, which Prometheus takes for no label at all.
static const char *label_text(const char *label)
{
    return label == NULL ? "" : label;
}

struct metrics *metrics_new(void)
{
    struct metrics *self = mem_calloc(1, sizeof *self);
    pthread_mutex_init(&self->mutex, NULL);
    self->slots_count = SLOTS_MIN;
    self->slots = mem_calloc(self->slots_count, sizeof(struct sample *));
    return self;
}

static void sample_destroy(struct sample *sample)
{
    if (sample == NULL) {
        return;
    }
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++) {
        free(sample->labels[i]);
    }
    free(sample->buckets);
    free(sample);
}

void metrics_destroy(struct metrics **self_p)
{
    struct metrics *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->slots_count; i++) {
        sample_destroy(self->slots[i]);
    }
    free(self->slots);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

// --- finding a sample

// FNV-1a over the metric's address and the label values, each with its NUL.
static uint64_t hash_of(const struct metric_def *def, const char *const *labels, size_t count)
{
    static const uint64_t prime = 0x100000001b3;
    uint64_t hash = (0xcbf29ce484222325 ^ (uint64_t)(uintptr_t)def) * prime;
    for (size_t i = 0; i < count; i++) {
        const char *at = label_text(labels[i]);
        do {
            hash = (hash ^ (uint8_t)*at) * prime;
        } while (*at++ != '\0');
    }
    return hash ^ hash >> 32;
}

static bool sample_is(const struct sample *sample, uint64_t hash, const struct metric_def *def,
                      const char *const *labels, size_t count)
{
    if (sample->hash != hash || sample->def != def) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(sample->labels[i], label_text(labels[i])) != 0) {
            return false;
        }
    }
    return true;
}

static void slot_put(struct sample **slots, size_t slots_count, struct sample *sample)
{
    size_t at = sample->hash & (slots_count - 1);
    while (slots[at] != NULL) {
        at = (at + 1) & (slots_count - 1);
    }
    slots[at] = sample;
}

static void slots_grow(struct metrics *self)
{
    const size_t count = self->slots_count * 2;
    struct sample **slots = mem_calloc(count, sizeof(struct sample *));
    for (size_t i = 0; i < self->slots_count; i++) {
        if (self->slots[i] != NULL) {
            slot_put(slots, count, self->slots[i]);
        }
    }
    free(self->slots);
    self->slots = slots;
    self->slots_count = count;
}

static struct sample *sample_new(uint64_t hash, const struct metric_def *def,
                                 const char *const *labels, size_t count)
{
    struct sample *sample = mem_calloc(1, sizeof *sample);
    *sample = (struct sample){.def = def, .hash = hash};
    for (size_t i = 0; i < count; i++) {
        sample->labels[i] = mem_strdup(label_text(labels[i]));
    }
    if (def->kind == METRIC_HISTOGRAM) {
        size_t bounds_count = 0;
        bounds_of(def, &bounds_count);
        sample->buckets = mem_calloc(bounds_count, sizeof *sample->buckets);
    }
    return sample;
}

// Finds the sample or makes it; NULL when there are too many. The mutex is held.
static struct sample *sample_of(struct metrics *self, const struct metric_def *def,
                                const char *const *labels)
{
    const size_t count = labels_count(def);
    const uint64_t hash = hash_of(def, labels, count);
    for (size_t at = hash & (self->slots_count - 1); self->slots[at] != NULL;
         at = (at + 1) & (self->slots_count - 1)) {
        if (sample_is(self->slots[at], hash, def, labels, count)) {
            return self->slots[at];
        }
    }
    if (self->samples_count == METRIC_SERIES_MAX) {
        self->dropped++;
        return NULL;
    }
    if (self->samples_count * 2 >= self->slots_count) {
        slots_grow(self);
    }
    struct sample *sample = sample_new(hash, def, labels, count);
    slot_put(self->slots, self->slots_count, sample);
    self->samples_count++;
    return sample;
}

// --- changing it

void metrics_add(struct metrics *self, const struct metric_def *def, const char *const *labels,
                 double value)
{
    assert(def->kind != METRIC_HISTOGRAM);
    pthread_mutex_lock(&self->mutex);
    struct sample *sample = sample_of(self, def, labels);
    if (sample != NULL) {
        sample->value += value;
    }
    pthread_mutex_unlock(&self->mutex);
}

void metrics_set(struct metrics *self, const struct metric_def *def, const char *const *labels,
                 double value)
{
    assert(def->kind != METRIC_HISTOGRAM);
    pthread_mutex_lock(&self->mutex);
    struct sample *sample = sample_of(self, def, labels);
    if (sample != NULL) {
        sample->value = value;
    }
    pthread_mutex_unlock(&self->mutex);
}

void metrics_observe(struct metrics *self, const struct metric_def *def, const char *const *labels,
                     double value)
{
    assert(def->kind == METRIC_HISTOGRAM);
    size_t count = 0;
    const double *bounds = bounds_of(def, &count);
    size_t at = 0;
    while (at < count && value > bounds[at]) {
        at++;
    }
    pthread_mutex_lock(&self->mutex);
    struct sample *sample = sample_of(self, def, labels);
    if (sample != NULL) {
        sample->value += value;
        sample->count++;
        if (at < count) {
            sample->buckets[at]++;
        }
    }
    pthread_mutex_unlock(&self->mutex);
}

// --- as text

// The shortest of the two forms that reads back as the same number.
static const char *number_format(char out[NUMBER_SIZE], double value)
{
    if (isnan(value)) {
        return "NaN";
    }
    if (isinf(value)) {
        return value > 0 ? "+Inf" : "-Inf";
    }
    snprintf(out, NUMBER_SIZE, "%.15g", value);
    if (strtod(out, NULL) < value || strtod(out, NULL) > value) {
        snprintf(out, NUMBER_SIZE, "%.17g", value);
    }
    return out;
}

// HELP escapes backslash and newline, a label value the quote too; what is not
// UTF-8 would make a reader refuse the whole page.
static void escaped_put(struct buf *out, const char *text, bool is_label)
{
    const struct bytes all = bytes_of_text(text);
    for (size_t at = 0; at < all.size;) {
        const size_t size = utf8_size(all.data + at, all.size - at);
        const uint8_t byte = all.data[at];
        if (size == 0) {
            buf_put_text(out, "\xef\xbf\xbd");
        } else if (byte == '\\' || (byte == '"' && is_label)) {
            buf_put_u8(out, '\\');
            buf_put_u8(out, byte);
        } else if (byte == '\n') {
            buf_put_text(out, "\\n");
        } else {
            buf_put(out, all.data + at, size);
        }
        at += size == 0 ? 1 : size;
    }
}

// One line: name, suffix, labels, le unless NULL, value.
static void line_put(struct buf *out, const struct sample *sample, const char *suffix,
                     const char *le, const char *value)
{
    buf_put_text(out, sample->def->name);
    buf_put_text(out, suffix);
    char separator = '{';
    for (size_t i = 0; i < labels_count(sample->def); i++) {
        buf_printf(out, "%c%s=\"", separator, sample->def->label_names[i]);
        escaped_put(out, sample->labels[i], true);
        buf_put_u8(out, '"');
        separator = ',';
    }
    if (le != NULL) {
        buf_printf(out, "%cle=\"%s\"", separator, le);
        separator = ',';
    }
    buf_put_text(out, separator == ',' ? "} " : " ");
    buf_put_text(out, value);
    buf_put_u8(out, '\n');
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

static void head_put(struct buf *out, const struct metric_def *def)
{
    buf_printf(out, "# HELP %s ", def->name);
    escaped_put(out, def->help, false);
    buf_printf(out, "\n# TYPE %s %s\n", def->name, kind_names[def->kind]);
}

static int sample_compare(const void *left, const void *right)
{
    const struct sample *a = *(const struct sample *const *)left;
    const struct sample *b = *(const struct sample *const *)right;
    int order = strcmp(a->def->name, b->def->name);
    for (size_t i = 0; order == 0 && i < METRIC_LABELS_MAX; i++) {
        order = strcmp(label_text(a->labels[i]), label_text(b->labels[i]));
    }
    return order;
}

// By name and labels: all samples of a metric must stand together, and a person
// compares two pages more easily.
static const struct sample **samples_sorted(const struct metrics *self)
{
    const struct sample **samples = mem_calloc(self->samples_count, sizeof(struct sample *));
    size_t count = 0;
    for (size_t i = 0; i < self->slots_count; i++) {
        if (self->slots[i] != NULL) {
            samples[count++] = self->slots[i];
        }
    }
    qsort(samples, count, sizeof(struct sample *), sample_compare);
    return samples;
}

void metrics_format(struct metrics *self, struct buf *out)
{
    char value[NUMBER_SIZE];
    pthread_mutex_lock(&self->mutex);
    const struct sample **samples = samples_sorted(self);
    const char *name = "";
    for (size_t i = 0; i < self->samples_count; i++) {
        const struct sample *sample = samples[i];
        if (strcmp(name, sample->def->name) != 0) {
            name = sample->def->name;
            head_put(out, sample->def);
        }
        if (sample->def->kind == METRIC_HISTOGRAM) {
            histogram_put(out, sample);
        } else {
            line_put(out, sample, "", NULL, number_format(value, sample->value));
        }
    }
    const struct sample dropped = {.def = &dropped_def, .value = (double)self->dropped};
    head_put(out, &dropped_def);
    line_put(out, &dropped, "", NULL, number_format(value, dropped.value));
    pthread_mutex_unlock(&self->mutex);
    free(samples);
}
