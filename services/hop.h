// hop - what the answer of a call in the synchronous chain means for its caller. Pure.
#ifndef FAULTLINE_HOP_H
#define FAULTLINE_HOP_H

#include <stdbool.h>

#include "common/service.h"

enum {
    HOP_REASON_SIZE = 64,
    HOP_DETAIL_SIZE = 256
};

struct hop_failure {
    int status;                   // of the answer that the caller gives in turn
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
// all else is 503, the service being down or broken.
void hop_explain(const char *service, const struct call_result *result, struct hop_failure *out);

#endif
