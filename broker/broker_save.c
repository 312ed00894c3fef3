// What the broker keeps beside the log, in the file of the groups: what docs/storage-format.md
// says of it, and nothing of how it lies on the disk.
#include <string.h>

#include "broker/broker_state.h"
#include "broker/group_file.h"
#include "common/log.h"

// --- writing. A list of topics ends with an empty name.

static void put_consumer(const struct broker *self, const struct consumer *consumer,
                         struct buf *out)
{
    group_save(consumer->group, out, broker_now_ms(self));
    for (int topic = 0; topic < self->topics.count; topic++) {
        if (topic_set_has(&consumer->wanted, topic)) {
            buf_put_string(out, bytes_of_text(self->topics.topics[topic].name));
        }
    }
    buf_put_string(out, (struct bytes){0});
    buf_put_number(out, consumer->dead_letters_count);
    uint64_t next = 0;
    for (size_t i = 0; i < consumer->dead_letters_count; i++) {
        buf_put_number(out, consumer->dead_letters[i] - next);
        next = consumer->dead_letters[i] + 1;
    }
}

void broker_put_kept(const struct broker *self, struct buf *out)
{
    buf_put_number(out, self->kept_end);
    buf_put_number(out, self->consumers_count);
    for (size_t i = 0; i < self->consumers_count; i++) {
        put_consumer(self, self->consumers[i], out);
    }
}

enum err broker_save(struct broker *self)
{
    enum err err = broker_sync(self);
    if (err != ERR_OK) {
        return err;
    }
    struct buf content = {0};
    char problem[GROUP_FILE_PROBLEM_SIZE];
    self->kept_end = event_log_next(self->log);
    broker_put_kept(self, &content);
    err = group_file_save(
        self->options.log.disk, self->options.directory, buf_view(&content), problem);
    buf_release(&content);
    if (err != ERR_OK) {
        log_error("groups cannot be saved", LOG_STR("error", problem));
        return err;
    }
    for (size_t i = 0; i < self->consumers_count; i++) {
        group_saved(self->consumers[i]->group);
    }
    self->save_due_ms = 0;
    return ERR_OK;
}

// --- reading. A list grows with what is read: a wrong count asks for no memory.

// TOPIC_NONE: the list ends, or the reader has failed.
static int take_topic(struct broker *self, struct reader *in)
{
    const struct bytes name = reader_string(in);
    if (in->failed || name.size == 0) {
        return TOPIC_NONE;
    }
    const int topic =
        record_topic_is_valid(name) ? topic_add(&self->topics, name, TOPIC_SLOTS) : TOPIC_NONE;
    in->failed = topic == TOPIC_NONE;
    return topic;
}

static void take_consumer(struct broker *self, struct reader *in, uint64_t log_end)
{
    struct group *group = group_load(in, log_end, broker_now_ms(self));
    in->failed = in->failed || broker_find_consumer(self, bytes_of_text(group_name(group))) != NULL;
    struct consumer *consumer = broker_add_consumer(self, group);
    for (int topic = take_topic(self, in); topic != TOPIC_NONE; topic = take_topic(self, in)) {
        topic_set_add(&consumer->wanted, topic);
    }
    uint64_t offset = 0;
    for (uint64_t left = reader_number(in, log_end); left > 0; left--) {
        offset += reader_number(in, log_end - offset);
        in->failed = in->failed || offset >= log_end;
        if (in->failed) {
            return;
        }
        consumer_list(consumer, offset++);
    }
}

void broker_take_kept(void *context, struct reader *in)
{
    struct broker *self = context;
    const uint64_t log_end = reader_number(in, GROUP_OFFSET_MAX);
    self->kept_end = log_end;
    for (uint64_t left = reader_number(in, BROKER_GROUPS_MAX); left > 0 && !in->failed; left--) {
        take_consumer(self, in, log_end);
    }
}
