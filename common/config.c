#include "common/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/mem.h"

// One setting and what it was set to.
struct config_value {
    const struct setting *setting; // borrowed from the caller's table
    char *text;                    // owned
    int64_t number;                // SETTING_INT; 0 or 1 for SETTING_BOOL
};

struct config {
    struct config_value *values; // owned, values_count of them
    size_t values_count;
};

static size_t settings_count(const struct setting *const *tables, size_t tables_count)
{
    size_t count = 0;
    for (size_t i = 0; i < tables_count; i++) {
        for (const struct setting *setting = tables[i]; setting->name != NULL; setting++) {
            count++;
        }
    }
    return count;
}

static bool int_parse(const struct setting *setting, const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    // strtoll skips leading white space; a setting has none.
    const bool is_number = (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) && *end == '\0';
    if (!is_number || errno != 0 || number < setting->min || number > setting->max) {
        return false;
    }
    *out = number;
    return true;
}

static bool bool_parse(const char *text, int64_t *out)
{
    const bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    const bool no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
    *out = yes ? 1 : 0;
    return yes || no;
}

static bool choice_is_valid(const char *choices, const char *text)
{
    const size_t size = strlen(text);
    for (const char *at = choices; at != NULL;) {
        const char *end = strchr(at, '|');
        const size_t choice_size = end == NULL ? strlen(at) : (size_t)(end - at);
        if (choice_size == size && memcmp(at, text, size) == 0) {
            return true;
        }
        at = end == NULL ? NULL : end + 1;
    }
    return false;
}

static bool value_parse(struct config_value *value)
{
    switch (value->setting->kind) {
    case SETTING_TEXT:
        return true;
    case SETTING_INT:
        return int_parse(value->setting, value->text, &value->number);
    case SETTING_BOOL:
        return bool_parse(value->text, &value->number);
    case SETTING_CHOICE:
        return choice_is_valid(value->setting->choices, value->text);
    }
    return false;
}

// What a setting may be, as the end of a sentence.
static void rule_print(struct buf *out, const struct setting *setting)
{
    switch (setting->kind) {
    case SETTING_TEXT:
        buf_put_text(out, "a text");
        break;
    case SETTING_INT:
        buf_printf(out,
                   "a whole number from %" PRId64 " to %" PRId64 "%s%s",
                   setting->min,
                   setting->max,
                   setting->unit != NULL && setting->unit[0] != '\0' ? " " : "",
                   setting->unit != NULL ? setting->unit : "");
        break;
    case SETTING_BOOL:
        buf_put_text(out, "true or false");
        break;
    case SETTING_CHOICE:
        buf_printf(out, "one of %s", setting->choices);
        break;
    }
}

static char *problem_new(const struct setting *setting, const char *text)
{
    struct buf problem = {0};
    if (text == NULL) {
        buf_printf(&problem, "%s is not set: it must be given as ", setting->name);
    } else {
        buf_printf(&problem, "%s is \"%s\": it must be ", setting->name, text);
    }
    rule_print(&problem, setting);
    buf_put_u8(&problem, '\0');
    return (char *)problem.data;
}

static enum err setting_load(struct config *self, const struct setting *setting, char **problem)
{
    for (size_t i = 0; i < self->values_count; i++) {
        assert(strcmp(self->values[i].setting->name, setting->name) != 0);
    }
    const char *text = getenv(setting->name);
    if (text == NULL || text[0] == '\0') {
        text = setting->fallback;
    }
    if (text == NULL) {
        *problem = problem_new(setting, NULL);
        return ERR_INVALID;
    }
    struct config_value *value = &self->values[self->values_count++];
    *value = (struct config_value){.setting = setting, .text = mem_strdup(text)};
    if (!value_parse(value)) {
        *problem = problem_new(setting, text);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err config_load(struct config **out, const struct setting *const *tables, size_t tables_count,
                     char **problem)
{
    *out = NULL;
    *problem = NULL;
    struct config *self = mem_calloc(1, sizeof *self);
    self->values = mem_calloc(settings_count(tables, tables_count), sizeof *self->values);
    for (size_t i = 0; i < tables_count; i++) {
        for (const struct setting *setting = tables[i]; setting->name != NULL; setting++) {
            if (setting_load(self, setting, problem) != ERR_OK) {
                config_destroy(&self);
                return ERR_INVALID;
            }
        }
    }
    *out = self;
    return ERR_OK;
}

void config_destroy(struct config **self_p)
{
    struct config *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->values_count; i++) {
        free(self->values[i].text);
    }
    free(self->values);
    free(self);
    *self_p = NULL;
}

static const struct config_value *value_find(const struct config *self, const char *name)
{
    for (size_t i = 0; i < self->values_count; i++) {
        if (strcmp(self->values[i].setting->name, name) == 0) {
            return &self->values[i];
        }
    }
    fprintf(stderr, "setting %s is in no table\n", name);
    abort();
}

const char *config_text(const struct config *self, const char *name)
{
    return value_find(self, name)->text;
}

int64_t config_int(const struct config *self, const char *name)
{
    const struct config_value *value = value_find(self, name);
    assert(value->setting->kind == SETTING_INT);
    return value->number;
}

bool config_bool(const struct config *self, const char *name)
{
    const struct config_value *value = value_find(self, name);
    assert(value->setting->kind == SETTING_BOOL);
    return value->number != 0;
}

// The columns of --help, as wide as the widest of all tables.
struct help_widths {
    int name;
    int fallback;
    int unit;
};

static const char *fallback_text(const struct setting *setting)
{
    if (setting->fallback == NULL) {
        return "(required)";
    }
    return setting->fallback[0] == '\0' ? "-" : setting->fallback;
}

static const char *unit_text(const struct setting *setting)
{
    return setting->unit == NULL ? "" : setting->unit;
}

static void width_grow(int *width, const char *text)
{
    const int size = (int)strlen(text);
    if (size > *width) {
        *width = size;
    }
}

static void setting_print_help(const struct setting *setting, const struct help_widths *widths,
                               FILE *out)
{
    fprintf(out,
            "  %-*s  %-*s  %-*s  %s",
            widths->name,
            setting->name,
            widths->fallback,
            fallback_text(setting),
            widths->unit,
            unit_text(setting),
            setting->help);
    if (setting->kind == SETTING_INT) {
        fprintf(out, " (%" PRId64 " to %" PRId64 ")", setting->min, setting->max);
    } else if (setting->kind == SETTING_CHOICE) {
        fprintf(out, " (%s)", setting->choices);
    } else if (setting->kind == SETTING_BOOL) {
        fputs(" (true|false)", out);
    }
    fputc('\n', out);
}

void config_print_help(const struct setting *const *tables, size_t tables_count, FILE *out)
{
    struct help_widths widths = {.name = 7, .fallback = 7, .unit = 4};
    for (size_t i = 0; i < tables_count; i++) {
        for (const struct setting *setting = tables[i]; setting->name != NULL; setting++) {
            width_grow(&widths.name, setting->name);
            width_grow(&widths.fallback, fallback_text(setting));
            width_grow(&widths.unit, unit_text(setting));
        }
    }
    fprintf(out,
            "  %-*s  %-*s  %-*s  %s\n",
            widths.name,
            "setting",
            widths.fallback,
            "default",
            widths.unit,
            "unit",
            "what it does");
    for (size_t i = 0; i < tables_count; i++) {
        for (const struct setting *setting = tables[i]; setting->name != NULL; setting++) {
            setting_print_help(setting, &widths, out);
        }
    }
}
