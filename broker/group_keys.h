// group_keys - which keys have an entry in the window, and who waits behind it.
//
//   bucket --> first entry of a key --key_next--> parked --> parked
//                |       `---------key_last----------------^
//            bucket_next
//                v
//              first entry of another key
//
// Only the first entry of a key is ever out; a bucket's chain links first entries.
// All links live in the entries, as offsets.
#ifndef FAULTLINE_GROUP_KEYS_H
#define FAULTLINE_GROUP_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/group_window.h"

// Zero is not usable: fill it with group_keys_rebuild.
struct group_keys {
    uint64_t *buckets; // owned; offsets of first entries
    uint32_t capacity; // a power of two: the window's
};

void group_keys_release(struct group_keys *self);

// group_keys_rebuild sizes the table for the window and finds its keys again.
void group_keys_rebuild(struct group_keys *self, struct group_window *window);

// group_keys_claim takes the key of the entry at offset (it has one). true: the key was
// free and the entry is its first; false: it now stands behind others of its key.
bool group_keys_claim(struct group_keys *self, struct group_window *window, uint64_t offset);

// group_keys_release_first takes a key's first entry out and gives the offset of the
// next, which is its first now, or GROUP_OFFSET_NONE: the key is free.
uint64_t group_keys_release_first(struct group_keys *self, struct group_window *window,
                                  uint64_t offset);

// group_keys_unpark takes an entry out that is parked. It walks along the key's entries.
void group_keys_unpark(struct group_keys *self, struct group_window *window, uint64_t offset);

#endif
