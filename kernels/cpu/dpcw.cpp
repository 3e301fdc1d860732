// DPCW attention on the CPU, in float32: what the heads have in common, prepared, then attend_rows.
//
// A task is one query head of one item; tasks share nothing and may run on different threads. What
// is normed, rotated or stored as FP8 is written out once per task; anything else is read in place.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "attend.h"
#include "numbers.h"
#include "tasks.h"
#include "validate.h"

namespace weft {
namespace {

constexpr int kMaxHeadDim = 256;

using Floats = std::vector<float>;

int valid(const int32_t *lengths, int item, int capacity) {
  return lengths == nullptr ? capacity : std::clamp<int>(lengths[item], 0, capacity);
}

size_t offset(int a, int count, int b, int rows, int dim) {
  return (static_cast<size_t>(a) * count + b) * rows * dim;
}

// Rows of q or k_self of one item, normed and rotated; `x` itself where neither is asked for.
const float *prepared(const WeftDPCWAttention &c, const float *x, const float *weight, int item,
                      int rows, Floats &kept) {
  if (weight == nullptr && c.cos == nullptr) return x;
  const int dim = c.head_dim;
  const size_t table = (c.tables > 1 ? static_cast<size_t>(item) * c.tokens : 0) * (dim / 2);
  kept.resize(static_cast<size_t>(rows) * dim);
  for (int r = 0; r < rows; ++r) {
    const size_t at = static_cast<size_t>(r) * dim, angle = table + at / 2;
    prepare_row(x + at, kept.data() + at, dim, weight, c.epsilon,
                c.cos == nullptr ? nullptr : c.cos + angle,
                c.cos == nullptr ? nullptr : c.sin + angle);
  }
  return kept.data();
}

// Rows of the window as float32.
const float *widened(const WeftDPCWAttention &c, const void *x, size_t at, int rows, float scale,
                     Floats &kept) {
  if (c.window_type == WEFT_FLOAT32) return static_cast<const float *>(x) + at;
  const auto *bytes = static_cast<const uint8_t *>(x) + at;
  kept.resize(static_cast<size_t>(rows) * c.head_dim);
  for (size_t i = 0; i < kept.size(); ++i) kept[i] = from_fp8(bytes[i]) * scale;
  return kept.data();
}

}  // namespace

int task_count(const WeftDPCWAttention &c) { return c.batch * c.heads; }

void run_task(const WeftDPCWAttention &c, int task, Workspace &work) {
  const int item = task / c.heads, head = task % c.heads;
  const int kv_head = head / (c.heads / c.kv_heads), dim = c.head_dim;
  const int tokens = valid(c.self_length, item, c.tokens);
  const size_t own = offset(item, c.heads, head, c.tokens, dim);
  float *y = static_cast<float *>(c.y) + own;
  std::fill(y + static_cast<size_t>(tokens) * dim, y + static_cast<size_t>(c.tokens) * dim, 0.0f);
  if (tokens == 0) return;

  work.stretches.clear();
  work.keys.resize(c.series);
  const int seen = c.window > 0 ? valid(c.window_length, item, c.window) : 0;
  if (seen > 0) {
    const size_t at = offset(item, c.kv_heads, kv_head, c.window, dim);
    const bool fp8 = c.window_type == WEFT_FLOAT8_E4M3;
    work.stretches.push_back(
        {widened(c, c.k_window, at, seen, fp8 ? c.k_scale[kv_head] : 1.0f, work.k_window),
         widened(c, c.v_window, at, seen, fp8 ? c.v_scale[kv_head] : 1.0f, work.v_window), seen});
  }
  for (int i = 0; i < c.series; ++i) {
    const int other = item / c.series * c.series + i;
    const int rows = valid(c.self_length, other, c.tokens);
    const size_t at = offset(other, c.kv_heads, kv_head, c.tokens, dim);
    if (rows == 0) continue;
    work.stretches.push_back({prepared(c, static_cast<const float *>(c.k_self) + at, c.k_norm,
                                       other, rows, work.keys[i]),
                              static_cast<const float *>(c.v_self) + at, rows});
  }
  const float *q = prepared(c, static_cast<const float *>(c.q) + own, c.q_norm, item, tokens,
                            work.queries);
  attend_rows({q, y, tokens, dim, 1.0f / std::sqrt(static_cast<float>(dim))}, work.stretches,
              work.scratch);
}

}  // namespace weft

extern "C" WeftStatus weft_dpcw_cpu_can_implement(const WeftDPCWAttention *call) {
  const WeftStatus status = weft::validate(call);
  if (status != WEFT_OK) return status;
  if (call->type != WEFT_FLOAT32) return WEFT_UNSUPPORTED_TYPE;
  if (call->head_dim > weft::kMaxHeadDim) return WEFT_UNSUPPORTED_HEAD;
  return WEFT_OK;
}

extern "C" WeftStatus weft_dpcw_cpu(const WeftDPCWAttention *call) {
  const WeftStatus status = weft_dpcw_cpu_can_implement(call);
  if (status != WEFT_OK) return status;
  weft::Workspace work;
  for (int task = 0; task < weft::task_count(*call); ++task) weft::run_task(*call, task, work);
  return WEFT_OK;
}
