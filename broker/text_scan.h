// text_scan - strict reading of the lines that the broker writes into its text files.
//
// Each function takes something off the start of a view. false: it is not there;
// then the view is unchanged.
#ifndef FAULTLINE_TEXT_SCAN_H
#define FAULTLINE_TEXT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

// text_scan_line takes a line, which must end with a newline; line has none.
bool text_scan_line(struct bytes *text, struct bytes *line);

// text_scan_literal takes exactly literal.
bool text_scan_literal(struct bytes *line, const char *literal);

// text_scan_starts only looks.
bool text_scan_starts(struct bytes text, const char *literal);

// text_scan_u64 takes a decimal number of at most max, without leading zeros.
bool text_scan_u64(struct bytes *line, uint64_t max, uint64_t *out);

// text_scan_range takes "FIRST-LAST", FIRST <= LAST <= max, or a single number.
bool text_scan_range(struct bytes *line, uint64_t max, uint64_t *first, uint64_t *last);

// text_scan_u64_put and text_scan_range_put write what is taken so.
void text_scan_u64_put(struct buf *out, uint64_t value);
void text_scan_range_put(struct buf *out, uint64_t first, uint64_t last);

#endif
