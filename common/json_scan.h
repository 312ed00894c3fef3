// json_scan - checks text against the grammar of JSON, before cJSON builds a tree.
//
// cJSON is generous: it takes "01", raw control characters, bytes that are not UTF-8,
// and cuts a string at \u0000. So only what passed here is given to it. Pure.
#ifndef FAULTLINE_JSON_SCAN_H
#define FAULTLINE_JSON_SCAN_H

#include "common/bytes.h"

// json_scan returns NULL when text is exactly one JSON value (RFC 8259) in UTF-8,
// without U+0000 in a string, within JSON_DEPTH_MAX and JSON_NUMBER_MAX. Else it
// returns what is wrong (static text), and *at is the byte where it was found.
const char *json_scan(struct bytes text, size_t *at);

#endif
