#include "common/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *memory)
{
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t size)
{
    return or_abort(malloc(size == 0 ? 1 : size));
}

void *mem_calloc(size_t count, size_t size)
{
    return or_abort(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *mem_realloc(void *memory, size_t size)
{
    return or_abort(realloc(memory, size == 0 ? 1 : size));
}

void *mem_reserve(void *array, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) {
        return array;
    }
    uint8_t *grown = mem_realloc(array, needed * size);
    memset(grown + *capacity * size, 0, (needed - *capacity) * size);
    *capacity = needed;
    return grown;
}

void *mem_grow(void *array, size_t *capacity, size_t needed, size_t size)
{
    return needed <= *capacity ? array
                               : mem_reserve(array, capacity, needed + needed / 2 + 16, size);
}

const char *text_or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

char *mem_strdup(const char *text)
{
    return text == NULL ? NULL : or_abort(strdup(text));
}

char *mem_strndup(const char *text, size_t size)
{
    char *copy = mem_alloc(size + 1);
    memcpy(copy, size == 0 ? "" : text, size); // NULL is no place, not even for nothing
    copy[size] = '\0';
    return copy;
}

char *mem_vformat(const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    assert(size >= 0);
    char *text = mem_alloc((size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vformat(format, args);
    va_end(args);
    return text;
}
