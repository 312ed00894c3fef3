// group_file_text - the text inside the file `groups`, without the file: what
// group_file.h draws, from memory and into it.
#ifndef FAULTLINE_GROUP_FILE_TEXT_H
#define FAULTLINE_GROUP_FILE_TEXT_H

#include <stdint.h>

#include "broker/group_file.h"
#include "common/bytes.h"
#include "common/err.h"

// What is wrong with a text.
struct group_file_flaw {
    uint32_t line;      // from 1
    const char *reason; // static: "the checksum does not match"
};

// group_file_text_put appends the whole text, checksum included.
void group_file_text_put(struct buf *out, const struct group_file_state *state, int64_t now_ms);

// group_file_text_scan reads one. ERR_CORRUPT: it is not what group_file_text_put
// writes; *flaw says where and *state is empty. Else the caller owns *state.
enum err group_file_text_scan(struct bytes text, int64_t now_ms, struct group_file_state *state,
                              struct group_file_flaw *flaw);

#endif
