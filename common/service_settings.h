// service_settings - the settings of a service's process, those of every service and its
// own, and what it says of itself: --help, --version. Private to the runtime.
#ifndef FAULTLINE_SERVICE_SETTINGS_H
#define FAULTLINE_SERVICE_SETTINGS_H

#include "common/config.h"
#include "common/service.h"

enum {
    SERVICE_EXIT_SETTINGS = 2 // wrong arguments or settings
};

// The tables for config_load; the service's name decides some defaults.
struct service_settings {
    char port[8], data_dir[64], member[64];
    struct setting own[5];
    const struct setting *tables[4];
    size_t tables_count;
};

// service_settings_make fills *out, which must stay where it is.
void service_settings_make(struct service_settings *out, const struct service_def *def);

// service_answer_arguments prints what the arguments ask for, or that they are wrong,
// and returns the exit code.
int service_answer_arguments(const struct service_def *def, const struct service_settings *settings,
                             int argc, char **argv);

#endif
