// Each query row walks the stretches in blocks of keys under one online softmax: a running maximum,
// a running sum and a running weighted value, rescaled when the maximum grows.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "attend.h"

namespace weft {
namespace {

constexpr int kBlock = 64;

struct State {
  float peak = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
};

float dot(const float *a, const float *b, int n) {
  float total = 0.0f;
  for (int i = 0; i < n; ++i) total += a[i] * b[i];
  return total;
}

void fold(State &state, float *value, const float *q, const Stretch &s, int dim, float scale) {
  float score[kBlock];
  for (int start = 0; start < s.rows; start += kBlock) {
    const int count = std::min(kBlock, s.rows - start);
    float peak = state.peak;
    for (int j = 0; j < count; ++j) {
      score[j] = scale * dot(q, s.k + static_cast<std::ptrdiff_t>(start + j) * dim, dim);
      peak = std::max(peak, score[j]);
    }
    const float shrink = std::exp(state.peak - peak);
    state.sum *= shrink;
    for (int d = 0; d < dim; ++d) value[d] *= shrink;
    for (int j = 0; j < count; ++j) {
      const float weight = std::exp(score[j] - peak);
      const float *v = s.v + static_cast<std::ptrdiff_t>(start + j) * dim;
      state.sum += weight;
      for (int d = 0; d < dim; ++d) value[d] += weight * v[d];
    }
    state.peak = peak;
  }
}

}  // namespace

void attend_rows_plain(const Queries &rows, const std::vector<Stretch> &stretches,
                       std::vector<float> &) {
  for (int r = 0; r < rows.rows; ++r) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(r) * rows.dim;
    float *value = rows.y + at;
    std::fill(value, value + rows.dim, 0.0f);
    State state;
    for (const Stretch &stretch : stretches)
      fold(state, value, rows.q + at, stretch, rows.dim, rows.scale);
    for (int d = 0; d < rows.dim; ++d) value[d] /= state.sum;
  }
}

#if !defined(WEFT_HIGHWAY)
void attend_rows(const Queries &rows, const std::vector<Stretch> &stretches,
                 std::vector<float> &scratch) {
  attend_rows_plain(rows, stretches, scratch);
}
#endif

}  // namespace weft
