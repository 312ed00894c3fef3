#include "cli/verify/verify_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/uuid.h"

enum {
    TEXT_MAX = 32
};

struct answer {
    char id[UUID_SIZE]; // empty: the client never learned it
    bool is_transfer;
    char mode[TEXT_MAX];
    char status[TEXT_MAX]; // "202", "timeout"
    char at[TEXT_MAX];
};

struct verify_record {
    struct answer *answers; // owned
    size_t count;
    size_t capacity;
};

void verify_record_destroy(struct verify_record **self_p)
{
    struct verify_record *self = *self_p;
    if (self != NULL) {
        free(self->answers);
        free(self);
        *self_p = NULL;
    }
}

static void copy_text(const cJSON *json, const char *name, char *out, size_t size)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (cJSON_IsString(item)) {
        snprintf(out, size, "%s", item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        snprintf(out, size, "%d", item->valueint);
    }
}

// False: the line is no answer.
static bool add_line(struct verify_record *self, const char *line, size_t size)
{
    cJSON *json = cJSON_ParseWithLength(line, size);
    struct answer answer = {.mode = "async"};
    answer.is_transfer = cJSON_HasObjectItem(json, "transfer_id");
    copy_text(json, answer.is_transfer ? "transfer_id" : "order_id", answer.id, sizeof answer.id);
    copy_text(json, "mode", answer.mode, sizeof answer.mode);
    copy_text(json, "status", answer.status, sizeof answer.status);
    copy_text(json, "at", answer.at, sizeof answer.at);
    cJSON_Delete(json);
    if (answer.status[0] == '\0' || (answer.id[0] != '\0' && !uuid_is_valid(answer.id))) {
        return false;
    }
    self->answers =
        mem_grow(self->answers, &self->capacity, self->count + 1, sizeof *self->answers);
    self->answers[self->count++] = answer;
    return true;
}

static enum err read_lines(struct verify_record *self, FILE *file, const char *path, char **problem)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    size_t number = 0;
    size_t torn = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && (size = getline(&line, &capacity, file)) > 0) {
        number++;
        // A load was killed while it wrote this one; another may have gone on behind it.
        const bool is_torn = line[0] == '{' && strstr(line, "}") == NULL;
        torn += is_torn ? 1 : 0;
        if (!is_torn && !add_line(self, line, (size_t)size)) {
            *problem =
                mem_format("line %zu of %s is no answer as load --record writes it", number, path);
            err = ERR_INVALID;
        }
    }
    if (err == ERR_OK && torn > 0 && torn == number) {
        *problem = mem_format("%s has no whole answer as load --record writes it", path);
        err = ERR_INVALID;
    }
    if (err == ERR_OK && ferror(file)) {
        *problem = mem_format("cannot read %s: %s", path, strerror(errno));
        err = ERR_IO;
    }
    free(line);
    return err;
}

static enum err read_file(struct verify_record *self, const char *path, char **problem)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        *problem = mem_format("cannot read %s: %s", path, strerror(errno));
        return ERR_NOT_FOUND;
    }
    const enum err err = read_lines(self, file, path, problem);
    fclose(file);
    return err;
}

enum err verify_record_read(struct verify_record **out, const char *const *paths, size_t count,
                            char **problem)
{
    struct verify_record *self = mem_calloc(1, sizeof *self);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = read_file(self, paths[i], problem);
    }
    if (err != ERR_OK) {
        verify_record_destroy(&self);
    }
    *out = self;
    return err;
}

enum err verify_record_store(const struct verify_record *self, struct verify_db *db)
{
    enum err err = verify_db_run(
        db, "CREATE TABLE accepted (id TEXT, kind TEXT, mode TEXT, status TEXT, at TEXT)");
    struct verify_row *row =
        err == ERR_OK ? verify_db_query(db, "INSERT INTO accepted VALUES (?, ?, ?, ?, ?)") : NULL;
    if (row == NULL) {
        return ERR_IO;
    }
    for (size_t i = 0; i < self->count && err == ERR_OK; i++) {
        const struct answer *answer = &self->answers[i];
        verify_row_bind_text(row, answer->id[0] == '\0' ? NULL : answer->id);
        verify_row_bind_text(row, answer->is_transfer ? "transfer" : "order");
        verify_row_bind_text(row, answer->mode);
        verify_row_bind_text(row, answer->status);
        verify_row_bind_text(row, answer->at);
        err = verify_row_next(row);
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    verify_row_done(&row);
    return err;
}
