// What a process of the stack finds in its environment.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/environment.h"
#include "common/mem.h"

static struct stack *make_stack(void)
{
    struct stack *stack = stack_new("/s", "/b");
    stack->http_port = 9000;
    stack->bus_port = 6550;
    stack_add_process(stack, house_index("payment"), 2);
    return stack;
}

// How often assignment is in the environment.
static int count_of(char *const *environment, const char *assignment)
{
    int count = 0;
    for (; *environment != NULL; environment++) {
        count += strcmp(*environment, assignment) == 0 ? 1 : 0;
    }
    return count;
}

static int count_of_name(char *const *environment, const char *name)
{
    int count = 0;
    for (; *environment != NULL; environment++) {
        count += strncmp(*environment, name, strlen(name)) == 0 ? 1 : 0;
    }
    return count;
}

Test(environment, a_process_is_told_where_it_stands)
{
    struct stack *stack = make_stack();
    char *envp[] = {NULL};
    char **environment = environment_of(stack, &stack->processes[0], envp);

    cr_expect_eq(count_of(environment, "HTTP_ADDRESS=127.0.0.1"), 1);
    cr_expect_eq(count_of(environment, "HTTP_PORT=9012"), 1);
    cr_expect_eq(count_of(environment, "DATA_DIR=/s/data/payment"), 1);
    cr_expect_eq(count_of(environment, "BUS_URL=tcp://127.0.0.1:6550"), 1);
    cr_expect_eq(count_of(environment, "BROKER_BIND=tcp://127.0.0.1:6550"), 1);
    cr_expect_eq(count_of(environment, "BUS_GROUP=payment"), 1);
    cr_expect_eq(count_of(environment, "BUS_MEMBER=payment-2"), 1);
    cr_expect_eq(count_of(environment, "LEDGER_URL=http://127.0.0.1:9006"), 1);

    environment_free(&environment);
    stack_destroy(&stack);
}

Test(environment, nobody_overrides_where_a_process_stands)
{
    struct stack *stack = make_stack();
    char mine[][32] = {"HTTP_PORT=1", "BUS_GROUP=mine", "LEDGER_URL=http://x", "PATH=/bin"};
    char *envp[] = {mine[0], mine[1], mine[2], mine[3], NULL};
    char **environment = environment_of(stack, &stack->processes[0], envp);

    cr_expect_eq(count_of_name(environment, "HTTP_PORT="), 1);
    cr_expect_eq(count_of_name(environment, "BUS_GROUP="), 1);
    cr_expect_eq(count_of_name(environment, "LEDGER_URL="), 1);
    cr_expect_eq(count_of(environment, "PATH=/bin"), 1);

    environment_free(&environment);
    stack_destroy(&stack);
}

Test(environment, settings_of_the_start_are_kept_and_a_newer_one_counts_more)
{
    struct stack *stack = make_stack();
    char first[][32] = {"FRAUD_LIMIT_MINOR=7", "SYNC_TIMEOUT_MS=1", "HOME=/root", "BUS_MEMBER=x"};
    char *envp[] = {first[0], first[1], first[2], first[3], NULL};
    environment_keep_settings(stack, envp);
    cr_expect_eq(stack->settings_count, 2);

    char later[] = "SYNC_TIMEOUT_MS=2";
    char *envp_later[] = {later, NULL};
    char **environment = environment_of(stack, &stack->processes[0], envp_later);
    cr_expect_eq(count_of(environment, "FRAUD_LIMIT_MINOR=7"), 1);
    cr_expect_eq(count_of(environment, "SYNC_TIMEOUT_MS=2"), 1);
    cr_expect_eq(count_of_name(environment, "SYNC_TIMEOUT_MS="), 1);

    environment_free(&environment);
    stack_destroy(&stack);
}

Test(environment, where_it_shall_crash_is_told_to_that_process_alone)
{
    struct stack *stack = make_stack();
    char *envp[] = {NULL};
    stack->processes[0].crash_at = "service-after-commit:3";
    char **armed = environment_of(stack, &stack->processes[0], envp);
    stack->processes[0].crash_at = NULL;
    char **unarmed = environment_of(stack, &stack->processes[0], envp);

    cr_expect_eq(count_of(armed, "FAULTLINE_CRASH_AT=service-after-commit:3"), 1);
    cr_expect_eq(count_of_name(unarmed, "FAULTLINE_CRASH_AT="), 0);

    environment_free(&armed);
    environment_free(&unarmed);
    stack_destroy(&stack);
}

Test(environment, a_setting_of_the_process_itself_counts_most)
{
    struct stack *stack = make_stack();
    char first[] = "SYNC_TIMEOUT_MS=1";
    char *envp[] = {first, NULL};
    environment_keep_settings(stack, envp);
    stack_add_process(stack, house_index("fraud"), 1);
    cr_expect_eq(stack_process_set(&stack->processes[0], "SYNC_TIMEOUT_MS=3"), ERR_OK);

    char **environment = environment_of(stack, &stack->processes[0], envp);
    cr_expect_eq(count_of(environment, "SYNC_TIMEOUT_MS=3"), 1);
    cr_expect_eq(count_of_name(environment, "SYNC_TIMEOUT_MS="), 1);
    environment_free(&environment);
    environment = environment_of(stack, &stack->processes[1], envp);
    cr_expect_eq(count_of(environment, "SYNC_TIMEOUT_MS=1"), 1, "the others do not have it");
    environment_free(&environment);
    stack_destroy(&stack);
}

Test(environment, settings_are_known_by_their_names)
{
    cr_expect(environment_is_setting("SYNC_WORKERS=8"));
    cr_expect(environment_is_setting("BUS_RETRIES=3"));
    cr_expect(environment_is_setting("PAYMENT_ANYTHING=1"));
    cr_expect(environment_is_setting("EVENT_BYTES_MAX=1"));
    cr_expect(environment_is_setting("LOG_LEVEL=debug"));
    cr_expect(environment_is_setting("HTTP_RECORD=/tmp/record"));
    cr_expect_not(environment_is_setting("LOG_FORMAT=text"));
    cr_expect_not(environment_is_setting("PAYMENT_URL=http://x"));
    cr_expect_not(environment_is_setting("DATA_DIR=/"));
    cr_expect_not(environment_is_setting("ORDERED=1"));
    cr_expect_not(environment_is_setting("SECRET_TOKEN=x"));
}
