#include "validate.h"

namespace weft {
namespace {

bool both_or_none(const void *a, const void *b) { return (a == nullptr) == (b == nullptr); }

// An FP8 cache has two scales; any other has none.
WeftStatus check_scales(int32_t type, const float *k_scale, const float *v_scale) {
  const bool scaled = type == WEFT_FLOAT8_E4M3;
  return (k_scale != nullptr) == scaled && (v_scale != nullptr) == scaled ? WEFT_OK
                                                                          : WEFT_BAD_OPTION;
}

}  // namespace

WeftStatus validate(const WeftDPCWAttention *call) {
  if (call == nullptr) return WEFT_NULL_POINTER;
  const WeftDPCWAttention &c = *call;
  if (c.batch <= 0 || c.heads <= 0 || c.kv_heads <= 0 || c.tokens <= 0 || c.head_dim <= 0 ||
      c.window < 0 || c.series <= 0 || c.batch % c.series != 0)
    return WEFT_BAD_SHAPE;
  if (c.heads % c.kv_heads != 0) return WEFT_BAD_HEADS;
  if (c.q == nullptr || c.k_self == nullptr || c.v_self == nullptr || c.y == nullptr)
    return WEFT_NULL_POINTER;
  if (c.window > 0 && (c.k_window == nullptr || c.v_window == nullptr)) return WEFT_NULL_POINTER;
  if (!both_or_none(c.cos, c.sin)) return WEFT_BAD_OPTION;
  if (c.cos != nullptr && (c.head_dim % 2 != 0 || (c.tables != 1 && c.tables != c.batch)))
    return WEFT_BAD_SHAPE;
  if ((c.q_norm != nullptr || c.k_norm != nullptr) && !(c.epsilon >= 0.0f)) return WEFT_BAD_OPTION;
  if (c.window_type != c.type && c.window_type != WEFT_FLOAT8_E4M3) return WEFT_UNSUPPORTED_TYPE;
  return check_scales(c.window_type, c.k_scale, c.v_scale);
}

WeftStatus validate(const WeftRows *call) {
  if (call == nullptr) return WEFT_NULL_POINTER;
  const WeftRows &c = *call;
  if (c.batch <= 0 || c.kv_heads <= 0 || c.capacity <= 0 || c.rows < 0 || c.out_capacity <= 0 ||
      c.start < 0 || c.head_dim <= 0 || c.head_dim % 2 != 0)
    return WEFT_BAD_SHAPE;
  if (c.index == nullptr && c.rows > c.capacity) return WEFT_BAD_SHAPE;
  if (c.k == nullptr || c.v == nullptr || c.k_out == nullptr || c.v_out == nullptr)
    return WEFT_NULL_POINTER;
  if (!both_or_none(c.cos, c.sin)) return WEFT_BAD_OPTION;
  if (c.k_norm != nullptr && !(c.epsilon >= 0.0f)) return WEFT_BAD_OPTION;
  if (c.out_type != c.type && c.out_type != WEFT_FLOAT8_E4M3) return WEFT_UNSUPPORTED_TYPE;
  return check_scales(c.out_type, c.k_scale, c.v_scale);
}

}  // namespace weft

extern "C" const char *weft_status_message(int32_t status) {
  switch (status) {
    case WEFT_OK: return "done";
    case WEFT_NULL_POINTER: return "a tensor that must be read or written is NULL";
    case WEFT_BAD_SHAPE: return "a size is out of its range";
    case WEFT_BAD_HEADS: return "heads is not a multiple of kv_heads";
    case WEFT_UNSUPPORTED_TYPE: return "the kernel has no variant for these types";
    case WEFT_UNSUPPORTED_HEAD: return "the kernel has no variant for this head_dim";
    case WEFT_MISALIGNED: return "a tensor does not start on a 16-byte boundary";
    case WEFT_TOO_LARGE: return "a size is beyond what one launch covers";
    case WEFT_LAUNCH_FAILED: return "the device refused the launch";
    case WEFT_BAD_OPTION:
      return "cos and sin, or k_scale, v_scale and an FP8 type, do not stand together";
    case WEFT_UNSUPPORTED_OPTION: return "the kernel for this type lacks this optional input";
    default: return "unknown status";
  }
}
