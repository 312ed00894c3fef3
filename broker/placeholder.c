#include "broker/group.h"
#include "broker/event_log.h"
