#include "common/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

// The columns of --help, wide enough for all settings that there are.
#define HELP_FORMAT "  %-21s  %-28s  %-8s  %s"

// One setting and what it was set to.
struct config_value {
    const struct setting *setting; // borrowed from the caller's table
    char *text;                    // owned
    int64_t number;                // SETTING_INT
};

struct config {
    struct config_value *values; // owned, values_count of them
    size_t values_count;
};

static const char *unit_text(const struct setting *setting)
{
    return setting->unit == NULL ? "" : setting->unit;
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

static bool choice_is_valid(const char *choices, const char *text)
{
    const size_t size = strlen(text);
    const char *at = choices;
    while (at != NULL && (strcspn(at, "|") != size || memcmp(at, text, size) != 0)) {
        at = strchr(at, '|');
        at = at == NULL ? NULL : at + 1;
    }
    return at != NULL;
}

static bool url_is_valid(const char *text)
{
    static const char scheme[] = "http://";
    return strncmp(text, scheme, strlen(scheme)) == 0 && text[strlen(scheme)] != '\0' &&
           strpbrk(text, " \t\r\n?#") == NULL;
}

static bool is_valid(const struct setting *setting, const char *text, int64_t *number)
{
    switch (setting->kind) {
    case SETTING_INT:
        return int_parse(setting, text, number);
    case SETTING_CHOICE:
        return choice_is_valid(setting->choices, text);
    case SETTING_URL:
        return url_is_valid(text);
    default:
        return true;
    }
}

static char *problem_new(const struct setting *setting, const char *text)
{
    if (setting->kind == SETTING_CHOICE) {
        return mem_format(
            "%s is \"%s\": it must be one of %s", setting->name, text, setting->choices);
    }
    if (setting->kind == SETTING_URL) {
        return mem_format(
            "%s is \"%s\": it must be http://host or http://host:port", setting->name, text);
    }
    return mem_format("%s is \"%s\": it must be a whole number from %" PRId64 " to %" PRId64 "%s%s",
                      setting->name,
                      text,
                      setting->min,
                      setting->max,
                      unit_text(setting)[0] != '\0' ? " " : "",
                      unit_text(setting));
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
    self->values = mem_realloc(self->values, (self->values_count + 1) * sizeof *self->values);
    struct config_value *value = &self->values[self->values_count++];
    *value = (struct config_value){.setting = setting, .text = mem_strdup(text)};
    if (!is_valid(setting, text, &value->number)) {
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

static void setting_print_help(const struct setting *setting, FILE *out)
{
    const char *fallback = setting->fallback[0] == '\0' ? "-" : setting->fallback;
    fprintf(out, HELP_FORMAT, setting->name, fallback, unit_text(setting), setting->help);
    if (setting->kind == SETTING_INT) {
        fprintf(out, " (%" PRId64 " to %" PRId64 ")", setting->min, setting->max);
    } else if (setting->kind == SETTING_CHOICE) {
        fprintf(out, " (%s)", setting->choices);
    }
    fputc('\n', out);
}

void config_print_help(const struct setting *const *tables, size_t tables_count, FILE *out)
{
    fprintf(out, HELP_FORMAT "\n", "setting", "default", "unit", "what it does");
    for (size_t i = 0; i < tables_count; i++) {
        for (const struct setting *setting = tables[i]; setting->name != NULL; setting++) {
            setting_print_help(setting, out);
        }
    }
}
