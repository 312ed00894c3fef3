// group_members - who takes part in a group, and how much each may still hold.
#ifndef FAULTLINE_GROUP_MEMBERS_H
#define FAULTLINE_GROUP_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/group.h"
#include "common/err.h"

// A member sits in a slot as long as it is in the group; entries that it holds name
// the slot. Zero is a group without members.
struct group_members {
    struct group_member_stats slots[GROUP_MEMBERS_MAX]; // member 0: the slot is empty
    uint64_t slots_used;                                // a bit for each slot
    uint64_t slots_free;                                // those that may hold more
    uint64_t credit_free;                               // what all together may take more
    uint32_t turn;                                      // the slot after the one served last
};

// group_members_add: ERR_EXISTS, ERR_FULL.
enum err group_members_add(struct group_members *self, uint64_t member, uint32_t credit);

// group_members_find gives the slot of a member; false: it is not in.
bool group_members_find(const struct group_members *self, uint64_t member, uint32_t *slot);

uint32_t group_members_count(const struct group_members *self);

// group_members_remove empties a slot that holds nothing.
void group_members_remove(struct group_members *self, uint32_t slot);

void group_members_set_credit(struct group_members *self, uint32_t slot, uint32_t credit);

// group_members_pick gives the next slot in turn that may hold more; false: none.
bool group_members_pick(struct group_members *self, uint32_t *slot);

// group_members_hold counts an entry to the slot, group_members_release takes it off.
void group_members_hold(struct group_members *self, uint32_t slot);
void group_members_release(struct group_members *self, uint32_t slot);

#endif
