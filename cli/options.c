#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

// One option that was given.
struct given {
    const struct option_def *def; // borrowed
    const char *value;            // borrowed; NULL for a flag
};

struct options {
    const struct option_def *const *tables; // borrowed
    size_t tables_count;
    struct given *given; // owned
    size_t given_count;
    const char **arguments; // owned array of borrowed texts
    size_t arguments_count;
};

static const struct option_def *find_name(const struct options *self, const char *name, size_t size)
{
    for (size_t i = 0; i < self->tables_count; i++) {
        for (const struct option_def *def = self->tables[i]; def->name != NULL; def++) {
            if (strlen(def->name) == size && memcmp(def->name, name, size) == 0) {
                return def;
            }
        }
    }
    return NULL;
}

static const struct option_def *find_letter(const struct options *self, char letter)
{
    for (size_t i = 0; i < self->tables_count; i++) {
        for (const struct option_def *def = self->tables[i]; def->name != NULL; def++) {
            if (def->letter != 0 && def->letter == letter) {
                return def;
            }
        }
    }
    return NULL;
}

static bool choice_is_allowed(const char *choices, const char *value)
{
    const size_t size = strlen(value);
    for (const char *at = choices; *at != '\0';) {
        const size_t choice_size = strcspn(at, "|");
        if (choice_size == size && memcmp(at, value, size) == 0) {
            return true;
        }
        at += choice_size + (at[choice_size] == '|' ? 1 : 0);
    }
    return false;
}

static bool int_is_allowed(const struct option_def *def, const char *value)
{
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    return errno == 0 && end != value && *end == '\0' && number >= def->min && number <= def->max;
}

static enum err add_given(struct options *self, const struct option_def *def, const char *value,
                          char **problem)
{
    if (def->kind != OPTION_FLAG && value[0] == '\0') {
        *problem = mem_format("--%s needs a value that is not empty", def->name);
        return ERR_INVALID;
    }
    if (def->kind == OPTION_INT && !int_is_allowed(def, value)) {
        *problem = mem_format("--%s must be a whole number from %lld to %lld, not '%s'",
                              def->name,
                              (long long)def->min,
                              (long long)def->max,
                              value);
        return ERR_INVALID;
    }
    if (def->kind == OPTION_CHOICE && !choice_is_allowed(def->choices, value)) {
        *problem = mem_format("--%s must be one of %s, not '%s'", def->name, def->choices, value);
        return ERR_INVALID;
    }
    self->given[self->given_count++] = (struct given){.def = def, .value = value};
    return ERR_OK;
}

// The arguments not read yet.
struct input {
    int argc;
    char *const *argv;
    int next;
};

static enum err take_long(struct options *self, struct input *input, const char *text,
                          char **problem)
{
    const size_t name_size = strcspn(text, "=");
    const struct option_def *def = find_name(self, text, name_size);
    if (def == NULL) {
        *problem = mem_format("there is no option --%.*s", (int)name_size, text);
        return ERR_INVALID;
    }
    const char *value = text[name_size] == '=' ? text + name_size + 1 : NULL;
    if (def->kind == OPTION_FLAG) {
        if (value != NULL) {
            *problem = mem_format("--%s takes no value", def->name);
            return ERR_INVALID;
        }
        return add_given(self, def, NULL, problem);
    }
    if (value == NULL && input->next < input->argc) {
        value = input->argv[input->next++];
    }
    if (value == NULL) {
        *problem = mem_format("--%s needs a value: --%s %s", def->name, def->name, def->value);
        return ERR_INVALID;
    }
    return add_given(self, def, value, problem);
}

static enum err take_letters(struct options *self, struct input *input, const char *letters,
                             char **problem)
{
    for (const char *at = letters; *at != '\0'; at++) {
        const struct option_def *def = find_letter(self, *at);
        if (def == NULL) {
            *problem = mem_format("there is no option -%c", *at);
            return ERR_INVALID;
        }
        if (def->kind == OPTION_FLAG) {
            const enum err err = add_given(self, def, NULL, problem);
            if (err != ERR_OK) {
                return err;
            }
            continue;
        }
        const char *value = at[1] != '\0' ? at + 1 : NULL;
        if (value == NULL && input->next < input->argc) {
            value = input->argv[input->next++];
        }
        if (value == NULL) {
            *problem = mem_format("-%c needs a value: -%c %s", *at, *at, def->value);
            return ERR_INVALID;
        }
        return add_given(self, def, value, problem);
    }
    return ERR_OK;
}

static enum err take_all(struct options *self, struct input *input, char **problem)
{
    bool only_arguments = false;
    while (input->next < input->argc) {
        const char *text = input->argv[input->next++];
        if (only_arguments || text[0] != '-' || text[1] == '\0') {
            self->arguments[self->arguments_count++] = text;
        } else if (strcmp(text, "--") == 0) {
            only_arguments = true;
        } else {
            const enum err err = text[1] == '-' ? take_long(self, input, text + 2, problem)
                                                : take_letters(self, input, text + 1, problem);
            if (err != ERR_OK) {
                return err;
            }
        }
    }
    return ERR_OK;
}

static bool asks_for_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return true;
        }
    }
    return false;
}

static size_t letters_count(int argc, char *const *argv)
{
    size_t count = 0;
    for (int i = 0; i < argc; i++) {
        count += strlen(argv[i]) + 1;
    }
    return count;
}

enum err options_parse(struct options **out, const struct option_def *const *tables,
                       size_t tables_count, int argc, char *const *argv, char **problem)
{
    assert(out != NULL && problem != NULL);
    *out = NULL;
    *problem = NULL;
    struct options *self = mem_calloc(1, sizeof *self);
    // Joined letters make more options than there are texts, never more than letters.
    *self = (struct options){
        .tables = tables,
        .tables_count = tables_count,
        .given = mem_calloc(letters_count(argc, argv), sizeof *self->given),
        .arguments = mem_calloc((size_t)argc, sizeof *self->arguments),
    };

    enum err err = ERR_OK;
    const struct option_def *help = find_name(self, "help", strlen("help"));
    if (help != NULL && asks_for_help(argc, argv)) {
        err = add_given(self, help, NULL, problem);
    } else {
        struct input input = {.argc = argc, .argv = argv};
        err = take_all(self, &input, problem);
    }
    if (err != ERR_OK) {
        goto out;
    }
    *out = self;
    self = NULL; // handed to the caller

out:
    options_destroy(&self);
    return err;
}

void options_destroy(struct options **self_p)
{
    struct options *self = *self_p;
    if (self == NULL) {
        return;
    }
    free(self->arguments);
    free(self->given);
    free(self);
    *self_p = NULL;
}

// The last one given counts, so that a script can append its own.
static const struct given *find_given(const struct options *self, const char *name)
{
    for (size_t i = self->given_count; i > 0; i--) {
        if (strcmp(self->given[i - 1].def->name, name) == 0) {
            return &self->given[i - 1];
        }
    }
    return NULL;
}

static const struct option_def *must_find(const struct options *self, const char *name)
{
    const struct option_def *def = find_name(self, name, strlen(name));
    assert(def != NULL);
    return def;
}

bool options_is_given(const struct options *self, const char *name)
{
    must_find(self, name);
    return find_given(self, name) != NULL;
}

bool options_flag(const struct options *self, const char *name)
{
    assert(must_find(self, name)->kind == OPTION_FLAG);
    return find_given(self, name) != NULL;
}

const char *options_text(const struct options *self, const char *name)
{
    const struct option_def *def = must_find(self, name);
    const struct given *given = find_given(self, name);
    return given != NULL ? given->value : def->fallback;
}

int64_t options_int(const struct options *self, const char *name)
{
    assert(must_find(self, name)->kind == OPTION_INT);
    const char *text = options_text(self, name);
    return text == NULL ? 0 : (int64_t)strtoll(text, NULL, 10);
}

size_t options_list_count(const struct options *self, const char *name)
{
    assert(must_find(self, name)->kind == OPTION_LIST);
    size_t count = 0;
    for (size_t i = 0; i < self->given_count; i++) {
        count += strcmp(self->given[i].def->name, name) == 0 ? 1 : 0;
    }
    return count;
}

const char *options_list(const struct options *self, const char *name, size_t index)
{
    for (size_t i = 0; i < self->given_count; i++) {
        if (strcmp(self->given[i].def->name, name) == 0 && index-- == 0) {
            return self->given[i].value;
        }
    }
    return NULL;
}

size_t options_arguments_count(const struct options *self)
{
    return self->arguments_count;
}

const char *options_argument(const struct options *self, size_t index)
{
    return index < self->arguments_count ? self->arguments[index] : NULL;
}

static char *help_left_side(const struct option_def *def)
{
    char letter[5] = "    ";
    if (def->letter != 0) {
        memcpy(letter, (const char[]){'-', def->letter, ',', ' '}, 4);
    }
    if (def->kind == OPTION_FLAG) {
        return mem_format("%s--%s", letter, def->name);
    }
    const char *value = def->kind == OPTION_CHOICE ? def->choices : def->value;
    return mem_format("%s--%s %s", letter, def->name, value);
}

void options_print_help(const struct option_def *table, FILE *out)
{
    size_t width = 0;
    for (const struct option_def *def = table; def->name != NULL; def++) {
        char *left = help_left_side(def);
        width = strlen(left) > width ? strlen(left) : width;
        free(left);
    }
    for (const struct option_def *def = table; def->name != NULL; def++) {
        char *left = help_left_side(def);
        fprintf(out, "  %-*s  %s", (int)width, left, def->help);
        if (def->fallback != NULL) {
            fprintf(out, " (default %s)", def->fallback);
        }
        fputs(def->kind == OPTION_LIST ? "; may be given several times\n" : "\n", out);
        free(left);
    }
}
