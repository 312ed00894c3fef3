// transfer - moves money at the bank.
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/subject.h"
#include "common/mem.h"
#include "common/money.h"

static const struct option_def transfer_options[] = {
    {.name = "from",
     .kind = OPTION_TEXT,
     .value = "ACCOUNT",
     .fallback = "alice",
     .help = "whose money"},
    {.name = "to",
     .kind = OPTION_TEXT,
     .value = "ACCOUNT",
     .fallback = "bob",
     .help = "who gets it (alice, bob and carol have accounts)"},
    {.name = "amount",
     .letter = 'a',
     .kind = OPTION_TEXT,
     .value = "AMOUNT",
     .fallback = "5.00",
     .help = "how much, with two decimals; EUR unless it says so: \"5.00 USD\""},
    SUBJECT_OPTIONS,
    {0},
};

static const struct subject_kind transfer_kind = {
    .noun = "transfer",
    .service = "transfer",
    .path = "/transfers",
    .id_member = "transfer_id",
    .good_end = "completed",
    .bad_end = "cancelled",
};

static bool parse_amount(const char *text, struct money *out)
{
    char *whole = strchr(text, ' ') != NULL ? mem_strdup(text) : mem_format("%s EUR", text);
    const bool ok = money_from_text(whole, out) == ERR_OK;
    free(whole);
    if (!ok) {
        cli_problem("--amount %s: write it with two decimals, as in 5.00", text);
    }
    return ok;
}

static enum cli_exit transfer_run(const struct options *options)
{
    struct money amount;
    if (!parse_amount(options_text(options, "amount"), &amount)) {
        return CLI_UNKNOWN;
    }
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "from_account", options_text(options, "from"));
    cJSON_AddStringToObject(body, "to_account", options_text(options, "to"));
    cJSON_AddItemToObject(body, "amount", money_to_json(amount));
    const struct subject_wish wish = {
        .body = body,
        .idempotency_key = options_text(options, "key"),
        .wait = options_flag(options, "wait"),
        .timeout_ms = options_int(options, "timeout") * 1000,
        .json = options_flag(options, "json"),
    };
    const enum cli_exit result = subject_place(&transfer_kind, &wish, cli_dir(options));
    cJSON_Delete(body);
    return result;
}

const struct command cmd_transfer = {
    .name = "transfer",
    .topic = COMMAND_WORK,
    .arguments = "",
    .summary = "move money at the bank; --wait for its end",
    .details = "Exit code 0: taken (with --wait: completed); 1: refused or cancelled; 2: nobody "
               "answered,\n"
               "or it had no end in time.\n",
    .options = transfer_options,
    .run = transfer_run,
};
