#include "cli/verify/verify_subjects.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/verify/id_table.h"
#include "common/mem.h"

enum {
    COUNT_MAX = 255
};

struct verify_subjects {
    struct id_table *ids;       // owned
    struct verify_about *about; // owned; by number
    size_t capacity;
};

struct verify_subjects *verify_subjects_new(void)
{
    struct verify_subjects *self = mem_calloc(1, sizeof *self);
    self->ids = id_table_new();
    return self;
}

void verify_subjects_destroy(struct verify_subjects **self_p)
{
    struct verify_subjects *self = *self_p;
    if (self == NULL) {
        return;
    }
    id_table_destroy(&self->ids);
    free(self->about);
    free(self);
    *self_p = NULL;
}

uint32_t verify_subjects_add(struct verify_subjects *self, struct bytes key)
{
    if (key.size == 0) {
        return ID_NONE;
    }
    const uint32_t number = id_table_add(self->ids, id_of_text(key));
    self->about = mem_grow(self->about, &self->capacity, (size_t)number + 1, sizeof *self->about);
    return number;
}

uint32_t verify_subjects_find(const struct verify_subjects *self, const char *subject)
{
    return id_table_find(self->ids, id_of_text(bytes_of_text(subject)));
}

struct verify_about *verify_subjects_about(struct verify_subjects *self, uint32_t number)
{
    assert(number < id_table_count(self->ids));
    return &self->about[number];
}

void verify_subjects_text(const struct verify_subjects *self, uint32_t number, char out[UUID_SIZE])
{
    out[0] = '\0';
    if (number != ID_NONE) {
        (void)id_to_text(id_table_at(self->ids, number), out);
    }
}

void verify_subjects_count_one(uint8_t *count)
{
    *count = (uint8_t)(*count < COUNT_MAX ? *count + 1 : COUNT_MAX);
}

// --- what the databases name

static void note_told(struct verify_about *about, const char *template, int64_t number)
{
    static const struct {
        const char *template;
        enum verify_told told;
    } templates[] = {
        {"order-received", VERIFY_TOLD_RECEIVED},
        {"order-confirmed", VERIFY_TOLD_GOOD},
        {"order-cancelled", VERIFY_TOLD_BAD},
        {"transfer-received", VERIFY_TOLD_RECEIVED},
        {"transfer-completed", VERIFY_TOLD_GOOD},
        {"transfer-cancelled", VERIFY_TOLD_BAD},
    };
    (void)number;
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        if (strcmp(templates[i].template, template) == 0) {
            verify_subjects_count_one(&about->told[templates[i].told]);
        }
    }
}

static void note_posted(struct verify_about *about, const char *kind, int64_t number)
{
    static const char *const kinds[VERIFY_POSTED_COUNT] = {"payment", "reversal", "transfer"};
    (void)number;
    for (size_t i = 0; i < VERIFY_POSTED_COUNT; i++) {
        if (strcmp(kinds[i], kind) == 0) {
            verify_subjects_count_one(&about->posted[i]);
        }
    }
}

static void note_cash(struct verify_about *about, const char *kind, int64_t amount_minor)
{
    about->posted_minor += strcmp(kind, "payment") == 0 ? amount_minor : 0;
}

// Where orders and transfers are named, in the services' own order, and what is counted of
// them there.
static const struct {
    const char *sql; // subject, time; text, number
    void (*note)(struct verify_about *about, const char *text, int64_t number);
} subject_sources[] = {
    {"SELECT order_id, NULL FROM orders", NULL},
    {"SELECT id, NULL FROM transfers", NULL},
    {"SELECT order_id, updated_at FROM reservations", NULL},
    {"SELECT order_id, updated_at FROM payments", NULL},
    {"SELECT subject, decided_at FROM decisions", NULL},
    {"SELECT subject, NULL FROM cases", NULL},
    {"SELECT subject, posted_at, kind, 0 FROM entries WHERE kind <> 'opening'", note_posted},
    {"SELECT subject, NULL, kind, amount_minor FROM lines JOIN entries ON number = entry"
     " WHERE account_id = 'cash'",
     note_cash},
    {"SELECT subject, sent_at, template, 0 FROM notifications", note_told},
};

static enum err read_source(struct verify_subjects *self, struct verify_db *db, size_t source,
                            const char *looked_at)
{
    struct verify_row *row = verify_db_query(db, subject_sources[source].sql);
    enum err err = row == NULL ? ERR_IO : ERR_OK;
    while (err == ERR_OK && (err = verify_row_next(row)) == ERR_OK) {
        const uint32_t number = verify_subjects_add(self, bytes_of_text(verify_row_text(row, 0)));
        if (number == ID_NONE) {
            continue;
        }
        const char *at = verify_row_text(row, 1);
        struct verify_about *about = &self->about[number];
        about->is_early = about->is_early || (at != NULL && strcmp(at, looked_at) < 0);
        if (subject_sources[source].note != NULL) {
            subject_sources[source].note(about, verify_row_text(row, 2), verify_row_int(row, 3));
        }
    }
    verify_row_done(&row);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err verify_subjects_read(struct verify_subjects *self, struct verify_db *db,
                              const char *looked_at)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(subject_sources) && err == ERR_OK; i++) {
        err = read_source(self, db, i, looked_at);
    }
    return err;
}

static void bind_about(struct verify_row *row, const struct verify_about *about)
{
    const int64_t numbers[] = {about->said,
                               about->before,
                               about->sent,
                               about->sent_before,
                               about->given_up,
                               about->posted[VERIFY_POSTED_PAYMENT],
                               about->posted_minor,
                               about->posted[VERIFY_POSTED_REVERSAL],
                               about->posted[VERIFY_POSTED_TRANSFER],
                               about->told[VERIFY_TOLD_RECEIVED],
                               about->told[VERIFY_TOLD_GOOD],
                               about->told[VERIFY_TOLD_BAD],
                               about->is_early};
    for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
        verify_row_bind_int(row, numbers[k]);
    }
    verify_row_bind_int(row, about->amount.amount_minor);
    verify_row_bind_text(row, text_or_null(about->amount.currency));
    for (size_t k = 0; k < VERIFY_SERVICES; k++) {
        verify_row_bind_int(row, about->heard[k]);
    }
}

enum err verify_subjects_each(const struct verify_subjects *self, struct verify_row *row)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < id_table_count(self->ids) && err == ERR_OK; i++) {
        char subject[UUID_SIZE];
        if (!id_to_text(id_table_at(self->ids, i), subject)) {
            continue; // the key of somebody else's event
        }
        verify_row_bind_text(row, subject);
        bind_about(row, &self->about[i]);
        err = verify_row_next(row);
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    return err;
}
