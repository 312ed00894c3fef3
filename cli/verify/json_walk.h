// json_walk - the members of a JSON object, one after the other, without making a tree.
//
// For reading millions of objects of which one wants a few members. It is quick and not
// strict: what it takes for JSON may be none. Who must be sure asks common/json.h.
#ifndef FAULTLINE_CLI_JSON_WALK_H
#define FAULTLINE_CLI_JSON_WALK_H

#include <stdbool.h>

#include "common/bytes.h"

// json_walk_begin: an object's members begin behind its brace. False: it is no object.
bool json_walk_begin(struct bytes object, struct bytes *rest);

// json_walk_next takes the next member off rest: its name, without quotes, and its value as
// it is written, a string with its quotes; both borrowed from the object. False: there is
// none left, or it is none that can be read.
bool json_walk_next(struct bytes *rest, struct bytes *name, struct bytes *value);

// json_walk_has_ended: nothing is left but the object's last brace.
bool json_walk_has_ended(struct bytes rest);

// json_walk_text: what stands between the quotes of a string without escapes; nothing for
// another value.
struct bytes json_walk_text(struct bytes value);

#endif
