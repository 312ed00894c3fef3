#include "broker/group_members.h"

#include <assert.h>
#include <stddef.h>

static_assert(GROUP_MEMBERS_MAX == 64, "a slot is a bit of a word");

static uint64_t slot_bit(uint32_t slot)
{
    return UINT64_C(1) << slot;
}

static uint32_t slot_credit_free(const struct group_member_stats *member)
{
    return member->credit > member->held ? member->credit - member->held : 0;
}

// Puts new numbers into a slot and keeps the sums beside it true.
static void slot_set(struct group_members *self, uint32_t slot, uint32_t credit, uint32_t held)
{
    struct group_member_stats *member = &self->slots[slot];
    self->credit_free -= slot_credit_free(member);
    member->credit = credit;
    member->held = held;
    const uint32_t credit_free = slot_credit_free(member);
    self->credit_free += credit_free;
    if (credit_free > 0) {
        self->slots_free |= slot_bit(slot);
    } else {
        self->slots_free &= ~slot_bit(slot);
    }
}

bool group_members_find(const struct group_members *self, uint64_t member, uint32_t *slot)
{
    for (uint32_t i = 0; member != 0 && i < GROUP_MEMBERS_MAX; i++) {
        if (self->slots[i].member == member) {
            *slot = i;
            return true;
        }
    }
    return false;
}

uint32_t group_members_count(const struct group_members *self)
{
    return (uint32_t)__builtin_popcountll(self->slots_used);
}

enum err group_members_add(struct group_members *self, uint64_t member, uint32_t credit)
{
    assert(member != 0);
    uint32_t slot = 0;
    if (group_members_find(self, member, &slot)) {
        return ERR_EXISTS;
    }
    if (self->slots_used == UINT64_MAX) {
        return ERR_FULL;
    }
    slot = (uint32_t)__builtin_ctzll(~self->slots_used);
    self->slots[slot].member = member;
    self->slots_used |= slot_bit(slot);
    slot_set(self, slot, credit, 0);
    return ERR_OK;
}

void group_members_remove(struct group_members *self, uint32_t slot)
{
    assert(self->slots[slot].member != 0 && self->slots[slot].held == 0);
    slot_set(self, slot, 0, 0);
    self->slots[slot].member = 0;
    self->slots_used &= ~slot_bit(slot);
}

void group_members_set_credit(struct group_members *self, uint32_t slot, uint32_t credit)
{
    slot_set(self, slot, credit, self->slots[slot].held);
}

bool group_members_pick(struct group_members *self, uint32_t *slot)
{
    if (self->slots_free == 0) {
        return false;
    }
    uint64_t candidates = self->slots_free & (UINT64_MAX << self->turn);
    if (candidates == 0) {
        candidates = self->slots_free;
    }
    *slot = (uint32_t)__builtin_ctzll(candidates);
    self->turn = (*slot + 1) % GROUP_MEMBERS_MAX;
    return true;
}

void group_members_hold(struct group_members *self, uint32_t slot)
{
    const struct group_member_stats *member = &self->slots[slot];
    slot_set(self, slot, member->credit, member->held + 1);
}

void group_members_release(struct group_members *self, uint32_t slot)
{
    const struct group_member_stats *member = &self->slots[slot];
    assert(member->held > 0);
    slot_set(self, slot, member->credit, member->held - 1);
}
