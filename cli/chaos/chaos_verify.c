#include "cli/chaos/chaos_verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/spawn.h"
#include "common/mem.h"

static enum cli_exit verify_for_people(const char *dir, const char *record)
{
    const struct option_def *const tables[] = {command_common_options, cmd_verify.options};
    char *copies[] = {
        mem_strdup("--dir"), mem_strdup(dir), mem_strdup("--record"), mem_strdup(record)};
    struct options *options = NULL;
    char *problem = NULL;
    enum cli_exit result = CLI_UNKNOWN;
    putchar('\n');
    if (options_parse(&options, tables, ARRAY_LEN(tables), ARRAY_LEN(copies), copies, &problem) ==
        ERR_OK) {
        result = cmd_verify.run(options);
    } else {
        cli_problem("%s", problem);
    }
    options_destroy(&options);
    free(problem);
    for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
        free(copies[i]);
    }
    return result;
}

// Another process prints the JSON. record may be NULL. *out, which the caller frees, is NULL
// when it could not be told.
static enum cli_exit verify_quietly(const char *dir, const char *record, cJSON **out)
{
    const char *const argv[] = {"/proc/self/exe",
                                cmd_verify.name,
                                "--json",
                                "--dir",
                                dir,
                                record == NULL ? NULL : "--record",
                                record,
                                NULL};
    struct buf output = {0};
    int exit_code = CLI_UNKNOWN;
    const enum err err = spawn_read(argv, &output, &exit_code);
    *out = err == ERR_OK ? cJSON_ParseWithLength((const char *)output.data, output.size) : NULL;
    buf_release(&output);
    return *out != NULL && (exit_code == CLI_YES || exit_code == CLI_NO) ? (enum cli_exit)exit_code
                                                                         : CLI_UNKNOWN;
}

static enum cli_exit verify_for_programs(const char *dir, const char *record, cJSON *json)
{
    cJSON *found = NULL;
    const enum cli_exit result = verify_quietly(dir, record, &found);
    if (found == NULL) {
        cli_problem("it cannot be told whether the books are right: %s %s --record %s",
                    cli_name(),
                    cmd_verify.name,
                    record);
    }
    cJSON_AddItemToObject(json, "verify", found == NULL ? cJSON_CreateNull() : found);
    return result;
}

bool chaos_verify_before(const char *dir)
{
    cJSON *found = NULL;
    const enum cli_exit result = verify_quietly(dir, NULL, &found);
    // What retention has dropped cannot be told; all that can be was looked at then.
    const bool is_good =
        result == CLI_YES || (result == CLI_UNKNOWN && cJSON_HasObjectItem(found, "checks"));
    if (!is_good) {
        cli_problem("%s, and chaos begins with books that are right: %s %s",
                    result == CLI_NO ? "something is lost or wrong already"
                                     : "it cannot be told whether the books are right",
                    cli_name(),
                    cmd_verify.name);
    }
    cJSON_Delete(found);
    return is_good;
}

enum cli_exit chaos_verify(const char *dir, const char *record, cJSON *json)
{
    return json == NULL ? verify_for_people(dir, record) : verify_for_programs(dir, record, json);
}
