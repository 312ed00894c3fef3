#include "cli/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/term.h"
#include "common/json.h"
#include "common/mem.h"

const struct option_def command_common_options[] = {
    {.name = "dir",
     .kind = OPTION_TEXT,
     .value = "FOLDER",
     .help = "the state folder: data, logs and stack.json (FAULTLINE_DIR, default .faultline)"},
    {.name = "json", .kind = OPTION_FLAG, .help = "write JSON for programs"},
    {.name = "help", .kind = OPTION_FLAG, .help = "show this help"},
    {0},
};

static const struct {
    enum command_topic topic;
    const char *title;
} topics[] = {
    {COMMAND_STACK, "The stack"},
    {COMMAND_WORK, "Work for it"},
    {COMMAND_LOOK, "What happened"},
};

void cli_problem(const char *format, ...)
{
    fflush(stdout);
    fputs("faultline: ", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

enum cli_exit cli_cannot(char *problem)
{
    cli_problem("%s", problem == NULL ? "something went wrong" : problem);
    free(problem);
    return CLI_UNKNOWN;
}

const char *cli_name(void)
{
    const char *name = getenv("FAULTLINE_COMMAND");
    return name == NULL || name[0] == '\0' ? "faultline" : name;
}

void cli_print_json(cJSON **json_p)
{
    char *text = json_to_text(*json_p);
    puts(text);
    free(text);
    cJSON_Delete(*json_p);
    *json_p = NULL;
}

const char *cli_dir(const struct options *options)
{
    const char *given = options_text(options, "dir");
    if (given != NULL) {
        return given;
    }
    const char *environment = getenv("FAULTLINE_DIR");
    return environment == NULL || environment[0] == '\0' ? ".faultline" : environment;
}

static void print_overview(const struct command *const *commands, size_t count, FILE *out)
{
    const bool colours = term_has_colours(out);
    fputs("faultline - a shop and a bank that you can break on purpose\n\n", out);
    fprintf(out, "Usage: %s COMMAND [OPTION...] [ARGUMENT...]\n", cli_name());
    size_t width = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(commands[i]->name) + 1 + strlen(commands[i]->arguments);
        width = size > width ? size : width;
    }
    for (size_t t = 0; t < ARRAY_LEN(topics); t++) {
        fprintf(out,
                "\n%s%s%s\n",
                term_start(COLOUR_BOLD, colours),
                topics[t].title,
                term_end(COLOUR_BOLD, colours));
        for (size_t i = 0; i < count; i++) {
            if (commands[i]->topic == topics[t].topic) {
                char *left = mem_format("%s %s", commands[i]->name, commands[i]->arguments);
                fprintf(out, "  %-*s  %s\n", (int)width, left, commands[i]->summary);
                free(left);
            }
        }
    }
    fprintf(out, "\n%s COMMAND --help says more. Start with: %s up\n", cli_name(), cli_name());
}

static void print_command_help(const struct command *command, FILE *out)
{
    fprintf(out, "%s\n\n", command->summary);
    fprintf(out,
            "Usage: %s %s [OPTION...]%s%s\n\n",
            cli_name(),
            command->name,
            command->arguments[0] == '\0' ? "" : " ",
            command->arguments);
    if (command->details != NULL) {
        fprintf(out, "%s\n", command->details);
    }
    if (command->options != NULL) {
        fputs("Options\n", out);
        options_print_help(command->options, out);
        fputc('\n', out);
    }
    fputs("Options of every command\n", out);
    options_print_help(command_common_options, out);
    fputs("\nExit code: 0 done or yes, 1 not done or no, 2 wrong usage or nobody could tell.\n",
          out);
}

static enum cli_exit run_command(const struct command *command, int argc, char *const *argv)
{
    const struct option_def *const tables[] = {command_common_options, command->options};
    const size_t tables_count = command->options == NULL ? 1 : 2;
    struct options *options = NULL;
    char *problem = NULL;
    enum cli_exit result = CLI_UNKNOWN;

    if (options_parse(&options, tables, tables_count, argc, argv, &problem) != ERR_OK) {
        cli_problem("%s. See: %s %s --help", problem, cli_name(), command->name);
        goto out;
    }
    if (options_flag(options, "help")) {
        print_command_help(command, stdout);
        result = CLI_YES;
        goto out;
    }
    const size_t arguments = options_arguments_count(options);
    if (arguments < command->arguments_min || arguments > command->arguments_max) {
        cli_problem("it is used like this: %s %s %s  (more: %s %s --help)",
                    cli_name(),
                    command->name,
                    command->arguments[0] == '\0' ? "[OPTION...]" : command->arguments,
                    cli_name(),
                    command->name);
        goto out;
    }
    result = command->run(options);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cli_problem("cannot write all of the output: %s", strerror(errno));
        result = CLI_UNKNOWN;
    }

out:
    free(problem);
    options_destroy(&options);
    return result;
}

int command_main(const struct command *const *commands, size_t count, int argc, char **argv)
{
    if (argc < 2) {
        print_overview(commands, count, stderr);
        return CLI_UNKNOWN;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0 || strcmp(name, "-h") == 0) {
        print_overview(commands, count, stdout);
        return CLI_YES;
    }
    if (strcmp(name, "--version") == 0) {
        puts("faultline " FAULTLINE_VERSION);
        return CLI_YES;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return (int)run_command(commands[i], argc - 2, argv + 2);
        }
    }
    cli_problem("there is no command '%s'. See: %s --help", name, cli_name());
    return CLI_UNKNOWN;
}
