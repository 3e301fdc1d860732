// Which variant runs and over how many blocks: plain host code, so that it is tested on a CPU.
#pragma once

#include <cstdint>

#include "weft/dpcw.h"

namespace weft {

struct Grid {
  int x = 0, y = 0;
};

constexpr int64_t kMaxGridY = 65535;
constexpr int kWideRows = 128;

// Packed query rows of one key/value head.
inline int64_t packed_rows(const WeftDPCWAttention &c) {
  return static_cast<int64_t>(c.heads / c.kv_heads) * c.tokens;
}

inline Grid grid_of(const WeftDPCWAttention &c, int rows) {
  return {static_cast<int>((packed_rows(c) + rows - 1) / rows), c.batch * c.kv_heads};
}

// The wide variant reuses every fragment twice; it pays once each multiprocessor has a block.
inline bool prefer_wide(const WeftDPCWAttention &c, int multiprocessors) {
  const Grid grid = grid_of(c, kWideRows);
  return static_cast<int64_t>(grid.x) * grid.y >= multiprocessors;
}

}  // namespace weft
