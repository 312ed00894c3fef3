#include "bench/messages/lane.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"

struct lanes *lanes_new(void)
{
    char name[64];
    snprintf(name, sizeof name, "/faultline-bench-%ld", (long)getpid());
    const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    void *memory = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(struct lanes)) == 0) {
        memory = mmap(NULL, sizeof(struct lanes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    shm_unlink(name);
    if (memory == MAP_FAILED) {
        perror("shared memory");
        exit(1);
    }
    close(fd);
    return memory;
}

void lanes_clear(struct lanes *self)
{
    memset(self, 0, sizeof *self);
}

void lane_sample(struct lanes *self, struct lane *lane, int64_t stamp_us)
{
    const uint32_t count = lane->samples_count;
    if (self->sample && count < SAMPLES_MAX) {
        lane->samples_us[count] = (uint32_t)(clock_mono_us() - stamp_us);
        lane->samples_count = count + 1;
    }
}

void event_stamp(uint8_t *value, int64_t now_us, uint64_t number)
{
    store_u64(value, (uint64_t)now_us);
    store_u64(value + 8, number);
}

void event_take(struct lanes *self, struct lane *lane, const uint8_t *value, uint64_t *next)
{
    const uint64_t number = load_u64(value + 8);
    lane->wrong += number != *next;
    *next = number + 1;
    if (self->sample) {
        lane_sample(self, lane, (int64_t)load_u64(value));
    }
}
