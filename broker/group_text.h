// group_text - a group as lines of text and back, and how such text is read at all.
//
// Text is read leniently: a line that is never written so, or a number that is too
// large, is passed over. Then the reader writes what it has understood and compares:
// whatever this program has not written shows as a difference, and in which line. So
// the format stands in one place, where it is written. The lines of a group:
//
//   group payment
//   retries 3
//   floor 120
//   done 122-125                       acked or dead-lettered above the floor
//   attempts 126 1                     delivered so often, not answered, never failed
//   failed 130 2 1 340 1793911017123456 retry card network unreachable
//          |   | | |   |                |     the error
//          |   | | |   |                retry, or dying: its dead letter is not written yet
//          |   | | |   wall clock of the first failure, microseconds
//          |   | | ms until the retry is due; 0: it is
//          |   | failures
//          |   attempts
//          offset
//
// Runs ascend and do not overlap. Offsets with nothing to say have no line.
#ifndef FAULTLINE_GROUP_TEXT_H
#define FAULTLINE_GROUP_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

// Offsets stay within this, so that adding to them never overflows.
#define GROUP_OFFSET_MAX ((uint64_t)INT64_MAX)

// group_text_word takes word off a line; false: it does not begin so, and is unchanged.
bool group_text_word(const char **line, const char *word);

// group_text_number takes a number; 0: there is none, or it is over max.
uint64_t group_text_number(const char **line, uint64_t max);

// group_text_range takes FIRST-LAST, or one number that is both. false: it is none
// within from <= FIRST <= LAST < end.
bool group_text_range(const char **line, uint64_t from, uint64_t end, uint64_t *first,
                      uint64_t *last);

// group_text_put_range writes word and such a range, without a newline.
void group_text_put_range(struct buf *out, const char *word, uint64_t first, uint64_t last);

// group_text_difference gives the number, from 1, of the first line in which the texts
// differ; 0: they do not.
uint32_t group_text_difference(struct bytes a, struct bytes b);

#endif
