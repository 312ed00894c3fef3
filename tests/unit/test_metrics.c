// What a scrape reads is valid Prometheus text, and sums up what was told.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/mem.h"
#include "common/metrics.h"

static const struct metric_def handled = {.name = "faultline_events_handled_total",
                                          .help = "Events handled.",
                                          .kind = METRIC_COUNTER,
                                          .label_names = {"topic", "result"}};
static const struct metric_def depth = {
    .name = "faultline_outbox_depth", .help = "Events not yet published.", .kind = METRIC_GAUGE};
static const struct metric_def duration = {.name = "faultline_http_request_duration_seconds",
                                           .help = "Time to answer.",
                                           .kind = METRIC_HISTOGRAM,
                                           .label_names = {"method", "route", "status"}};
static const double batch_bounds[] = {1, 4, 16};
static const struct metric_def batch = {.name = "faultline_batch_size",
                                        .help = "Inputs a transaction.",
                                        .kind = METRIC_HISTOGRAM,
                                        .bounds = batch_bounds,
                                        .bounds_count = ARRAY_LEN(batch_bounds)};

static struct metrics *metrics;

static void setup(void)
{
    metrics = metrics_new();
}

static void teardown(void)
{
    metrics_destroy(&metrics);
}

TestSuite(metrics, .init = setup, .fini = teardown);

// The page as text; the caller frees it.
static char *format(void)
{
    struct buf out = {0};
    metrics_format(metrics, &out);
    buf_put_u8(&out, '\0');
    return (char *)out.data;
}

static void expect_line(const char *line)
{
    char *text = format();
    char *wanted = mem_format("\n%s\n", line);
    cr_expect_not_null(strstr(text, wanted), "no line %s in:\n%s", line, text);
    free(wanted);
    free(text);
}

Test(metrics, counters_add_up_for_each_set_of_labels)
{
    metrics_add(metrics, &handled, METRIC_LABELS("order-created", "done"), 1);
    metrics_add(metrics, &handled, METRIC_LABELS("order-created", "done"), 2);
    metrics_add(metrics, &handled, METRIC_LABELS("order-created", "duplicate"), 1);
    expect_line("faultline_events_handled_total{topic=\"order-created\",result=\"done\"} 3");
    expect_line("faultline_events_handled_total{topic=\"order-created\",result=\"duplicate\"} 1");
}

Test(metrics, help_and_type_stand_once_before_all_samples_of_a_metric)
{
    metrics_add(metrics, &handled, METRIC_LABELS("b", "done"), 1);
    metrics_set(metrics, &depth, METRIC_NO_LABELS, 7);
    metrics_add(metrics, &handled, METRIC_LABELS("a", "done"), 1);
    char *text = format();
    const char *help = strstr(text,
                              "# HELP faultline_events_handled_total Events handled.\n"
                              "# TYPE faultline_events_handled_total counter\n"
                              "faultline_events_handled_total{topic=\"a\",result=\"done\"} 1\n"
                              "faultline_events_handled_total{topic=\"b\",result=\"done\"} 1\n"
                              "# HELP ");
    cr_expect_not_null(help, "%s", text);
    free(text);
}

Test(metrics, what_is_forgotten_begins_anew_and_others_stay)
{
    metrics_add(metrics, &handled, METRIC_LABELS("a", "done"), 1);
    metrics_add(metrics, &handled, METRIC_LABELS("b", "done"), 1);
    metrics_set(metrics, &depth, METRIC_NO_LABELS, 7);
    metrics_forget(metrics, &handled);
    metrics_add(metrics, &handled, METRIC_LABELS("b", "done"), 5);
    char *text = format();
    cr_expect_null(strstr(text, "topic=\"a\""), "%s", text);
    free(text);
    expect_line("faultline_events_handled_total{topic=\"b\",result=\"done\"} 5");
    expect_line("faultline_outbox_depth 7");
}

Test(metrics, a_gauge_goes_up_and_down)
{
    metrics_set(metrics, &depth, METRIC_NO_LABELS, 12.5);
    metrics_add(metrics, &depth, METRIC_NO_LABELS, -2.25);
    expect_line("faultline_outbox_depth 10.25");
}

Test(metrics, numbers_keep_every_digit)
{
    metrics_set(metrics, &depth, METRIC_NO_LABELS, 9007199254740991);
    expect_line("faultline_outbox_depth 9007199254740991");
    metrics_set(metrics, &depth, METRIC_NO_LABELS, 0.1);
    expect_line("faultline_outbox_depth 0.1");
}

Test(metrics, a_histogram_is_cumulative_and_a_bound_belongs_to_its_bucket)
{
    const double sizes[] = {1, 2, 4, 5, 100};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        metrics_observe(metrics, &batch, METRIC_NO_LABELS, sizes[i]);
    }
    expect_line("faultline_batch_size_bucket{le=\"1\"} 1\n"
                "faultline_batch_size_bucket{le=\"4\"} 3\n"
                "faultline_batch_size_bucket{le=\"16\"} 4\n"
                "faultline_batch_size_bucket{le=\"+Inf\"} 5\n"
                "faultline_batch_size_count 5\n"
                "faultline_batch_size_sum 112");
}

Test(metrics, a_histogram_without_bounds_spans_a_tenth_of_a_millisecond_to_ten_seconds)
{
    metrics_observe(metrics, &duration, METRIC_LABELS("GET", "/stock/{sku}", "200"), 0.0002);
    expect_line("faultline_http_request_duration_seconds_bucket{method=\"GET\","
                "route=\"/stock/{sku}\",status=\"200\",le=\"0.0001\"} 0\n"
                "faultline_http_request_duration_seconds_bucket{method=\"GET\","
                "route=\"/stock/{sku}\",status=\"200\",le=\"0.00025\"} 1");
    expect_line("faultline_http_request_duration_seconds_bucket{method=\"GET\","
                "route=\"/stock/{sku}\",status=\"200\",le=\"10\"} 1");
}

Test(metrics, label_values_are_escaped)
{
    metrics_add(metrics, &handled, METRIC_LABELS("a\"b\\c\nd", "\xff"), 1);
    expect_line("faultline_events_handled_total{topic=\"a\\\"b\\\\c\\nd\",result=\"\xef\xbf\xbd\"} "
                "1");
}

Test(metrics, a_missing_label_value_is_empty)
{
    metrics_add(metrics, &handled, METRIC_LABELS("a"), 1);
    expect_line("faultline_events_handled_total{topic=\"a\",result=\"\"} 1");
}

Test(metrics, more_series_than_the_limit_are_dropped_and_counted)
{
    char label[16];
    for (int i = 0; i < METRIC_SERIES_MAX + 3; i++) {
        snprintf(label, sizeof label, "%d", i);
        metrics_add(metrics, &handled, METRIC_LABELS(label, "done"), 1);
    }
    // A series that is known still counts.
    metrics_add(metrics, &handled, METRIC_LABELS("4095", "done"), 1);
    expect_line("faultline_events_handled_total{topic=\"4095\",result=\"done\"} 2");
    expect_line("faultline_metrics_dropped_total 3");
    char *text = format();
    cr_expect_null(strstr(text, "topic=\"4096\""));
    free(text);
}

// The oracle is Prometheus's own checker. Where it is not installed there is
// nothing to ask; the package is in the list of what the tests need.
Test(metrics, promtool_accepts_the_page)
{
    if (system("command -v promtool >/dev/null") != 0) {
        cr_skip_test("promtool is not installed (Debian: prometheus)");
    }
    metrics_add(metrics, &handled, METRIC_LABELS("a\"b\\c\nd", "done"), 1);
    metrics_set(metrics, &depth, METRIC_NO_LABELS, -1.5);
    metrics_observe(metrics, &duration, METRIC_LABELS("GET", "/", "200"), 0.3);
    metrics_observe(metrics, &duration, METRIC_LABELS("GET", "/", "500"), 30);
    metrics_observe(metrics, &batch, METRIC_NO_LABELS, 3);
    char *text = format();
    FILE *promtool = popen("promtool check metrics", "w");
    cr_assert_not_null(promtool);
    fputs(text, promtool);
    const int status = pclose(promtool);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "promtool said no to:\n%s", text);
    free(text);
}
