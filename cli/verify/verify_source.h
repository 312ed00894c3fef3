// verify_source - where the log and the databases of a stack are, and who serves the log.
#ifndef FAULTLINE_CLI_VERIFY_SOURCE_H
#define FAULTLINE_CLI_VERIFY_SOURCE_H

#include <stdbool.h>

#include "cli/command.h"
#include "cli/target.h"

struct verify_source; // opaque

// verify_source_open finds the stack of folder dir, native and running, containers, or a
// native one that is stopped. Where no broker runs it starts one of its own over the log.
// verify_source_open_folder takes the folder of a stack's data instead, whose log a broker at
// bus_url serves; NULL: none does. Anything but CLI_YES: it has said why on standard error.
enum cli_exit verify_source_open(struct verify_source **out, const char *dir);
enum cli_exit verify_source_open_folder(struct verify_source **out, const char *data,
                                        const char *bus_url, bool is_running);
void verify_source_close(struct verify_source **self_p);

const char *verify_source_data(const struct verify_source *self);    // borrowed
const char *verify_source_bus_url(const struct verify_source *self); // borrowed
bool verify_source_is_running(const struct verify_source *self);     // order lives
bool verify_source_is_broker_ours(const struct verify_source *self); // the stack's is dead

// verify_source_containers: the stack, when it is one of containers, whose data only
// another container can read; the functions above are not for it then. NULL: it is none.
const struct target *verify_source_containers(const struct verify_source *self);

#endif
