#include "cli/answer_record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/write_all.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/json.h"

int answer_record_open(const char *path)
{
    const int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    const off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    char last = '\n';
    if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n') {
        (void)write_all(fd, bytes_of_text("\n")); // behind a line that was never finished
    }
    return fd;
}

bool answer_record_write(int fd, const struct answer *answer)
{
    struct buf line = {0};
    char at[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(at, answer->at_us);
    buf_printf(&line, "{\"%s\":", answer->is_transfer ? "transfer_id" : "order_id");
    if (answer->id[0] == '\0') {
        buf_put_text(&line, "null");
    } else {
        json_append_text(&line, answer->id);
    }
    buf_printf(&line, ",\"mode\":\"%s\",\"status\":", answer->is_sync ? "sync" : "async");
    if (answer->err == ERR_OK) {
        buf_printf(&line, "%d", answer->status);
    } else {
        buf_put_text(&line, answer->err == ERR_TIMEOUT ? "\"timeout\"" : "\"no-answer\"");
    }
    buf_printf(&line, ",\"at\":\"%s\"}\n", at);
    const bool written = write_all(fd, buf_view(&line)) == ERR_OK;
    if (!written) {
        cli_problem("the record cannot be written: %s", strerror(errno));
    }
    buf_release(&line);
    return written;
}
