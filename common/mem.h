// mem - allocation that cannot fail: out of memory aborts the process.
//
// A supervisor or a person starts it again and what was accepted is on disk, so
// no caller needs a path for it. Free with free().
#ifndef FAULTLINE_MEM_H
#define FAULTLINE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

// mem_alloc returns size uninitialised bytes, at least one.
void *mem_alloc(size_t size);

// mem_calloc returns count zeroed elements of size bytes.
void *mem_calloc(size_t count, size_t size);

// mem_realloc resizes memory, which may be NULL, to size bytes.
void *mem_realloc(void *memory, size_t size);

// mem_grow gives an array of elements of size bytes, which may be NULL, room for needed of
// them and half as many more, so that growing one by one takes little; what is new is
// zero. mem_reserve makes room for needed and no more. *capacity is in elements.
void *mem_grow(void *array, size_t *capacity, size_t needed, size_t size);
void *mem_reserve(void *array, size_t *capacity, size_t needed, size_t size);

// text_or_null gives NULL for "", what LOG_STR leaves out.
const char *text_or_null(const char *text);

// mem_strdup copies text; NULL stays NULL.
char *mem_strdup(const char *text);

// mem_strndup copies the first size bytes of text, which may be NULL when that is 0,
// and ends them with a NUL.
char *mem_strndup(const char *text, size_t size);

// mem_format returns what printf would print, mem_vformat what vprintf would.
__attribute__((format(printf, 1, 2))) char *mem_format(const char *format, ...);
__attribute__((format(printf, 1, 0))) char *mem_vformat(const char *format, va_list args);

#endif
