#include "broker/group_file.h"
#include "broker/group.h"
#include "broker/event_log.h"
