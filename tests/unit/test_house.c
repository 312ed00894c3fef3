// How processes are named and where they listen.
#include <criterion/criterion.h>

#include "cli/house.h"

static void expect_process(const char *name, const char *service, int replica)
{
    size_t index = 0;
    int number = -1;
    cr_assert(house_parse_process(name, &index, &number), "%s", name);
    cr_expect_str_eq(house_service(index), service);
    cr_expect_eq(number, replica);
}

Test(house, a_process_is_named_by_its_service_and_perhaps_a_number)
{
    expect_process("payment", "payment", 0);
    expect_process("payment-1", "payment", 1);
    expect_process("payment-16", "payment", 16);
    expect_process("broker", "broker", 0);
}

Test(house, other_names_are_refused)
{
    const char *const names[] = {"",
                                 "pay",
                                 "payments",
                                 "payment-",
                                 "payment-0",
                                 "payment-17",
                                 "payment-1x",
                                 "payment--1",
                                 "payment 2",
                                 "-1",
                                 "payment2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t index = 0;
        int number = 0;
        cr_expect_not(house_parse_process(names[i], &index, &number), "%s", names[i]);
    }
}

Test(house, the_first_process_of_a_service_has_its_name)
{
    char name[HOUSE_NAME_SIZE];
    house_process_name(name, "notification", 1);
    cr_expect_str_eq(name, "notification");
    house_process_name(name, "notification", 16);
    cr_expect_str_eq(name, "notification-16");
}

Test(house, no_two_processes_share_a_port)
{
    bool used[HOUSE_SERVICES_COUNT + HOUSE_REPLICAS_MAX * 10] = {false};
    for (size_t service = 0; service < HOUSE_SERVICES_COUNT; service++) {
        for (int replica = 1; replica <= HOUSE_REPLICAS_MAX; replica++) {
            const int port = house_port(0, service, replica);
            cr_expect_not(used[port], "port %d twice", port);
            used[port] = true;
        }
    }
    cr_expect_eq(house_port(8000, house_index("order"), 1), 8001);
    cr_expect_eq(house_port(8000, house_index("transfer"), 1), 8007);
    cr_expect_eq(house_port(8000, house_index("payment"), 3), 8022);
}
