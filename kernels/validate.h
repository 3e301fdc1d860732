// Checks shared by every device's can_implement().
#pragma once

#include <initializer_list>

#include "weft/dpcw.h"
#include "weft/rows.h"

namespace weft {

// Pointers, sizes and what goes together; says nothing about what a device supports.
WeftStatus validate(const WeftDPCWAttention *call);
WeftStatus validate(const WeftRows *call);

inline bool aligned(std::initializer_list<const void *> tensors) {
  for (const void *tensor : tensors)
    if (reinterpret_cast<uintptr_t>(tensor) % 16 != 0) return false;
  return true;
}

}  // namespace weft
