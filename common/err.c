#include "common/err.h"

#include <assert.h>

const char *err_name(enum err err)
{
    static const char *const names[ERR_COUNT] = {
        [ERR_OK] = "ok",
        [ERR_INVALID] = "invalid",
        [ERR_NOT_FOUND] = "not-found",
        [ERR_EXISTS] = "exists",
        [ERR_CONFLICT] = "conflict",
        [ERR_TOO_LARGE] = "too-large",
        [ERR_FULL] = "full",
        [ERR_IO] = "io",
        [ERR_CORRUPT] = "corrupt",
        [ERR_TIMEOUT] = "timeout",
        [ERR_UNAVAILABLE] = "unavailable",
    };
    assert(err >= ERR_OK && err < ERR_COUNT);
    return names[err];
}
