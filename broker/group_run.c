#include "broker/group_run.h"

#include <inttypes.h>
#include <stddef.h>

#include "broker/group.h"
#include "broker/text_scan.h"

bool group_run_join(struct group_run *run, const struct group_run *next)
{
    if (next->first != run->last + 1 || run->trouble != NULL || next->trouble != NULL ||
        run->done != next->done || (!run->done && run->attempts != next->attempts)) {
        return false;
    }
    run->last = next->last;
    return true;
}

static void error_put(struct buf *out, const char *error)
{
    for (const char *at = error; *at != '\0'; at++) {
        const uint8_t byte = (uint8_t)*at;
        if (byte < 0x20 || byte == 0x7f || byte == '\\') {
            buf_printf(out, "\\x%02x", byte);
        } else {
            buf_put_u8(out, byte);
        }
    }
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return -1;
}

static bool error_scan(struct bytes text, struct group_trouble *trouble)
{
    uint8_t error[GROUP_ERROR_MAX];
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '\\') {
            if (text.size - i < 4 || text.data[i + 1] != 'x') {
                return false;
            }
            const int high = hex_value(text.data[i + 2]);
            const int low = hex_value(text.data[i + 3]);
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high * 16 + low);
            i += 3;
        }
        if (size == sizeof error) {
            return false;
        }
        error[size] = byte;
        size++;
    }
    group_trouble_set_error(trouble, (struct bytes){.data = error, .size = size});
    return true;
}

static uint64_t delay_of(const struct group_trouble *trouble, int64_t now_ms)
{
    if (!trouble->waits || trouble->due_ms <= now_ms) {
        return 0;
    }
    return (uint64_t)(trouble->due_ms - now_ms);
}

void group_run_put(struct buf *out, const struct group_run *run, int64_t now_ms)
{
    if (run->done) {
        buf_put_text(out, "done ");
        text_scan_range_put(out, run->first, run->last);
    } else if (run->trouble == NULL) {
        buf_put_text(out, "attempts ");
        text_scan_range_put(out, run->first, run->last);
        buf_put_u8(out, ' ');
        text_scan_u64_put(out, run->attempts);
    } else {
        const struct group_trouble *trouble = run->trouble;
        buf_printf(out,
                   "failed %" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRId64 " %s ",
                   run->first,
                   run->attempts,
                   trouble->failures,
                   delay_of(trouble, now_ms),
                   trouble->first_failed_us,
                   trouble->dying ? "dying" : "retry");
        error_put(out, trouble->error);
    }
    buf_put_u8(out, '\n');
}

static bool failed_scan(struct bytes line, int64_t now_ms, struct group_run *out)
{
    uint64_t attempts = 0;
    uint64_t failures = 0;
    uint64_t delay_ms = 0;
    uint64_t first_failed_us = 0;
    if (!text_scan_u64(&line, GROUP_OFFSET_MAX, &out->first) || !text_scan_literal(&line, " ") ||
        !text_scan_u64(&line, GROUP_COUNT_MAX, &attempts) || !text_scan_literal(&line, " ") ||
        !text_scan_u64(&line, GROUP_COUNT_MAX, &failures) || !text_scan_literal(&line, " ") ||
        !text_scan_u64(&line, GROUP_DELAY_MAX_MS, &delay_ms) || !text_scan_literal(&line, " ") ||
        !text_scan_u64(&line, INT64_MAX, &first_failed_us) || !text_scan_literal(&line, " ")) {
        return false;
    }
    const bool dying = text_scan_literal(&line, "dying ");
    if (!dying && !text_scan_literal(&line, "retry ")) {
        return false;
    }
    struct group_trouble *trouble = group_trouble_new();
    if (!error_scan(line, trouble)) {
        group_trouble_destroy(&trouble);
        return false;
    }
    trouble->failures = (uint32_t)failures;
    trouble->dying = dying;
    trouble->waits = !dying && delay_ms > 0;
    trouble->due_ms = now_ms + (int64_t)delay_ms;
    trouble->first_failed_us = (int64_t)first_failed_us;
    out->last = out->first;
    out->attempts = (uint32_t)attempts;
    out->trouble = trouble;
    return true;
}

bool group_run_scan(struct bytes line, int64_t now_ms, struct group_run *out)
{
    *out = (struct group_run){0};
    if (text_scan_literal(&line, "failed ")) {
        return failed_scan(line, now_ms, out);
    }
    if (text_scan_literal(&line, "done ")) {
        out->done = true;
        return text_scan_range(&line, GROUP_OFFSET_MAX, &out->first, &out->last) && line.size == 0;
    }
    uint64_t attempts = 0;
    if (!text_scan_literal(&line, "attempts ") ||
        !text_scan_range(&line, GROUP_OFFSET_MAX, &out->first, &out->last) ||
        !text_scan_literal(&line, " ") || !text_scan_u64(&line, GROUP_COUNT_MAX, &attempts)) {
        return false;
    }
    out->attempts = (uint32_t)attempts;
    return line.size == 0;
}
