#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

enum {
    LOG_BUFFER_BYTES = 64 * 1024, // written at the latest when so much has gathered
    LOG_SERVICE_MAX = 64,
    LOG_STALL_MS = 1000, // how long a full, non-blocking standard output is waited for
};

// The logger of the process; see log.h on why there is one.
struct logger {
    pthread_mutex_t mutex;
    atomic_int level; // the lowest that is written; read without the mutex
    struct buf lines; // whole lines not yet written
    char service[LOG_SERVICE_MAX];
    bool is_text;
    const char *service_colour; // static text
    bool has_colours;
    int64_t stamp_second;           // the second that stamp holds
    char stamp[CLOCK_RFC3339_SIZE]; // formatted once a second, the rest is patched in
};

static struct logger logger = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .level = LOG_INFO,
    .service = "faultline",
    .stamp_second = -1,
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static const char *const level_colours[] = {
    [LOG_DEBUG] = "\033[2m", [LOG_INFO] = "", [LOG_WARN] = "\033[33m", [LOG_ERROR] = "\033[1;31m"};

// A service keeps its colour from run to run: it is chosen by the name.
static const char *colour_of(const char *service)
{
    static const char *const colours[] = {
        "\033[36m", "\033[32m", "\033[35m", "\033[34m", "\033[96m", "\033[92m", "\033[95m"};
    unsigned sum = 0;
    for (const char *at = service; *at != '\0'; at++) {
        sum = sum * 31 + (unsigned char)*at;
    }
    return colours[sum % ARRAY_LEN(colours)];
}

// --- writing out

// Writes all lines, or drops them: a log that cannot be written must not stop
// what it tells of. The mutex is held.
static void lines_write(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    const uint8_t *data = logger.lines.data;
    size_t done = 0;
    while (done < logger.lines.size) {
        const ssize_t size = write(STDOUT_FILENO, data + done, logger.lines.size - done);
        if (size >= 0) {
            done += (size_t)size;
        } else if (errno != EINTR && (errno != EAGAIN || poll(&output, 1, LOG_STALL_MS) != 1)) {
            break;
        }
    }
    // A disk that filled up in mid-line: what is written later begins a new one.
    const bool is_torn =
        done < logger.lines.size && (done == 0 ? data[0] == '\n' : data[done - 1] != '\n');
    buf_clear(&logger.lines);
    if (is_torn) {
        buf_put_u8(&logger.lines, '\n');
    }
}

void log_flush(void)
{
    const int saved = errno;
    pthread_mutex_lock(&logger.mutex);
    lines_write();
    pthread_mutex_unlock(&logger.mutex);
    errno = saved;
}

// --- text into lines

// buf_put_text with the size known at compile time.
#define PUT_LITERAL(text) buf_put(&logger.lines, (text), sizeof(text) - 1)

// Where the microseconds stand in an RFC 3339 time.
enum {
    STAMP_MICROS_AT = 20,
    STAMP_MICROS_DIGITS = 6,
    STAMP_CLOCK_AT = 11, // "20:36:57.123456"
    STAMP_CLOCK_SIZE = 15,
};

// Formatting a calendar date costs more than the rest of a line: once a second is
// enough.
static const char *stamp_now(void)
{
    const int64_t now_us = clock_wall_us();
    const int64_t second = now_us / 1000000;
    if (second != logger.stamp_second) {
        clock_format_rfc3339(logger.stamp, now_us);
        logger.stamp_second = second;
        return logger.stamp;
    }
    int64_t micros = now_us % 1000000;
    for (int i = STAMP_MICROS_DIGITS - 1; i >= 0; i--) {
        logger.stamp[STAMP_MICROS_AT + i] = (char)('0' + micros % 10);
        micros /= 10;
    }
    return logger.stamp;
}

static struct bytes text_of(const struct log_field *field)
{
    return field->kind == LOG_FIELD_STR ? bytes_of_text(field->text) : field->bytes;
}

// For people a value that is one plain word goes without quotes.
static bool is_word(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\\') {
            return false;
        }
    }
    return text.size > 0;
}

static void fields_put(const struct log_field *fields)
{
    for (const struct log_field *field = fields; field->kind != LOG_FIELD_END; field++) {
        if (field->kind == LOG_FIELD_STR && field->text == NULL) {
            continue;
        }
        buf_put_text(&logger.lines, logger.is_text ? " " : ",\"");
        buf_put_text(&logger.lines, field->name);
        buf_put_text(&logger.lines, logger.is_text ? "=" : "\":");
        if (field->kind == LOG_FIELD_INT) {
            json_append_int(&logger.lines, field->number);
        } else if (logger.is_text && is_word(text_of(field))) {
            buf_put(&logger.lines, text_of(field).data, text_of(field).size);
        } else {
            json_append_bytes(&logger.lines, text_of(field));
        }
    }
}

static void json_line_put(enum log_level level, const char *msg, const struct log_field *fields)
{
    PUT_LITERAL("{\"ts\":\"");
    buf_put_text(&logger.lines, stamp_now());
    PUT_LITERAL("\",\"level\":\"");
    buf_put_text(&logger.lines, level_names[level]);
    PUT_LITERAL("\",\"service\":");
    json_append_text(&logger.lines, logger.service);
    PUT_LITERAL(",\"msg\":");
    json_append_text(&logger.lines, msg);
    fields_put(fields);
    PUT_LITERAL("}\n");
}

// A column of a line for people. What comes from outside must not move the cursor of
// somebody's terminal: it is escaped as in JSON.
static void column_put(const char *colour, const char *text, size_t width)
{
    if (logger.has_colours) {
        buf_put_text(&logger.lines, colour);
    }
    json_append_escaped(&logger.lines, bytes_of_text(text));
    for (size_t i = strlen(text); i < width; i++) {
        buf_put_u8(&logger.lines, ' ');
    }
    if (logger.has_colours) {
        PUT_LITERAL("\033[0m");
    }
}

static void text_line_put(enum log_level level, const char *msg, const struct log_field *fields)
{
    buf_put(&logger.lines, stamp_now() + STAMP_CLOCK_AT, STAMP_CLOCK_SIZE);
    PUT_LITERAL("  ");
    column_put(logger.service_colour, logger.service, 12);
    PUT_LITERAL("  ");
    column_put(level_colours[level], level_names[level], 5);
    PUT_LITERAL("  ");
    column_put(level_colours[level], msg, 18);
    fields_put(fields);
    PUT_LITERAL("\n");
}

// ---

enum err log_open(const char *service, const char *format, const char *level)
{
    size_t lowest = 0;
    while (lowest < ARRAY_LEN(level_names) && strcmp(level_names[lowest], level) != 0) {
        lowest++;
    }
    const bool is_text = strcmp(format, "text") == 0;
    if (lowest == ARRAY_LEN(level_names) || (!is_text && strcmp(format, "json") != 0)) {
        return ERR_INVALID;
    }
    pthread_mutex_lock(&logger.mutex);
    logger.is_text = is_text;
    logger.has_colours = is_text && isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
    logger.service_colour = colour_of(service);
    strncpy(logger.service, service, sizeof logger.service - 1);
    atomic_store_explicit(&logger.level, (int)lowest, memory_order_relaxed);
    pthread_mutex_unlock(&logger.mutex);
    atexit(log_flush); // whoever ends by exit() still tells why
    return ERR_OK;
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&logger.level, memory_order_relaxed)) {
        return;
    }
    const int saved = errno;
    pthread_mutex_lock(&logger.mutex);
    if (logger.is_text) {
        text_line_put(level, msg, fields);
    } else {
        json_line_put(level, msg, fields);
    }
    if (level >= LOG_WARN || logger.lines.size >= LOG_BUFFER_BYTES) {
        lines_write();
    }
    pthread_mutex_unlock(&logger.mutex);
    errno = saved;
}
