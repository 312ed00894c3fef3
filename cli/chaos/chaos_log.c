#include "cli/chaos/chaos_log.h"

#include <stdarg.h>

#include "common/clock.h"

static void write_line(FILE *out, double seconds, const char *format, va_list args)
{
    fprintf(out, "%9.3f  ", seconds);
    vfprintf(out, format, args);
    fputc('\n', out);
    fflush(out);
}

void chaos_log_write(const struct chaos_log *self, const char *format, ...)
{
    const double seconds = (double)(clock_mono_ms() - self->start_ms) / 1000.0;
    va_list args;
    if (self->file != NULL) {
        va_start(args, format);
        write_line(self->file, seconds, format, args);
        va_end(args);
    }
    if (self->verbose) {
        va_start(args, format);
        write_line(stderr, seconds, format, args);
        va_end(args);
    }
}
