#include "broker/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum {
    INDEX_SIZE = 2 * SESSIONS_MAX, // never more than half full
    SLOT_BITS = 10,
};

static_assert(SESSIONS_MAX == 1 << SLOT_BITS, "a number holds its slot in the low bits");

struct session_table {
    struct session *slots[SESSIONS_MAX]; // owned; NULL: free
    uint16_t by_peer[INDEX_SIZE];        // slot + 1; 0: empty. Open addressing
    size_t count;
    size_t count_max;
    uint64_t started; // sessions so far
};

struct session_table *session_table_new(size_t sessions_max)
{
    assert(sessions_max <= SESSIONS_MAX);
    struct session_table *self = mem_calloc(1, sizeof *self);
    self->count_max = sessions_max == 0 ? SESSIONS_MAX : sessions_max;
    return self;
}

void session_table_destroy(struct session_table **self_p)
{
    struct session_table *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        free(self->slots[i]);
    }
    free(self);
    *self_p = NULL;
}

// FNV-1a: routing ids are five bytes, mostly a counter.
static size_t peer_hash(struct bytes peer)
{
    uint64_t hash = 14695981039346656037ULL;
    for (size_t i = 0; i < peer.size; i++) {
        hash = (hash ^ peer.data[i]) * 1099511628211ULL;
    }
    return (size_t)(hash % INDEX_SIZE);
}

static void index_add(struct session_table *self, size_t slot)
{
    size_t at = peer_hash(self->slots[slot]->peer);
    while (self->by_peer[at] != 0) {
        at = (at + 1) % INDEX_SIZE;
    }
    self->by_peer[at] = (uint16_t)(slot + 1);
}

struct session *session_by_peer(const struct session_table *self, struct bytes peer)
{
    for (size_t at = peer_hash(peer); self->by_peer[at] != 0; at = (at + 1) % INDEX_SIZE) {
        struct session *session = self->slots[self->by_peer[at] - 1];
        if (session->peer.size == peer.size &&
            memcmp(session->peer.data, peer.data, peer.size) == 0) {
            return session;
        }
    }
    return NULL;
}

struct session *session_by_member(const struct session_table *self, struct bytes member)
{
    struct session *session = NULL;
    size_t slot = 0;
    do {
        session = session_next(self, &slot);
    } while (session != NULL && !bytes_equal_text(member, session->member));
    return session;
}

struct session *session_by_number(const struct session_table *self, uint64_t number)
{
    struct session *session = self->slots[number % SESSIONS_MAX];
    return session != NULL && session->number == number ? session : NULL;
}

enum err session_start(struct session_table *self, struct bytes peer,
                       const struct wire_control *hello, uint32_t heartbeat_max_ms, int64_t now_ms,
                       struct session **out)
{
    assert(peer.size >= 1 && peer.size <= SESSION_PEER_MAX);
    assert(hello->member.size >= 1 && hello->member.size <= WIRE_NAME_MAX);
    *out = session_by_peer(self, peer);
    if (*out != NULL) {
        return ERR_EXISTS; // the same connection begins anew
    }
    *out = session_by_member(self, hello->member);
    if (*out != NULL) {
        return hello->incarnation > (*out)->incarnation ? ERR_EXISTS : ERR_CONFLICT;
    }
    if (self->count == self->count_max) {
        return ERR_FULL;
    }
    size_t slot = 0;
    while (self->slots[slot] != NULL) {
        slot++;
    }
    struct session *session = mem_calloc(1, sizeof *session);
    *session = (struct session){
        .number = (++self->started << SLOT_BITS) | slot,
        .peer = {.data = session->peer_data, .size = peer.size},
        .incarnation = hello->incarnation,
        .heartbeat_ms =
            hello->heartbeat_ms < heartbeat_max_ms ? hello->heartbeat_ms : heartbeat_max_ms,
        .seen_ms = now_ms,
        .sent_ms = now_ms,
    };
    memcpy(session->peer_data, peer.data, peer.size);
    memcpy(session->member, hello->member.data, hello->member.size);
    self->slots[slot] = session;
    self->count++;
    index_add(self, slot);
    *out = session;
    return ERR_OK;
}

void session_end(struct session_table *self, struct session *session)
{
    const size_t slot = (size_t)(session->number % SESSIONS_MAX);
    assert(self->slots[slot] == session);
    self->slots[slot] = NULL;
    self->count--;
    free(session);
    // Ends are rare: building the index again is simpler than closing its gap.
    memset(self->by_peer, 0, sizeof self->by_peer);
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (self->slots[i] != NULL) {
            index_add(self, i);
        }
    }
}

size_t session_count(const struct session_table *self)
{
    return self->count;
}

struct session *session_next(const struct session_table *self, size_t *slot)
{
    while (*slot < SESSIONS_MAX) {
        struct session *session = self->slots[(*slot)++];
        if (session != NULL) {
            return session;
        }
    }
    return NULL;
}

int64_t session_expires_ms(const struct session *session)
{
    return session->seen_ms + (int64_t)WIRE_MISSES_MAX * session->heartbeat_ms;
}

int64_t session_ping_due_ms(const struct session *session)
{
    return session->sent_ms + session->heartbeat_ms;
}

int64_t session_deadline_ms(const struct session_table *self)
{
    int64_t deadline = INT64_MAX;
    size_t slot = 0;
    for (const struct session *s; (s = session_next(self, &slot)) != NULL;) {
        const int64_t unblock_ms = s->blocked_until_ms == 0 ? INT64_MAX : s->blocked_until_ms;
        const int64_t due_ms[] = {session_expires_ms(s), session_ping_due_ms(s), unblock_ms};
        for (size_t i = 0; i < ARRAY_LEN(due_ms); i++) {
            deadline = due_ms[i] < deadline ? due_ms[i] : deadline;
        }
    }
    return deadline;
}
