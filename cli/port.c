#include "cli/port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

enum {
    FREE_PORT_FIRST = 10000,
    FREE_PORTS_COUNT = 20000,
};

bool port_is_free(int port)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return true; // then starting will tell
    }
    // As servers do: connections that are winding down are not in the way.
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const bool is_free =
        bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    close(fd);
    return is_free;
}

int port_find_free(const int *offsets, size_t offsets_count)
{
    // Two commands at once should not try the same ports.
    unsigned seed = (unsigned)clock_mono_us() ^ ((unsigned)getpid() << 10);
    for (int i = 0; i < PORT_TRIES_MAX; i++) {
        seed = seed * 1103515245U + 12345U;
        const int base = FREE_PORT_FIRST + (int)((seed >> 8) % FREE_PORTS_COUNT);
        bool all_free = port_is_free(base);
        for (size_t k = 0; k < offsets_count && all_free; k++) {
            all_free = port_is_free(base + offsets[k]);
        }
        if (all_free) {
            return base;
        }
    }
    return 0;
}

// The inode of the socket that listens on port, from /proc/net/tcp; 0: none found.
static unsigned long listener_inode(const char *table_path, int port)
{
    enum {
        STATE_LISTEN = 0x0A
    };
    FILE *table = fopen(table_path, "re");
    if (table == NULL) {
        return 0;
    }
    char line[512];
    unsigned long found = 0;
    while (found == 0 && fgets(line, sizeof line, table) != NULL) {
        // "  0: 0100007F:1F90 00000000:0000 0A tx:rx tr:when retrnsmt uid timeout inode"
        char *local = strchr(line, ':');
        local = local == NULL ? NULL : strchr(local + 1, ':');
        char *remote = local == NULL ? NULL : strchr(local + 1, ':');
        if (remote == NULL || strtol(local + 1, NULL, 16) != port) {
            continue;
        }
        char *at = remote + strlen(":0000");
        if (strtol(at, &at, 16) != STATE_LISTEN) {
            continue;
        }
        for (int field = 0; field < 5 && at != NULL; field++) {
            at += strspn(at, " ");
            at = strchr(at, ' ');
        }
        found = at == NULL ? 0 : strtoul(at, NULL, 10);
    }
    fclose(table);
    return found;
}

static bool process_has_socket(const char *pid, unsigned long inode)
{
    char path[300];
    char wanted[64];
    snprintf(path, sizeof path, "/proc/%.32s/fd", pid);
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return false;
    }
    bool found = false;
    for (const struct dirent *entry = readdir(folder); entry != NULL && !found;
         entry = readdir(folder)) {
        char link_path[300];
        char link[64];
        snprintf(link_path, sizeof link_path, "/proc/%.32s/fd/%.32s", pid, entry->d_name);
        const ssize_t size = readlink(link_path, link, sizeof link - 1);
        if (size > 0) {
            link[size] = '\0';
            found = strcmp(link, wanted) == 0;
        }
    }
    closedir(folder);
    return found;
}

static char *describe_process(const char *pid)
{
    char path[64];
    char name[64] = "";
    snprintf(path, sizeof path, "/proc/%.32s/comm", pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(name, sizeof name, file) == NULL) {
            name[0] = '\0';
        }
        fclose(file);
    }
    name[strcspn(name, "\n")] = '\0';
    return mem_format("pid %s (%s)", pid, name);
}

char *port_owner(int port)
{
    unsigned long inode = listener_inode("/proc/net/tcp", port);
    inode = inode != 0 ? inode : listener_inode("/proc/net/tcp6", port);
    DIR *folder = inode == 0 ? NULL : opendir("/proc");
    if (folder == NULL) {
        return NULL;
    }
    char *owner = NULL;
    for (const struct dirent *entry = readdir(folder); entry != NULL && owner == NULL;
         entry = readdir(folder)) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            process_has_socket(entry->d_name, inode)) {
            owner = describe_process(entry->d_name);
        }
    }
    closedir(folder);
    return owner;
}
