// Which calls the kernels take, which variant runs and over how many blocks: plain host code, so
// that it is tested on a CPU.
#pragma once

#include <cstdint>

#include "validate.h"

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

inline WeftStatus cuda_can_implement(const WeftDPCWAttention *call) {
  const WeftStatus status = validate(call);
  if (status != WEFT_OK) return status;
  const WeftDPCWAttention &c = *call;
  const bool plain = c.type == WEFT_FLOAT32;
  if (!plain && c.type != WEFT_FLOAT16 && c.type != WEFT_BFLOAT16) return WEFT_UNSUPPORTED_TYPE;
  if (plain && c.window_type != WEFT_FLOAT32) return WEFT_UNSUPPORTED_TYPE;
  if (c.head_dim != 32 && c.head_dim != 64 && c.head_dim != 128) return WEFT_UNSUPPORTED_HEAD;
  if (plain && (c.q_norm != nullptr || c.k_norm != nullptr || c.cos != nullptr || c.series > 1))
    return WEFT_UNSUPPORTED_OPTION;
  if (!aligned({c.q, c.k_window, c.v_window, c.k_self, c.v_self, c.y, c.q_norm, c.k_norm, c.cos,
                c.sin}))
    return WEFT_MISALIGNED;
  if (static_cast<int64_t>(c.batch) * c.heads > kMaxGridY) return WEFT_TOO_LARGE;
  if (packed_rows(c) > INT32_MAX - kWideRows || c.window > INT32_MAX - kWideRows)
    return WEFT_TOO_LARGE;
  return WEFT_OK;
}

inline WeftStatus cuda_can_implement(const WeftRows *call) {
  const WeftStatus status = validate(call);
  if (status != WEFT_OK) return status;
  const WeftRows &c = *call;
  if (c.type != WEFT_FLOAT16 && c.type != WEFT_BFLOAT16) return WEFT_UNSUPPORTED_TYPE;
  if (c.head_dim != 32 && c.head_dim != 64 && c.head_dim != 128) return WEFT_UNSUPPORTED_HEAD;
  if (!aligned({c.k, c.v, c.k_out, c.v_out, c.k_norm, c.cos, c.sin})) return WEFT_MISALIGNED;
  if (static_cast<int64_t>(c.batch) * c.kv_heads > kMaxGridY) return WEFT_TOO_LARGE;
  return WEFT_OK;
}

}  // namespace weft
