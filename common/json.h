// json - strict reading of cJSON values, with the path of the field at fault.
#ifndef FAULTLINE_JSON_H
#define FAULTLINE_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

enum {
    JSON_DEPTH_MAX = 32,
    JSON_NUMBER_MAX = 63, // characters of a number: what cJSON reads
    JSON_PATH_SIZE = 96,
    JSON_REASON_SIZE = 160
};

// What is wrong with an input, for a problem document.
struct json_problem {
    char field[JSON_PATH_SIZE];    // "items[0].quantity"; "" for the whole
    char reason[JSON_REASON_SIZE]; // "must be a whole number from 1 to 1000"
};

// json_parse parses exactly one value. ERR_INVALID: not JSON (RFC 8259), text behind
// it, not UTF-8, a string with U+0000 in it, a number too long or too large for a
// double, an object that names a member twice, or nested deeper than
// JSON_DEPTH_MAX; problem says which. The caller owns *out.
enum err json_parse(struct bytes text, cJSON **out, struct json_problem *problem);

// json_problem_set fills problem and returns ERR_INVALID; reason is a printf format.
__attribute__((format(printf, 3, 4))) enum err
json_problem_set(struct json_problem *problem, const char *field, const char *reason, ...);

// json_append writes value at the end of out, without white space; whole numbers
// within 2^53 without exponent. json_append_text and json_append_bytes write text as
// a JSON string, json_append_escaped what stands between its quotes: control
// characters, DEL included, are escaped, bytes that are not UTF-8 become U+FFFD.
void json_append(struct buf *out, const cJSON *value);
void json_append_text(struct buf *out, const char *text);
void json_append_bytes(struct buf *out, struct bytes text);
void json_append_escaped(struct buf *out, struct bytes text);

// json_to_text is what json_append writes, as a text that the caller frees; NULL for NULL.
char *json_to_text(const cJSON *value);
void json_append_int(struct buf *out, int64_t number);

// json_add_bytes adds member name to object: text of any bytes, up to its first NUL.
void json_add_bytes(cJSON *object, const char *name, struct bytes text);

// The getters read member name of object; path, "" at the top, is the object's own
// path. ERR_INVALID: missing, of another type or out of range; problem is filled.

// json_get_text borrows a string of min_size .. max_size bytes without control
// characters.
enum err json_get_text(const cJSON *object, const char *path, const char *name, size_t min_size,
                       size_t max_size, const char **out, struct json_problem *problem);

// json_get_int reads a whole number from min to max (both within 2^53).
enum err json_get_int(const cJSON *object, const char *path, const char *name, int64_t min,
                      int64_t max, int64_t *out, struct json_problem *problem);

// json_only_members: every member of object is one of names (ended by NULL).
enum err json_only_members(const cJSON *object, const char *path, const char *const *names,
                           struct json_problem *problem);

// json_text_of borrows member name's string, or NULL: for data that was checked
// before, such as our own events.
const char *json_text_of(const cJSON *object, const char *name);

#endif
