// Rows of keys and values into a cache, on the CPU. See weft/rows.h.

#include <algorithm>
#include <cstddef>

#include "numbers.h"
#include "validate.h"

namespace {

constexpr int kMaxHeadDim = 256;

void store(const WeftRows &c, void *to, size_t at, const float *row, float scale) {
  if (c.out_type == WEFT_FLOAT32) {
    std::copy(row, row + c.head_dim, static_cast<float *>(to) + at);
    return;
  }
  auto *bytes = static_cast<uint8_t *>(to) + at;
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  for (int d = 0; d < c.head_dim; ++d) bytes[d] = weft::to_fp8(row[d] * inverse);
}

}  // namespace

extern "C" WeftStatus weft_rows_cpu_can_implement(const WeftRows *call) {
  const WeftStatus status = weft::validate(call);
  if (status != WEFT_OK) return status;
  if (call->type != WEFT_FLOAT32) return WEFT_UNSUPPORTED_TYPE;
  return call->head_dim > kMaxHeadDim ? WEFT_UNSUPPORTED_HEAD : WEFT_OK;
}

extern "C" WeftStatus weft_rows_cpu(const WeftRows *call) {
  const WeftStatus status = weft_rows_cpu_can_implement(call);
  if (status != WEFT_OK) return status;
  const WeftRows &c = *call;
  const size_t dim = static_cast<size_t>(c.head_dim);
  const int64_t first = c.start + (c.offset == nullptr ? 0 : *c.offset);
  for (int group = 0; group < c.batch * c.kv_heads; ++group) {
    const int head = group % c.kv_heads;
    const bool fp8 = c.out_type == WEFT_FLOAT8_E4M3;
    for (int i = 0; i < c.rows; ++i) {
      const int64_t place = first + i;
      if (place < 0 || place >= c.out_capacity) continue;
      const int64_t slot =
          std::clamp<int64_t>(c.index == nullptr ? i : c.index[i], 0, c.capacity - 1);
      const size_t from = (static_cast<size_t>(group) * c.capacity + slot) * dim;
      const size_t to = (static_cast<size_t>(group) * c.out_capacity + place) * dim;
      const size_t angle = i * dim / 2;
      float row[kMaxHeadDim];
      weft::prepare_row(static_cast<const float *>(c.k) + from, row, c.head_dim, c.k_norm,
                        c.epsilon, c.cos == nullptr ? nullptr : c.cos + angle,
                        c.cos == nullptr ? nullptr : c.sin + angle);
      store(c, c.k_out, to, row, fp8 ? c.k_scale[head] : 1.0f);
      store(c, c.v_out, to, static_cast<const float *>(c.v) + from, fp8 ? c.v_scale[head] : 1.0f);
    }
  }
  return WEFT_OK;
}
