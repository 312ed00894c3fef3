#include "common/daemon.h"

#include <assert.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "common/crash_point.h"

// clang-format off
const struct setting daemon_settings[] = {
    {.name = "HTTP_ADDRESS", .fallback = "127.0.0.1", .help = "address of the HTTP interface"},
    {.name = "HTTP_RECORD", .fallback = "",
     .help = "a file that gets a JSON line for each HTTP exchange, bodies and all; for tests"},
    {.name = "LOG_FORMAT", .fallback = "json", .kind = SETTING_CHOICE, .choices = "json|text",
     .help = "json: an object a line; text: for people"},
    {.name = "LOG_LEVEL", .fallback = "info", .kind = SETTING_CHOICE,
     .choices = "debug|info|warn|error", .help = "the least that is logged"},
    {.name = CRASH_POINT_SETTING, .fallback = "",
     .help = "the process dies there at once: NAME[:n], see `faultline crash-points`"},
    {0}
};
// clang-format on

int daemon_take_signals(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a file at its limit is a full disk
    const int fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    assert(fd >= 0);
    return fd;
}

void daemon_allow_files(size_t count)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < count) {
        files.rlim_cur = files.rlim_max < count ? files.rlim_max : count;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}
