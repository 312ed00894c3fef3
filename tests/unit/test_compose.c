// What `docker inspect` says of the containers of docker-compose.yml.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "cli/compose.h"

#define CONTAINER(id, service, number, status, ports)                                              \
    "{\"Id\":\"" id "\",\"State\":{\"Status\":\"" status "\",\"Pid\":0},"                          \
    "\"Config\":{\"Labels\":{\"com.docker.compose.service\":\"" service                            \
    "\",\"com.docker.compose.container-number\":\"" number "\"}},"                                 \
    "\"NetworkSettings\":{\"Ports\":" ports "}}"

static const char containers[] = "[" CONTAINER("cc", "payment", "2", "exited", "{}") "," //
    CONTAINER("bb", "payment", "1", "paused",
              "{\"8002/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"9002\"}]}") "," //
    CONTAINER("dd", "postgres", "1", "running", "{}") ","                              //
    CONTAINER(
        "aa", "broker", "1", "running",
        "{\"5550/tcp\":[{\"HostPort\":\"5550\"}],\"8000/tcp\":[{\"HostPort\":\"8000\"}]}") "]";

Test(compose, containers_become_parts_in_the_order_of_the_house)
{
    struct part *parts = NULL;
    size_t count = 0;
    cr_assert_eq(compose_parse(bytes_of_text(containers), &parts, &count), ERR_OK);

    cr_assert_eq(count, 3, "a service that is not ours is left out");
    cr_expect_str_eq(parts[0].name, "broker");
    cr_expect_str_eq(parts[0].container, "aa");
    cr_expect_eq(parts[0].state, PROCESS_RUNNING);
    cr_expect_eq(parts[0].port, 8000, "the port of its HTTP, not of the bus");
    cr_expect_str_eq(parts[1].name, "payment");
    cr_expect_eq(parts[1].state, PROCESS_PAUSED);
    cr_expect_eq(parts[1].port, 9002);
    cr_expect_str_eq(parts[2].name, "payment-2");
    cr_expect_eq(parts[2].state, PROCESS_DEAD);
    cr_expect_eq(parts[2].port, 0);

    free(parts);
}

Test(compose, other_text_is_refused)
{
    struct part *parts = NULL;
    size_t count = 0;
    cr_expect_eq(compose_parse(bytes_of_text("Error: no such object"), &parts, &count),
                 ERR_INVALID);
    cr_expect_eq(compose_parse(bytes_of_text("{}"), &parts, &count), ERR_INVALID);
    cr_expect_null(parts);
    cr_expect_eq(compose_parse(bytes_of_text("[{}]"), &parts, &count), ERR_OK);
    cr_expect_eq(count, 0);
    free(parts);
}
