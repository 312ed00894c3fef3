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
#include "common/mem.h"
#include "common/utf8.h"

enum {
    LOG_BUFFER_BYTES = 64 * 1024, // written at the latest when so much has gathered
    LOG_SERVICE_MAX = 64,
    LOG_STALL_MS = 1000, // how long a full, non-blocking standard output is waited for
    INT_TEXT_SIZE = 21,
};

// The logger of the process; see log.h on why there is one.
struct logger {
    pthread_mutex_t mutex;
    atomic_int level; // the lowest that is written; read without the mutex
    struct buf lines; // whole lines not yet written
    char service[LOG_SERVICE_MAX];
    bool is_text;
    const char *service_colour; // "" without colours
    bool has_colours;
    bool has_exit_flush;
    int64_t stamp_second;           // the second that stamp holds
    char stamp[CLOCK_RFC3339_SIZE]; // formatted once a second, the rest is patched in
};

static struct logger logger = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .level = LOG_INFO,
    .service = "faultline",
    .service_colour = "",
    .stamp_second = -1,
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static const char *const level_colours[] = {
    [LOG_DEBUG] = "\033[2m", [LOG_INFO] = "", [LOG_WARN] = "\033[33m", [LOG_ERROR] = "\033[1;31m"};

static const char colour_off[] = "\033[0m";

// A service keeps its colour from run to run: it is chosen by the name.
static const char *colour_of(const char *service)
{
    static const char *const colours[] = {
        "\033[36m",
        "\033[32m",
        "\033[35m",
        "\033[34m",
        "\033[96m",
        "\033[92m",
        "\033[95m",
        "\033[94m",
        "\033[93m",
    };
    unsigned sum = 0;
    for (const char *at = service; *at != '\0'; at++) {
        sum = sum * 31 + (unsigned char)*at;
    }
    return colours[sum % ARRAY_LEN(colours)];
}

// --- writing out

static bool output_wait(void)
{
    struct pollfd poll_out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&poll_out, 1, LOG_STALL_MS) == 1 && (poll_out.revents & POLLOUT) != 0;
}

// Writes all lines, or drops them: a log that cannot be written must not stop
// what it tells of. The mutex is held.
static void lines_write(void)
{
    size_t done = 0;
    while (done < logger.lines.size) {
        const ssize_t size =
            write(STDOUT_FILENO, logger.lines.data + done, logger.lines.size - done);
        if (size >= 0) {
            done += (size_t)size;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!output_wait()) {
                break;
            }
        } else if (errno != EINTR) {
            break;
        }
    }
    buf_clear(&logger.lines);
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

static void int_put(int64_t number)
{
    char text[INT_TEXT_SIZE];
    size_t at = sizeof text;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        text[--at] = '-';
    }
    buf_put(&logger.lines, text + at, sizeof text - at);
}

static void escape_put(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    switch (byte) {
    case '"':
        PUT_LITERAL("\\\"");
        break;
    case '\\':
        PUT_LITERAL("\\\\");
        break;
    case '\n':
        PUT_LITERAL("\\n");
        break;
    case '\r':
        PUT_LITERAL("\\r");
        break;
    case '\t':
        PUT_LITERAL("\\t");
        break;
    default: {
        const char escape[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
        buf_put(&logger.lines, escape, sizeof escape);
        break;
    }
    }
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

// Escapes for JSON. The text format does the same: what comes from outside must
// not move the cursor of somebody's terminal.
static void escaped_put(struct bytes text)
{
    size_t start = 0; // of the run that can be copied as it is
    size_t at = 0;
    while (at < text.size) {
        const uint8_t byte = text.data[at];
        if (is_plain(byte)) {
            at++;
            continue;
        }
        const size_t size = utf8_size(text.data + at, text.size - at);
        if (size > 1) {
            at += size;
            continue;
        }
        buf_put(&logger.lines, text.data + start, at - start);
        if (size == 1) {
            escape_put(byte);
        } else {
            PUT_LITERAL("\xef\xbf\xbd"); // U+FFFD
        }
        start = ++at;
    }
    buf_put(&logger.lines, text.data + start, at - start);
}

static void quoted_put(struct bytes text)
{
    buf_put_u8(&logger.lines, '"');
    escaped_put(text);
    buf_put_u8(&logger.lines, '"');
}

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

// --- one JSON object a line

static void json_fields_put(const struct log_field *fields)
{
    for (const struct log_field *field = fields; field->kind != LOG_FIELD_END; field++) {
        if (field->kind == LOG_FIELD_STR && field->text == NULL) {
            continue;
        }
        PUT_LITERAL(",\"");
        buf_put_text(&logger.lines, field->name);
        PUT_LITERAL("\":");
        if (field->kind == LOG_FIELD_INT) {
            int_put(field->number);
        } else if (field->kind == LOG_FIELD_STR) {
            quoted_put(bytes_of_text(field->text));
        } else {
            quoted_put(field->bytes);
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
    quoted_put(bytes_of_text(logger.service));
    PUT_LITERAL(",\"msg\":");
    quoted_put(bytes_of_text(msg));
    json_fields_put(fields);
    PUT_LITERAL("}\n");
}

// --- a line for people

static void padded_put(const char *text, size_t width)
{
    const size_t size = strlen(text);
    escaped_put((struct bytes){.data = (const uint8_t *)text, .size = size});
    for (size_t i = size; i < width; i++) {
        buf_put_u8(&logger.lines, ' ');
    }
}

static void text_value_put(struct bytes text)
{
    bool is_word = text.size > 0;
    for (size_t i = 0; i < text.size && is_word; i++) {
        is_word = is_plain(text.data[i]) && text.data[i] != ' ';
    }
    if (is_word) {
        buf_put(&logger.lines, text.data, text.size);
    } else {
        quoted_put(text);
    }
}

static void text_fields_put(const struct log_field *fields)
{
    for (const struct log_field *field = fields; field->kind != LOG_FIELD_END; field++) {
        if (field->kind == LOG_FIELD_STR && field->text == NULL) {
            continue;
        }
        buf_put_u8(&logger.lines, ' ');
        buf_put_text(&logger.lines, field->name);
        buf_put_u8(&logger.lines, '=');
        if (field->kind == LOG_FIELD_INT) {
            int_put(field->number);
        } else if (field->kind == LOG_FIELD_STR) {
            text_value_put(bytes_of_text(field->text));
        } else {
            text_value_put(field->bytes);
        }
    }
}

static void colour_put(const char *colour)
{
    if (logger.has_colours) {
        buf_put_text(&logger.lines, colour);
    }
}

static void text_line_put(enum log_level level, const char *msg, const struct log_field *fields)
{
    buf_put(&logger.lines, stamp_now() + STAMP_CLOCK_AT, STAMP_CLOCK_SIZE);
    PUT_LITERAL("  ");
    colour_put(logger.service_colour);
    padded_put(logger.service, 12);
    colour_put(colour_off);
    PUT_LITERAL("  ");
    colour_put(level_colours[level]);
    padded_put(level_names[level], 5);
    PUT_LITERAL("  ");
    padded_put(msg, 18);
    colour_put(colour_off);
    text_fields_put(fields);
    PUT_LITERAL("\n");
}

// ---

static bool level_parse(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(level_names[i], text) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

enum err log_open(const char *service, const char *format, const char *level)
{
    enum log_level lowest = LOG_INFO;
    const bool is_text = strcmp(format, "text") == 0;
    if (!level_parse(level, &lowest) || (!is_text && strcmp(format, "json") != 0)) {
        return ERR_INVALID;
    }
    pthread_mutex_lock(&logger.mutex);
    logger.is_text = is_text;
    logger.has_colours = is_text && isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
    logger.service_colour = colour_of(service);
    strncpy(logger.service, service, sizeof logger.service - 1);
    atomic_store_explicit(&logger.level, (int)lowest, memory_order_relaxed);
    if (!logger.has_exit_flush) {
        // Whoever ends by exit() still tells why.
        logger.has_exit_flush = atexit(log_flush) == 0;
    }
    pthread_mutex_unlock(&logger.mutex);
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
