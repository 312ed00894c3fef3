// Opening the log: its folder, its lock, and the check of all that is in it.
//
//    | header | batch | batch | ... | batch | zeros                 clean
//    | header | batch | batch | ... | batch | rubbish | zeros       torn: cut off
//    | header | batch | rubbish | batch | ...                       damaged: refused
//
// Only the last batch of the last segment can be torn: each is synced before the
// next one is written, and a segment before the next one is made. So a good batch
// behind a bad place, and any bad place in an earlier segment, is damage.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/event_log_private.h"
#include "common/crash_point.h"
#include "common/mem.h"

static const uint64_t segment_bytes_default = 64 * 1024 * 1024;

// A segment under recovery.
struct recovery {
    struct event_log *log;
    struct segment *segment; // the log's last one so far
    struct batch_reader reader;
    bool has_header;
    bool has_later_batch; // a good one behind a bad place
    uint64_t rubbish_end; // behind the last byte after tail that is not zero; 0: only zeros
    uint64_t last_at;     // where the last good batch begins; 0: the header, there is none
    const char *refusal;  // borrowed; why the caller does not take the next; NULL: it was not asked
    const struct event_log_options *options;
    struct event_log_recovery *found;
};

static enum err problem(struct event_log_recovery *found, const struct disk_file *file,
                        const char *action)
{
    return disk_file_problem(file, action, found->problem, sizeof found->problem);
}

static enum err damage(const struct recovery *self, uint64_t at, const char *what)
{
    static const char sentence[] =
        "%s is damaged at byte %" PRIu64 ": %s. Nothing was changed. Restore it from a copy, or "
        "move this file and all later ones away, which gives up the events from offset %" PRIu64
        " on";
    const char *path = self->segment->file.path;
    const uint64_t next = self->segment->next;
    char *problem = self->found->problem;
    (void)snprintf(problem, sizeof self->found->problem, sentence, path, at, what, next);
    return ERR_CORRUPT;
}

// What lies at tail is whole.
static enum err refuse(const struct recovery *self)
{
    static const char sentence[] =
        "%s is not damaged, but cannot be used from byte %" PRIu64 " on: %s. Nothing was changed";
    (void)snprintf(self->found->problem,
                   sizeof self->found->problem,
                   sentence,
                   self->segment->file.path,
                   self->segment->tail,
                   self->refusal);
    return ERR_CORRUPT;
}

static bool file_open(struct recovery *self)
{
    struct segment *segment = self->segment;
    const struct disk *disk = segment->file.disk;
    const int64_t size =
        disk_file_open(&segment->file, O_RDWR) ? disk->size(disk->context, segment->file.fd) : -1;
    segment->file_bytes = size < 0 ? 0 : (uint64_t)size;
    self->reader.file = segment->file;
    self->reader.end = segment->file_bytes;
    return size >= 0;
}

// Shows the caller the records of a batch. false: it holds what is none, or the caller refuses.
static bool records_show(struct recovery *self, const struct batch *batch)
{
    const struct event_log_options *options = self->options;
    struct bytes rest = batch->records;
    struct record record;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!record_split(&rest, &record)) {
            return false;
        }
        if (options->found != NULL) {
            self->refusal = options->found(
                options->found_context, self->segment->base, batch->base + i, &record);
        }
        if (self->refusal != NULL) {
            return false;
        }
    }
    return true;
}

// Takes the header and the good batches, as far as they go. false: errno tells why not.
static bool batches_take(struct recovery *self)
{
    struct segment *segment = self->segment;
    struct bytes header;
    if (!batch_reader_bytes(&self->reader, 0, SEGMENT_HEADER_SIZE, &header)) {
        return false;
    }
    self->has_header = segment_header_take(segment, header);
    self->reader.mark = segment->mark;
    struct batch batch;
    enum err err = ERR_CORRUPT;
    while (self->has_header &&
           (err = batch_reader_read(&self->reader, segment->tail, &batch)) == ERR_OK &&
           batch.base == segment->next && records_show(self, &batch)) {
        self->last_at = segment->tail;
        self->found->records += batch.count;
        event_log_note(self->log, &batch);
        crash_point("broker-recovery-scan");
    }
    return err != ERR_IO;
}

// Looks through what lies behind them. false: errno tells why not.
static bool rest_read(struct recovery *self)
{
    const uint32_t mark = self->reader.mark;
    for (uint64_t at = self->segment->tail; at < self->reader.end && !self->has_later_batch; at++) {
        struct bytes bytes;
        if (!batch_reader_bytes(&self->reader, at, sizeof mark, &bytes)) {
            return false;
        }
        self->rubbish_end = bytes.size > 0 && bytes.data[0] != 0 ? at + 1 : self->rubbish_end;
        struct batch batch;
        const bool is_marked = bytes.size == sizeof mark && load_u32(bytes.data) == mark;
        const enum err err = is_marked ? batch_reader_read(&self->reader, at, &batch) : ERR_CORRUPT;
        if (err == ERR_IO) {
            return false;
        }
        self->has_later_batch = err == ERR_OK && batch.base >= self->segment->next;
    }
    return true;
}

static enum err judge(const struct recovery *self, bool is_last)
{
    const bool has_rubbish = self->rubbish_end != 0;
    if (self->refusal != NULL) {
        return refuse(self);
    }
    // A header is synced before the first batch is written, so a bad one with
    // something behind it was good once.
    if (!self->has_header && (!is_last || has_rubbish)) {
        return damage(self, 0, "no header of a segment (format 1) that begins here");
    }
    if (self->has_later_batch || (has_rubbish && !is_last)) {
        return damage(self, self->segment->tail, "no whole batch is here, but more follows");
    }
    if (is_last && self->segment->next < self->log->known_end) {
        return damage(self, self->segment->tail, "no whole batch is here, but there was one");
    }
    if (has_rubbish) {
        self->found->torn_bytes = self->rubbish_end - self->segment->tail;
        self->found->torn_at = self->segment->next;
    }
    return ERR_OK;
}

// Makes sure that what we read is what the disk holds. A process that died of a
// failed sync may have left its last change in the page cache, marked clean: a sync
// alone would do nothing. So the same bytes, of the last batch or the header, are
// written once more, and the file is cut once more, torn or not. No room for that (a
// file system that never overwrites) must not keep readers from a full disk.
static bool settle(struct recovery *self)
{
    struct segment *segment = self->segment;
    const struct disk_file *file = &segment->file;
    if (!self->has_header) { // its making was cut short: the first batch makes it anew
        disk_file_close(&segment->file);
        segment->file_bytes = 0;
        return true;
    }
    struct bytes last;
    const size_t size = (size_t)(segment->tail - self->last_at);
    segment->file_bytes = segment->tail;
    return batch_reader_bytes(&self->reader, self->last_at, size, &last) &&
           disk_file_truncate(file, segment->tail) &&
           (disk_file_write(file, last.data, last.size, self->last_at) || disk_is_full(errno)) &&
           disk_file_datasync(file);
}

// Opens the segment from base on, behind those that are open already.
static enum err segment_recover(struct event_log *log, const struct event_log_options *options,
                                uint64_t base, bool is_last, struct event_log_recovery *found)
{
    const bool is_next = log->segments_count == 0 || event_log_next(log) == base;
    struct recovery self = {.log = log,
                            .segment = event_log_segment_add(log, base),
                            .options = options,
                            .found = found};
    enum err err = ERR_OK;
    if (!is_next) {
        err = damage(&self, 0, "it is not where the file before it ends: one is missing or cut");
    } else if (!file_open(&self) || !batches_take(&self) || !rest_read(&self)) {
        err = problem(found, &self.segment->file, "open and read");
    } else {
        err = judge(&self, is_last);
    }
    if (err == ERR_OK && is_last && !settle(&self)) {
        err = problem(found, &self.segment->file, "cut or write again");
    }
    if (found->torn_bytes > 0) {
        crash_point("broker-recovery-cut");
    }
    if (!is_last) {
        disk_file_close(&self.segment->file);
    }
    free(self.reader.data);
    return err;
}

static int compare_bases(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Makes numbers of the names of segments, ascending, and gives their count.
static size_t bases_take(struct bytes names, uint64_t *bases)
{
    size_t count = 0;
    size_t next = 0;
    while (next < names.size) {
        const char *name = (const char *)names.data + next;
        next += strlen(name) + 1;
        if (strspn(name, "0123456789") == 20 && strcmp(name + 20, ".log") == 0 &&
            strcmp(name, "09223372036854775807.log") <= 0) { // no log reaches more: sums never wrap
            bases[count++] = strtoull(name, NULL, 10);
        }
    }
    qsort(bases, count, sizeof *bases, compare_bases);
    return count;
}

static enum err segments_recover(struct event_log *self, const struct event_log_options *options,
                                 struct event_log_recovery *found)
{
    const struct disk *disk = self->directory.disk;
    struct buf names = {0};
    enum err err = ERR_OK;
    if (disk->list(disk->context, self->directory.path, &names) != 0) {
        err = problem(found, &self->directory, "list");
    }
    uint64_t *bases = mem_alloc(names.size * sizeof *bases); // more than enough
    const size_t count = bases_take(buf_view(&names), bases);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        err = segment_recover(self, options, bases[i], i + 1 == count, found);
    }
    if (err == ERR_OK && count == 0) {
        (void)event_log_segment_add(self, 0);
    }
    free(bases);
    buf_release(&names);
    return err;
}

static enum err folder_open(struct event_log *self, struct event_log_recovery *found)
{
    struct disk_file *folder = &self->directory;
    // Synced, since a process that died may have made the newest file just before.
    const struct disk *disk = folder->disk;
    if (disk->mkdir(disk->context, folder->path) != 0 ||
        !disk_file_open(folder, O_RDONLY | O_DIRECTORY) || !disk_file_sync(folder)) {
        return problem(found, folder, "make, open or sync the folder");
    }
    if (disk_file_open(&self->lock, O_RDWR | O_CREAT) &&
        disk->lock(disk->context, self->lock.fd) == 0) {
        return ERR_OK;
    }
    if (errno != EWOULDBLOCK) {
        return problem(found, &self->lock, "open and lock");
    }
    static const char sentence[] = "another process, most likely a broker, has %s open; stop it, "
                                   "or give this one a folder of its own";
    (void)snprintf(found->problem, sizeof found->problem, sentence, folder->path);
    return ERR_CONFLICT;
}

enum err event_log_open(struct event_log **out, const struct event_log_options *options,
                        struct event_log_recovery *recovery)
{
    assert(out != NULL && options != NULL && options->directory != NULL && recovery != NULL);
    *recovery = (struct event_log_recovery){0};
    const uint64_t segment_bytes = options->segment_bytes;
    struct event_log *self = mem_calloc(1, sizeof *self);
    *self = (struct event_log){
        .directory = {.disk = options->disk, .path = mem_strdup(options->directory), .fd = -1},
        .lock = {.disk = options->disk,
                 .path = mem_format("%s/lock", options->directory),
                 .fd = -1},
        .segment_bytes = segment_bytes == 0 ? segment_bytes_default : segment_bytes,
        .disk_bytes_max = options->disk_bytes_max == 0 ? UINT64_MAX : options->disk_bytes_max,
        .reserve_bytes = options->disk_bytes_max == 0 ? 0 : options->reserve_bytes,
        .known_end = options->known_end,
    };
    enum err err = folder_open(self, recovery);
    if (err == ERR_OK) {
        err = segments_recover(self, options, recovery);
    }
    if (err != ERR_OK) {
        event_log_destroy(&self);
    }
    *out = self;
    return err;
}
