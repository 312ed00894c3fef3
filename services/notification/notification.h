// notification - what is said to whom when something happened. Pure.
//
// A subject's story opens with "received" and ends with one of the others. Each
// template is used once a subject; an opening that comes after an end is stale, and
// nobody is told that an order was received which was cancelled already.
#ifndef FAULTLINE_NOTIFICATION_H
#define FAULTLINE_NOTIFICATION_H

#include <stdbool.h>
#include <stddef.h>

enum {
    NOTIFICATION_TEMPLATE_MAX = 32, // bytes of a template's name
    NOTIFICATION_TEXT_SIZE = 192
};

struct notification_template {
    const char *name;      // "order-confirmed"
    const char *topic;     // the event that it tells of
    const char *subject;   // the event's member with the subject
    const char *recipient; // the event's member with who is told
    const char *text;      // what is said; the reason, when there is one, follows
    bool is_opening;
};

// The templates: of a topic, of a name; NULL when there is none.
const struct notification_template *notification_template_of(const char *topic);
const struct notification_template *notification_template_named(const char *name);

// notification_text writes the text; reason may be NULL. What is too long is cut.
void notification_text(const struct notification_template *template, const char *reason,
                       char out[NOTIFICATION_TEXT_SIZE]);

// notification_is_stale: there is nothing to say any more, given whether an end of the
// story was told already.
bool notification_is_stale(const struct notification_template *template, bool ended);

#endif
