// compose - the stack of docker-compose.yml: which containers it has, and what can
// be done to one. It calls `docker compose` or `docker-compose`, whichever answers,
// to find them, and `docker` for the rest.
#ifndef FAULTLINE_CLI_COMPOSE_H
#define FAULTLINE_CLI_COMPOSE_H

#include <stddef.h>

#include "cli/part.h"
#include "common/bytes.h"
#include "common/err.h"

enum {
    COMPOSE_PARTS_MAX = 128
};

// compose_list finds the containers, running or not, of docker-compose.yml in the
// current folder or of the file that FAULTLINE_COMPOSE_FILE names, in the order of
// house_service. ERR_NOT_FOUND: there is no such file, no engine answers, or it has
// no containers. The caller frees *out.
enum err compose_list(struct part **out, size_t *count);

// compose_parse reads what `docker inspect` prints about containers; those that are
// no service of ours are left out. ERR_INVALID: it is no such text.
enum err compose_parse(struct bytes text, struct part **out, size_t *count);

// compose_act runs `docker VERB CONTAINER`: kill, start, pause or unpause. ERR_IO:
// docker said no.
enum err compose_act(const struct part *part, const char *verb);

// Where the containers of a stack keep their data, as `docker run` needs it.
struct compose_mounts {
    char *image;                      // owned
    char *data[HOUSE_SERVICES_COUNT]; // owned; the name of a volume or a folder's path; NULL: none
};

// compose_mounts_read asks `docker inspect` about parts. ERR_NOT_FOUND: it does not
// answer. Release *out in any case.
enum err compose_mounts_read(const struct part *parts, size_t parts_count,
                             struct compose_mounts *out);
void compose_mounts_release(struct compose_mounts *mounts);

#endif
