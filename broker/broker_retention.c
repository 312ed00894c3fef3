// Retention: the oldest segment of the log goes when the log is too large or the segment
// too old, and nobody needs it any more.
//
//     due? ---> needed by a group or a listed dead letter? ---> it stays, and /status says why
//                  | no, or retention ignores groups
//                  v
//     what of theirs leaves with it ---> drop ---> groups skip it ---> file of the groups
//
// The groups skip what is gone, not what is about to go: a drop that fails takes nothing from
// them. After a crash before the file is saved the start lets them skip it.

#include "broker/broker_state.h"
#include "common/log.h"

static const int64_t hour_us = INT64_C(3600) * 1000 * 1000;

static uint64_t floor_of(const struct consumer *consumer)
{
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    return stats.floor;
}

// The lowest offset that somebody needs. A group that has done all that matches needs
// nothing, wherever its floor is: it may have no member to show it the rest.
static struct retention_hold lowest_needed(const struct broker *self)
{
    struct retention_hold lowest = {.offset = UINT64_MAX};
    for (size_t i = 0; i < self->consumers_count; i++) {
        const struct consumer *consumer = self->consumers[i];
        const char *group = group_name(consumer->group);
        if (consumer->backlog > 0 && floor_of(consumer) < lowest.offset) {
            lowest = (struct retention_hold){.group = group, .offset = floor_of(consumer)};
        }
        if (consumer->dead_letters_count > 0 && consumer->dead_letters[0] < lowest.offset) {
            lowest = (struct retention_hold){
                .group = group, .offset = consumer->dead_letters[0], .is_dead_letter = true};
        }
    }
    return lowest;
}

bool broker_retention_hold(const struct broker *self, struct retention_hold *out)
{
    *out = lowest_needed(self);
    return self->is_retention_held && out->group != NULL; // it may just have let go
}

static bool is_due(const struct broker *self, const struct event_log_extent *oldest)
{
    const struct broker_options *options = &self->options;
    const uint64_t bytes = event_log_bytes(self->log) + self->refused_bytes;
    const int64_t age_us = broker_wall_us(self) - (int64_t)oldest->time_us;
    return (options->retention_bytes != 0 && bytes > options->retention_bytes) ||
           (options->retention_hours != 0 && age_us > options->retention_hours * hour_us);
}

// Counts for each group the events that it wants and has not done, and that go with a segment.
// false: one cannot be read, and the segment stays. That was logged.
static bool lost_count(struct broker *self, const struct event_log_extent *segment, uint64_t *lost)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < self->consumers_count && err == ERR_OK; i++) {
        const struct consumer *consumer = self->consumers[i];
        lost[i] = 0;
        if (consumer->backlog > 0) {
            err = broker_count(self, consumer, segment->next, &lost[i]);
        }
    }
    return err == ERR_OK;
}

static uint32_t held_of(const struct consumer *consumer)
{
    struct group_stats stats;
    group_stats_get(consumer->group, &stats);
    return stats.held;
}

void broker_skip_to(struct broker *self, struct consumer *consumer, uint64_t first)
{
    consumer_unlist(consumer, 0, first);
    if (floor_of(consumer) < first) {
        const uint32_t held = held_of(consumer);
        group_skip_to(consumer->group, first);
        if (held_of(consumer) < held) { // else it would be in their hands beside what comes next
            broker_end_members(self, consumer, "the log has dropped what members held");
        }
    }
}

// Ends for the groups what they have in a segment that goes.
static void groups_leave(struct broker *self, const struct event_log_extent *segment,
                         const uint64_t *lost)
{
    for (size_t i = 0; i < self->consumers_count; i++) {
        struct consumer *consumer = self->consumers[i];
        broker_skip_to(self, consumer, segment->next);
        consumer->backlog -= lost[i];
        if (lost[i] > 0) {
            log_warn("retention took events that a group had not handled",
                     LOG_STR("group", group_name(consumer->group)),
                     LOG_INT("events", lost[i]),
                     LOG_INT("offset", segment->next));
        }
    }
}

static void drop(struct broker *self, const struct event_log_extent *segment)
{
    uint64_t lost[BROKER_GROUPS_MAX];
    if (!lost_count(self, segment, lost)) {
        return;
    }
    const enum err err = event_log_drop(self->log, segment->next);
    if (err != ERR_OK) {
        log_error("segment cannot be removed",
                  LOG_INT("offset", segment->first),
                  LOG_STR("error", err_name(err)));
        return;
    }
    groups_leave(self, segment, lost);
    tallies_drop(&self->tallies, segment->next);
    broker_save_soon(self);
    self->retain_due_ms = 0; // the next one may be due as well
    self->more = true;
    log_info("segment dropped",
             LOG_INT("offset", segment->first),
             LOG_INT("records", segment->next - segment->first),
             LOG_INT("bytes", segment->bytes));
}

void broker_retain(struct broker *self)
{
    const struct broker_options *options = &self->options;
    const int64_t now_ms = broker_now_ms(self);
    if ((options->retention_bytes == 0 && options->retention_hours == 0) ||
        now_ms < self->retain_due_ms) {
        return;
    }
    struct event_log_extent oldest;
    event_log_oldest(self->log, &oldest);
    const bool due = event_log_segments(self->log) > 1 && is_due(self, &oldest);
    self->retain_due_ms = now_ms + BROKER_RETAIN_MS;
    self->is_retention_held =
        due && !options->retention_ignores_groups && lowest_needed(self).offset < oldest.next;
    if (due && !self->is_retention_held) {
        drop(self, &oldest);
    }
}
