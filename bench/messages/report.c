#include "bench/messages/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    TEXT_SIZE = 64
};

// The fields of a result.
static const struct {
    const char *name;
    size_t at;
} fields[] = {
    {"rate", offsetof(struct result, rate)},
    {"p50_us", offsetof(struct result, p50_us)},
    {"p99_us", offsetof(struct result, p99_us)},
    {"server_us_per_event", offsetof(struct result, server_us)},
    {"server_cores", offsetof(struct result, cpu_cores)},
    {"rss_peak_mb", offsetof(struct result, rss_peak_mb)},
    {"pss_mb", offsetof(struct result, pss_mb)},
    {"ms", offsetof(struct result, ms)},
};

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

// The median of each field, and of the workload's own figure the ends of the range.
static struct result median_of(const struct cell *cell)
{
    struct result median = {0};
    double values[RUNS_MAX];
    for (size_t field = 0; field < ARRAY_LEN(fields); field++) {
        for (size_t i = 0; i < cell->count; i++) {
            memcpy(&values[i], (const char *)&cell->runs[i] + fields[field].at, sizeof *values);
        }
        qsort(values, cell->count, sizeof *values, compare);
        memcpy((char *)&median + fields[field].at, &values[cell->count / 2], sizeof *values);
    }
    return median;
}

static void range_get(const struct workload *workload, const struct cell *cell, double *least,
                      double *most)
{
    *least = *most = workload_figure(workload, &cell->runs[0]);
    for (size_t i = 1; i < cell->count; i++) {
        const double value = workload_figure(workload, &cell->runs[i]);
        *least = value < *least ? value : *least;
        *most = value > *most ? value : *most;
    }
}

// Three digits that count, thousands apart; "" for 0, which stands for nothing measured.
static const char *number(char out[TEXT_SIZE], double value)
{
    out[0] = 0;
    if (value >= 1e6) {
        const uint64_t kilo = (uint64_t)(value / 1000 + 0.5);
        snprintf(out, TEXT_SIZE, "%" PRIu64 ",%03" PRIu64 ",000", kilo / 1000, kilo % 1000);
    } else if (value >= 1000) {
        const uint64_t whole = (uint64_t)(value + 0.5);
        snprintf(out, TEXT_SIZE, "%" PRIu64 ",%03" PRIu64, whole / 1000, whole % 1000);
    } else if (value > 0) {
        snprintf(out, TEXT_SIZE, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
    }
    return out;
}

static const char *unit_of(const struct workload *workload)
{
    static const char *const units[] = {
        [FIGURE_RATE] = "/s", [FIGURE_P50] = " us", [FIGURE_MEMORY] = " MB", [FIGURE_MS] = " ms"};
    return units[workload->figure];
}

// How Faultline stands to this row, and what is to be reached.
static void ratio_get(const struct report *self, size_t row, size_t column, char out[TEXT_SIZE])
{
    const struct workload *workload = self->workloads[row];
    const bool is_rate = workload->figure == FIGURE_RATE;
    const struct cell *cell = &self->cells[row][column];
    const struct cell *ours = &self->cells[row][0];
    out[0] = 0;
    if (self->engines[0] != &engine_faultline || ours->count == 0) {
        return;
    }
    const struct result our_median = median_of(ours);
    const struct result median = median_of(cell);
    const double ratio =
        workload_figure(workload, &our_median) / workload_figure(workload, &median);
    const char *name = self->engines[column]->name;
    const bool counts = workload->against != NULL && strcmp(workload->against, name) == 0;
    if (workload->ours_only) {
        snprintf(out, TEXT_SIZE, "wanted: under %g", workload->target);
    } else if (counts && workload->target > 0) {
        const char *wanted = is_rate ? "least" : "most";
        snprintf(out, TEXT_SIZE, "%.2f (wanted: at %s %g)", ratio, wanted, workload->target);
    } else if (column > 0) {
        snprintf(out, TEXT_SIZE, "%.2f", ratio);
    }
}

static void row_print(const struct report *self, size_t row, size_t column, FILE *out)
{
    const struct workload *workload = self->workloads[row];
    const struct cell *cell = &self->cells[row][column];
    const struct result median = median_of(cell);
    char texts[8][TEXT_SIZE];
    double least = 0;
    double most = 0;
    range_get(workload, cell, &least, &most);
    ratio_get(self, row, column, texts[7]);
    uint64_t wrong = 0;
    for (size_t i = 0; i < cell->count; i++) {
        wrong += cell->runs[i].wrong;
    }
    fprintf(out,
            "| %s | %s | %s%s | %s to %s | %s | %s | %s | %s |%s\n",
            workload->title,
            self->engines[column]->title,
            number(texts[0], workload_figure(workload, &median)),
            unit_of(workload),
            number(texts[1], least),
            number(texts[2], most),
            number(texts[3], median.p99_us),
            number(texts[4], median.server_us),
            number(texts[5], median.rss_peak_mb),
            texts[7],
            wrong > 0 ? " events came out of order!" : "");
}

void report_print(const struct report *self, FILE *out)
{
    fprintf(out,
            "| workload | broker | median | smallest to largest | p99, us | broker's CPU, us an "
            "event | broker's RSS peak, MB | Faultline to this |\n"
            "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t row = 0; row < self->workloads_count; row++) {
        for (size_t column = 0; column < self->engines_count; column++) {
            if (self->cells[row][column].count > 0) {
                row_print(self, row, column, out);
            }
        }
    }
}

static void cell_print_json(const struct report *self, size_t row, size_t column, FILE *out)
{
    const struct cell *cell = &self->cells[row][column];
    const struct result median = median_of(cell);
    double least = 0;
    double most = 0;
    range_get(self->workloads[row], cell, &least, &most);
    fprintf(out,
            "{\"workload\":\"%s\",\"broker\":\"%s\",\"runs\":%zu,\"least\":%.2f,\"most\":%.2f",
            self->workloads[row]->name,
            self->engines[column]->name,
            cell->count,
            least,
            most);
    for (size_t field = 0; field < ARRAY_LEN(fields); field++) {
        double value = 0;
        memcpy(&value, (const char *)&median + fields[field].at, sizeof value);
        if (value > 0) {
            fprintf(out, ",\"%s\":%.3f", fields[field].name, value);
        }
    }
    fprintf(out, "}\n");
}

void report_print_json(const struct report *self, FILE *out)
{
    for (size_t row = 0; row < self->workloads_count; row++) {
        for (size_t column = 0; column < self->engines_count; column++) {
            if (self->cells[row][column].count > 0) {
                cell_print_json(self, row, column, out);
            }
        }
    }
}
