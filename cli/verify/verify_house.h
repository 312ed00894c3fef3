// verify_house - what `faultline verify` knows of the shop and the bank: the topics of
// their events, which service hears which, and which is said in answer to which.
//
// A set of topics or of services is a sum of 1 << its index.
#ifndef FAULTLINE_CLI_VERIFY_HOUSE_H
#define FAULTLINE_CLI_VERIFY_HOUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

enum {
    VERIFY_SERVICES = 7, // those with a database; the broker is none of them
    VERIFY_TOPICS = 20,
    VERIFY_NO_TOPIC = VERIFY_TOPICS // some other one
};

// verify_service is the name of service index, and of its group and its database.
const char *verify_service(size_t index);

// verify_service_find gives the index of a name, VERIFY_SERVICES for any other text.
size_t verify_service_find(struct bytes name);

// verify_topic is the name of topic index; verify_topic_find its inverse, and
// VERIFY_TOPICS for any other text.
const char *verify_topic(size_t index);
size_t verify_topic_find(struct bytes name);

// verify_topic_is_message: of all the events of a subject only messages come more than once.
bool verify_topic_is_message(size_t index);

// verify_topics_heard: the topics that a service subscribes to, for a group that the
// broker does not know yet.
uint32_t verify_topics_heard(size_t service);

// verify_topic_causes: the topics of the events that a topic's are the answer to; none: they
// come of a request.
uint32_t verify_topic_causes(size_t index);

#endif
