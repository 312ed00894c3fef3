// hop - the calls of the synchronous chain: what each says, and what its answer means
// for the caller.
#ifndef FAULTLINE_HOP_H
#define FAULTLINE_HOP_H

#include <stdbool.h>

#include "common/service.h"

enum {
    HOP_REASON_SIZE = 64,
    HOP_DETAIL_SIZE = 256,
    HOP_FIELDS_MAX = 4
};

// One call about the order of a job, whose input has "order_id". Without fields it has
// no body, and the order's id ends the path.
struct hop {
    const char *service; // its name
    const char *method;
    const char *path;
    const char *key; // what follows the order's id in the Idempotency-Key; NULL: none goes along
    struct {
        const char *to, *from; // members: of the body, and of the input
    } fields[HOP_FIELDS_MAX];
};

struct hop_failure {
    int status;                   // of the answer that the caller gives in turn
    bool may_have_happened;       // so that it has to be undone as well
    char reason[HOP_REASON_SIZE]; // kebab-case
    char detail[HOP_DETAIL_SIZE]; // a sentence
};

// hop_is_good: a 2xx came.
bool hop_is_good(const struct call_result *result);

// hop_may_have_happened: the call may have had its effect although it failed, so that
// it has to be undone as well. Only an answer of 4xx and a connection that was never
// made say that nothing happened; a 409 "request-in-progress" does not: the first call
// with this key is still being made.
bool hop_may_have_happened(const struct call_result *result);

// hop_explain fills out for a call of service that failed: a refusal (402, 403, 409,
// 422) keeps its status and code; no answer in time or yet, there or further on, is 504;
// all else is 503, the service being down or broken. Pure, as are the two before.
void hop_explain(const char *service, const struct call_result *result, struct hop_failure *out);

// hop_call makes the call. True: *answer, the caller's, is what came with a 2xx; else it
// is NULL and failure is filled.
bool hop_call(struct caller *caller, const struct hop *hop, const cJSON *input, cJSON **answer,
              struct hop_failure *failure);

// A job's result is {} when all went well, or {"status", "reason", "detail"} and more:
// hop_failure_to_json begins such a one, and hop_reply_failure answers it.
cJSON *hop_failure_to_json(const struct hop_failure *failure);
enum err hop_reply_failure(struct request *request, const cJSON *result);

// hop_run_job has a worker do job, or answers 503 when too many wait; ERR_FULL then.
enum err hop_run_job(struct service *service, struct request *request,
                     const struct service_job *job, cJSON *input);

#endif
