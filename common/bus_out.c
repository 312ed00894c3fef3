#include "common/bus_out.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

struct bus_message *bus_out_push(struct bus_out *self, const struct wire_control *control)
{
    struct bus_message *message = mem_calloc(1, sizeof *message);
    wire_control_append(&message->control, control);
    if (self->first == NULL) {
        self->first = message;
    } else {
        self->last->next = message;
    }
    self->last = message;
    self->count++;
    return message;
}

struct bytes bus_message_batch(const struct bus_message *message)
{
    return buf_view(message->request != NULL ? &message->request->records : &message->acks);
}

void bus_out_pop(struct bus_out *self)
{
    struct bus_message *message = self->first;
    assert(message != NULL);
    self->first = message->next;
    self->count--;
    buf_release(&message->control);
    buf_release(&message->acks);
    free(message);
}

void bus_out_clear(struct bus_out *self)
{
    while (self->first != NULL) {
        bus_out_pop(self);
    }
}
