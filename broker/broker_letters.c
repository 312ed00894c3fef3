// Dead letters: how an event that a group gives up becomes one, and goes back by REDRIVE.
// Both go through the log, as a record of the broker's own, and only when that is durable
// it means something; or when a start finds it there.
//
//   DYING ------append--> dead-letter.GROUP --sync--> the event is done, the letter is listed
//   letter --REDRIVE----> redrive.GROUP ------sync--> the letter is listed no more
//     ^                        |
//     +------ disk full -------+
#include <assert.h>
#include <string.h>

#include "broker/broker_state.h"
#include "common/crash_point.h"
#include "common/log.h"
#include "common/mem.h"

// --- the list of a group

void consumer_list(struct consumer *self, uint64_t dead_letter)
{
    const size_t count = self->dead_letters_count++;
    assert(count == 0 || self->dead_letters[count - 1] < dead_letter);
    if (count == self->dead_letters_capacity) {
        self->dead_letters_capacity = 2 * count + 16;
        self->dead_letters = mem_realloc(self->dead_letters,
                                         self->dead_letters_capacity * sizeof *self->dead_letters);
    }
    self->dead_letters[count] = dead_letter;
}

// Where the first at or above offset is; dead_letters_count: there is none.
static size_t place_of(const struct consumer *self, uint64_t offset)
{
    size_t low = 0;
    for (size_t high = self->dead_letters_count; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (self->dead_letters[middle] < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void consumer_unlist(struct consumer *self, uint64_t first, uint64_t end)
{
    const size_t from = place_of(self, first);
    const size_t to = place_of(self, end);
    if (from < to) {
        memmove(self->dead_letters + from,
                self->dead_letters + to,
                (self->dead_letters_count - to) * sizeof *self->dead_letters);
        self->dead_letters_count -= to - from;
    }
}

bool broker_dead_letter_from(const struct broker *self, const struct consumer *consumer,
                             uint64_t offset, uint64_t *out)
{
    *out = UINT64_MAX;
    for (size_t i = 0; i < self->consumers_count; i++) {
        const struct consumer *other = self->consumers[i];
        const size_t place = place_of(other, offset);
        if ((consumer == NULL || consumer == other) && place < other->dead_letters_count &&
            other->dead_letters[place] < *out) {
            *out = other->dead_letters[place];
        }
    }
    return *out != UINT64_MAX;
}

// --- what is durable

// Settles the first of count records, and how many it gives: copies of letters that stand
// together in the list go together, since each time the rest of a long list has to move.
static size_t settle(const struct own_record *own, size_t count)
{
    struct consumer *consumer = own->consumer;
    if (!own->is_copy) {
        consumer->backlog -= group_buried(consumer->group, own->of) && consumer->backlog > 0;
        consumer_list(consumer, own->offset);
        return 1;
    }
    const size_t from = place_of(consumer, own->of);
    size_t run = 1;
    while (run < count && own[run].is_copy && own[run].consumer == consumer &&
           from + run < consumer->dead_letters_count &&
           consumer->dead_letters[from + run] == own[run].of) {
        run++;
    }
    consumer_unlist(consumer, own->of, own[run - 1].of + 1);
    return run;
}

void broker_settle_found(struct broker *self, const struct event_log_entry *entry)
{
    struct dead_letter letter;
    struct own_record own = {.offset = entry->offset};
    if (dead_letter_parse(entry->record.headers, &letter) == ERR_OK) {
        own.consumer = broker_find_consumer(self, bytes_of_text(letter.group));
    }
    if (own.consumer != NULL) {
        own.is_copy = topic_begins(entry->record.topic, TOPIC_REDRIVE);
        own.of = own.is_copy ? letter.dead_letter : letter.offset;
        (void)settle(&own, 1);
    }
}

static void tell(struct broker *self, const struct own_record *own)
{
    struct event_log_entry entry;
    struct dead_letter letter;
    if (broker_read(self, self->elsewhere, own->offset, &entry) != ERR_OK ||
        dead_letter_parse(entry.record.headers, &letter) != ERR_OK) {
        return;
    }
    log_write(own->is_copy ? LOG_INFO : LOG_WARN,
              own->is_copy ? LOG_EVENT_REDRIVEN : LOG_EVENT_DEAD_LETTERED,
              LOG_FIELDS(LOG_BYTES("correlation_id", entry.record.key),
                         LOG_BYTES("event_id", entry.record.id),
                         LOG_STR("topic", letter.topic),
                         LOG_INT("offset", own->of),
                         LOG_INT("attempt", letter.attempts),
                         LOG_STR("group", letter.group),
                         LOG_STR("error", letter.error)));
}

void broker_settle_own(struct broker *self)
{
    if (self->own_count > 0) {
        crash_point(self->own[0].is_copy ? "broker-redrive-synced" : "broker-dead-letter-synced");
    }
    for (size_t i = 0; i < self->own_count;) {
        i += settle(&self->own[i], self->own_count - i);
    }
    for (size_t i = 0; i < self->own_count; i++) {
        const struct own_record *own = &self->own[i];
        *(own->is_copy ? &self->counters.redriven : &self->counters.dead_lettered) += 1;
        broker_save_soon(self);
        tell(self, own);
    }
}

// What is to die waits a while for room. One that found none alone lets all others go first: a
// smaller one may find some. A redrive keeps nobody waiting, whoever asked for it was told.
void broker_own_refused(struct broker *self)
{
    const struct own_record *own = &self->own[0];
    if (own->is_copy) {
        return;
    }
    self->bury_after_ms = broker_now_ms(self) + BROKER_RETRY_MS;
    self->bury_group = 0;
    while (self->consumers[self->bury_group] != own->consumer) {
        self->bury_group++;
    }
    self->bury_from = self->own_count == 1 ? own->of + 1 : own->of;
}

// --- writing

// Puts a record of our own into the batch, which no publish is in: the one at offset with other
// headers, on the group's topic; dying NULL: a copy that goes back. ERR_FULL: the batch holds
// enough; other errors, which were logged, concern this one alone, or the table of topics.
static enum err append_own(struct broker *self, struct consumer *consumer, uint64_t offset,
                           const struct group_entry_info *dying)
{
    const char *group = group_name(consumer->group);
    char name[RECORD_TOPIC_MAX + 1];
    struct event_log_entry entry;
    struct buf headers = {0};
    if (self->own_count == 0) {
        (void)broker_sync(self); // refused or not, what was published takes none of these along
    }
    topic_of_group(name, dying == NULL ? TOPIC_REDRIVE : TOPIC_DEAD_LETTER, group);
    const int topic = topic_add(&self->topics, bytes_of_text(name), TOPIC_SLOTS);
    enum err err =
        topic == TOPIC_NONE ? ERR_TOO_LARGE : broker_read(self, self->elsewhere, offset, &entry);
    if (err == ERR_OK) {
        struct record own = entry.record; // key, id and body stay
        if (dying == NULL) {
            dead_letter_redrive_format(offset, own.headers, &headers);
        } else {
            dead_letter_format(group, dying, &own, broker_wall_us(self), &headers);
        }
        own.topic = bytes_of_text(name);
        own.headers = buf_view(&headers);
        buf_clear(&self->entries);
        err = record_append(&self->entries, &own);
    }
    buf_release(&headers);
    if (err != ERR_OK) {
        log_error(dying == NULL ? "dead letter cannot be redriven"
                                : "dead letter cannot be written",
                  LOG_STR("group", group),
                  LOG_INT("offset", offset),
                  LOG_STR("error", err_name(err)));
        return err;
    }
    if (self->batch_bytes + self->entries.size > BROKER_BATCH_BYTES_MAX ||
        self->own_count >= self->items_max) {
        return ERR_FULL;
    }
    self->own[self->own_count++] = (struct own_record){
        .consumer = consumer,
        .of = offset,
        .offset = broker_append(self, buf_view(&self->entries), topic),
        .is_copy = dying == NULL,
    };
    consumer->redrive_topic = dying == NULL ? topic : consumer->redrive_topic;
    crash_point(dying == NULL ? "broker-redrive-appended" : "broker-dead-letter-appended");
    return ERR_OK;
}

// How many dead letters the group may have more, beside those of the batch. A list that is full
// is told of.
static size_t room_for(struct broker *self, const struct consumer *consumer)
{
    size_t count = consumer->dead_letters_count;
    for (size_t i = 0; i < self->own_count; i++) {
        count += self->own[i].consumer == consumer;
    }
    const size_t max = self->options.dead_letters_max == 0 ? BROKER_DEAD_LETTERS_MAX
                                                           : self->options.dead_letters_max;
    struct group_entry_info info;
    if (count < max) {
        return max - count;
    }
    if (broker_now_ms(self) >= self->complain_ms && group_dying_next(consumer->group, 0, &info)) {
        self->complain_ms = broker_now_ms(self) + BROKER_RETRY_MS;
        log_warn("the group has as many dead letters as it may have: events it gives up wait, and "
                 "those of their keys; redrive some",
                 LOG_STR("group", group_name(consumer->group)),
                 LOG_INT("offset", info.offset),
                 LOG_INT("dead_letters", consumer->dead_letters_count));
    }
    return 0;
}

// Writes the dead letters of a group of offsets from first up to end. false: the batch is full,
// and *first is where to go on.
static bool append_dead_letters_of(struct broker *self, struct consumer *consumer, uint64_t *first,
                                   uint64_t end)
{
    struct group_entry_info info = {0};
    size_t room = room_for(self, consumer);
    for (; room > 0 && group_dying_next(consumer->group, *first, &info) && info.offset < end;
         *first = info.offset + 1) {
        const enum err err = append_own(self, consumer, info.offset, &info);
        if (err == ERR_FULL) {
            *first = info.offset;
            return false;
        }
        if (err == ERR_OK) {
            room--;
        } else {
            self->bury_after_ms = broker_now_ms(self) + BROKER_RETRY_MS;
        }
    }
    return true;
}

// Goes round: the group that comes first is asked again at the end, for what it has before.
void broker_append_dead_letters(struct broker *self)
{
    const size_t groups = self->consumers_count;
    const uint64_t begin = self->bury_from;
    if (broker_now_ms(self) < self->bury_after_ms) {
        return;
    }
    self->bury_after_ms = 0;
    for (size_t i = 0; i < groups || (i == groups && groups > 0 && begin > 0); i++) {
        const size_t group = (self->bury_group + i) % groups;
        uint64_t first = i == 0 ? begin : 0;
        const uint64_t end = i == groups ? begin : UINT64_MAX;
        if (!append_dead_letters_of(self, self->consumers[group], &first, end)) {
            self->bury_group = group;
            self->bury_from = first;
            self->more = true;
            return;
        }
    }
    self->bury_group = 0;
    self->bury_from = 0;
}

void broker_on_redrive(struct broker *self, const struct message *message)
{
    const struct wire_control *control = message->control;
    struct consumer *consumer = broker_group_of(self, message);
    if (consumer == NULL) {
        return;
    }
    uint64_t next = control->offset;
    uint64_t letter = 0;
    for (size_t looked = 0; looked < BROKER_REDRIVES_MAX; looked++, next = letter + 1) {
        if (!broker_dead_letter_from(self, consumer, next, &letter) || letter >= control->end) {
            next = control->end;
            break;
        }
        if (append_own(self, consumer, letter, NULL) == ERR_FULL) {
            break;
        }
    }
    const size_t count = self->own_count; // nothing else was in the batch
    if (broker_sync(self) != ERR_OK) {
        const char *detail = "no room in the log; nothing was redriven";
        broker_refuse(self, message, WIRE_CODE_DISK_FULL, detail);
        return;
    }
    broker_done(self, message, next, count);
}
