#include "broker/group_trouble.h"

#include <stdlib.h>

#include "broker/group.h"
#include "common/mem.h"

struct group_trouble *group_trouble_new(void)
{
    struct group_trouble *self = mem_calloc(1, sizeof *self);
    self->error = mem_strdup("");
    return self;
}

void group_trouble_destroy(struct group_trouble **self_p)
{
    struct group_trouble *self = *self_p;
    if (self == NULL) {
        return;
    }
    free(self->error);
    free(self);
    *self_p = NULL;
}

void group_trouble_set_error(struct group_trouble *self, struct bytes error)
{
    size_t size = error.size;
    if (size > GROUP_ERROR_MAX) {
        // Half a character would make the dead letter's JSON unreadable.
        size = GROUP_ERROR_MAX;
        while (size > 0 && (error.data[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    char *copy = mem_strndup(size == 0 ? "" : (const char *)error.data, size);
    for (size_t i = 0; i < size; i++) {
        if (copy[i] == '\0') {
            copy[i] = ' ';
        }
    }
    free(self->error);
    self->error = copy;
}
