// Checks shared by every device's can_implement().
#pragma once

#include "weft/dpcw.h"

namespace weft {

// Pointers, sizes and head grouping; says nothing about what a device supports.
WeftStatus validate(const WeftDPCWAttention *call);

}  // namespace weft
