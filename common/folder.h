// folder - where a process keeps its files.
#ifndef FAULTLINE_FOLDER_H
#define FAULTLINE_FOLDER_H

#include <stdbool.h>

// folder_make makes the folder at path with its parents, as far as they are missing,
// and syncs what it made: what is stored below is not lost by a power cut because
// its folder is. False: errno tells why.
bool folder_make(const char *path);

#endif
