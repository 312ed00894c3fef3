// page - lists are given in pages, all in one form.
#ifndef FAULTLINE_PAGE_H
#define FAULTLINE_PAGE_H

#include <stdbool.h>

#include "common/service.h"

// A list that is read page by page.
struct page_list {
    const char *name;   // of the member that has the list
    const char *cursor; // the member of a row that the next page begins behind
    bool is_number;     // the cursor is a number, given as a string
    // Adds up to limit rows behind after to list; filter is for it to understand.
    enum err (*read)(struct store *store, const char *filter, const char *after, int64_t limit,
                     cJSON *list);
};

// page_list answers ?limit= and ?after= with page_reply. after is "" for the first page,
// "0" when the cursor is a number; 400 when it is none.
enum err page_list(struct service *service, struct request *request, const struct page_list *self,
                   const char *filter);

// page_reply answers 200 with {name: list, "next": cursor or null}. list becomes the
// request's; it was read with limit + 1, so that one too many tells of a next page:
// that one is left out. The cursor is member (a string, or a number, which is given as
// a string) of the last one shown.
enum err page_reply(struct request *request, const char *name, cJSON *list, int64_t limit,
                    const char *member);

#endif
