#include "common/service.h"
