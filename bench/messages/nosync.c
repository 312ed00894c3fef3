// A library to preload into a server: its syncs succeed at once and sync nothing. So
// the price of durability can be measured without a switch in the product that turns
// it off.
#include <unistd.h>

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
