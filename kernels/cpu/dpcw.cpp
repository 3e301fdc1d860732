// DPCW attention on the CPU, in portable C++.
//
// For each query row the two sources are walked in blocks of keys under one online softmax: a
// running maximum, a running sum and a running weighted value, rescaled when the maximum grows.
// Nothing is joined and nothing is allocated. It is the readable native twin of the CUDA kernel,
// not a fast one.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "validate.h"
#include "weft/dpcw.h"

namespace {

constexpr int kMaxHeadDim = 256;
constexpr int kBlock = 64;

struct Row {
  float peak = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  float value[kMaxHeadDim] = {};
};

float dot(const float *a, const float *b, int n) {
  float total = 0.0f;
  for (int i = 0; i < n; ++i) total += a[i] * b[i];
  return total;
}

// Folds `rows` keys and values, [rows, D], into a query row's softmax.
void fold(Row &row, const float *q, const float *k, const float *v, int rows, int dim,
          float scale) {
  float score[kBlock];
  for (int start = 0; start < rows; start += kBlock) {
    const int count = std::min(kBlock, rows - start);
    float peak = row.peak;
    for (int j = 0; j < count; ++j) {
      score[j] = scale * dot(q, k + static_cast<std::ptrdiff_t>(start + j) * dim, dim);
      peak = std::max(peak, score[j]);
    }
    const float shrink = std::exp(row.peak - peak);
    row.sum *= shrink;
    for (int d = 0; d < dim; ++d) row.value[d] *= shrink;
    for (int j = 0; j < count; ++j) {
      const float weight = std::exp(score[j] - peak);
      const float *value = v + static_cast<std::ptrdiff_t>(start + j) * dim;
      row.sum += weight;
      for (int d = 0; d < dim; ++d) row.value[d] += weight * value[d];
    }
    row.peak = peak;
  }
}

int valid(const int32_t *lengths, int item, int capacity) {
  return lengths == nullptr ? capacity : std::clamp<int>(lengths[item], 0, capacity);
}

void attend_head(const WeftDPCWAttention &c, int item, int head) {
  const int kv_head = head / (c.heads / c.kv_heads);
  const std::ptrdiff_t dim = c.head_dim;
  const std::ptrdiff_t own = (static_cast<std::ptrdiff_t>(item) * c.heads + head) * c.tokens * dim;
  const std::ptrdiff_t group = static_cast<std::ptrdiff_t>(item) * c.kv_heads + kv_head;
  const std::ptrdiff_t self = group * c.tokens * dim;
  const std::ptrdiff_t window = group * c.window * dim;
  const int tokens = valid(c.self_length, item, c.tokens);
  const int window_rows = valid(c.window_length, item, c.window);
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  const float *q = static_cast<const float *>(c.q) + own;
  float *y = static_cast<float *>(c.y) + own;

  for (int t = 0; t < tokens; ++t) {
    Row row;
    if (window_rows > 0)
      fold(row, q + t * dim, static_cast<const float *>(c.k_window) + window,
           static_cast<const float *>(c.v_window) + window, window_rows, c.head_dim, scale);
    fold(row, q + t * dim, static_cast<const float *>(c.k_self) + self,
         static_cast<const float *>(c.v_self) + self, tokens, c.head_dim, scale);
    for (int d = 0; d < c.head_dim; ++d) y[t * dim + d] = row.value[d] / row.sum;
  }
  std::fill(y + tokens * dim, y + c.tokens * dim, 0.0f);
}

}  // namespace

extern "C" WeftStatus weft_dpcw_cpu_can_implement(const WeftDPCWAttention *call) {
  const WeftStatus status = weft::validate(call);
  if (status != WEFT_OK) return status;
  if (call->type != WEFT_FLOAT32) return WEFT_UNSUPPORTED_TYPE;
  if (call->head_dim > kMaxHeadDim) return WEFT_UNSUPPORTED_HEAD;
  return WEFT_OK;
}

extern "C" WeftStatus weft_dpcw_cpu(const WeftDPCWAttention *call) {
  const WeftStatus status = weft_dpcw_cpu_can_implement(call);
  if (status != WEFT_OK) return status;
  for (int item = 0; item < call->batch; ++item)
    for (int head = 0; head < call->heads; ++head) attend_head(*call, item, head);
  return WEFT_OK;
}
