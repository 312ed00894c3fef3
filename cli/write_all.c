#include "cli/write_all.h"

#include <errno.h>
#include <unistd.h>

enum err write_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        const ssize_t size = write(fd, bytes.data, bytes.size);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return ERR_IO;
        }
        bytes.data += size;
        bytes.size -= (size_t)size;
    }
    return ERR_OK;
}
