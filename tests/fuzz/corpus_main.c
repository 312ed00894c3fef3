// Runs the files of the folders it is given through one target: what the fuzzer has
// found worth keeping, and what once was a bug, as an ordinary test.
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/fuzz/fuzz.h"

// The input lies in memory of exactly its size, so that a sanitizer sees each byte read
// behind it.
static void file_run(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(fd >= 0);
    struct stat status;
    const int stated = fstat(fd, &status);
    assert(stated == 0);
    (void)stated;
    const size_t size = (size_t)status.st_size;
    uint8_t *data = mem_alloc(size);
    const ssize_t got = read(fd, data, size);
    assert(got == (ssize_t)size);
    (void)got;
    close(fd);
    (void)fprintf(stderr, "%s\n", path); // the last line before a crash names the input
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **names = NULL;
        const int found = scandir(argv[i], &names, NULL, alphasort);
        for (int n = 0; n < found; n++) {
            if (names[n]->d_name[0] != '.') {
                char *path = mem_format("%s/%s", argv[i], names[n]->d_name);
                file_run(path);
                free(path);
                count++;
            }
            free(names[n]);
        }
        free(names);
    }
    printf("%zu inputs\n", count);
    return count > 0 ? 0 : 1; // an empty corpus proves nothing
}
