// page - lists are given in pages, all in one form.
#ifndef FAULTLINE_PAGE_H
#define FAULTLINE_PAGE_H

#include "common/service.h"

// page_reply answers 200 with {name: list, "next": cursor or null}. list becomes the
// request's; it was read with limit + 1, so that one too many tells of a next page:
// that one is left out. The cursor is member (a string, or a number, which is given as
// a string) of the last one shown.
enum err page_reply(struct request *request, const char *name, cJSON *list, int64_t limit,
                    const char *member);

// page_number reads after, the cursor of a list that goes by numbers; "" is 0.
// ERR_INVALID: it has answered 400.
enum err page_number(struct request *request, const char *after, int64_t *out);

#endif
