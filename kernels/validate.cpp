#include "validate.h"

namespace weft {

WeftStatus validate(const WeftDPCWAttention *call) {
  if (call == nullptr) return WEFT_NULL_POINTER;
  const WeftDPCWAttention &c = *call;
  if (c.batch <= 0 || c.heads <= 0 || c.kv_heads <= 0 || c.tokens <= 0 || c.head_dim <= 0 ||
      c.window < 0)
    return WEFT_BAD_SHAPE;
  if (c.heads % c.kv_heads != 0) return WEFT_BAD_HEADS;
  if (c.q == nullptr || c.k_self == nullptr || c.v_self == nullptr || c.y == nullptr)
    return WEFT_NULL_POINTER;
  if (c.window > 0 && (c.k_window == nullptr || c.v_window == nullptr)) return WEFT_NULL_POINTER;
  return WEFT_OK;
}

}  // namespace weft

extern "C" const char *weft_status_message(int32_t status) {
  switch (status) {
    case WEFT_OK: return "done";
    case WEFT_NULL_POINTER: return "a tensor that must be read or written is NULL";
    case WEFT_BAD_SHAPE: return "a size is negative, or batch, heads, tokens or head_dim is 0";
    case WEFT_BAD_HEADS: return "heads is not a multiple of kv_heads";
    case WEFT_UNSUPPORTED_TYPE: return "the kernel has no variant for this type";
    case WEFT_UNSUPPORTED_HEAD: return "the kernel has no variant for this head_dim";
    case WEFT_MISALIGNED: return "a tensor does not start on a 16-byte boundary";
    case WEFT_TOO_LARGE: return "batch * heads or tokens is beyond what one launch covers";
    case WEFT_LAUNCH_FAILED: return "the device refused the launch";
    default: return "unknown status";
  }
}
