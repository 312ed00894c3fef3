// command - what every command of `faultline` is: a name, options, help, a function.
//
// A command writes its answer to standard output: a table or sentences for people,
// with --json one JSON value for programs. What went wrong goes to standard error.
#ifndef FAULTLINE_CLI_COMMAND_H
#define FAULTLINE_CLI_COMMAND_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "cli/options.h"

// The exit codes of every command.
enum cli_exit {
    CLI_YES = 0,     // done, or the answer is yes
    CLI_NO = 1,      // it could not be done, or the answer is no
    CLI_UNKNOWN = 2, // wrong usage, or nobody there who could tell
};

enum command_topic {
    COMMAND_STACK, // starts, stops and harms processes
    COMMAND_WORK,  // gives the services something to do
    COMMAND_LOOK,  // shows what happened
};

struct command {
    const char *name;
    enum command_topic topic;
    const char *arguments;            // for the usage line: "SERVICE..."; "" for none
    const char *summary;              // one line for the overview
    const char *details;              // what else --help says, lines with their ends; or NULL
    const struct option_def *options; // its own, ended by one without a name; or NULL
    size_t arguments_min, arguments_max;
    enum cli_exit (*run)(const struct options *options);
};

// The options that every command has: --dir, --json, --help.
extern const struct option_def command_common_options[];

// command_main runs the command that argv names, of the table's count commands,
// and returns the exit code.
int command_main(const struct command *const *commands, size_t count, int argc, char **argv);

// cli_problem writes a sentence to standard error, behind "faultline: ".
__attribute__((format(printf, 1, 2))) void cli_problem(const char *format, ...);

// cli_cannot says the sentence of a call that failed, frees it, and gives CLI_UNKNOWN.
// NULL: something went wrong.
enum cli_exit cli_cannot(char *problem);

// cli_name is how the person called us, for sentences that say what to do:
// "faultline", or FAULTLINE_COMMAND, which the script ./faultline sets.
const char *cli_name(void);

// cli_print_json writes *json_p as one line, frees it and sets it to NULL.
void cli_print_json(cJSON **json_p);

// cli_dir is the state folder of --dir.
const char *cli_dir(const struct options *options);

#endif
