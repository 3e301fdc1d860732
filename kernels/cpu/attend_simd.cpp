// The vectorized kernel, for AVX2, AVX-512 and NEON from one source; the processor is asked once.
//
// Keys are first laid out in panels of two vectors, dimension by dimension, so that scores of
// neighbouring keys are neighbouring lanes and no sum runs across lanes. Then blocks of kRows query
// rows take chunks of keys: scores (kRows × 2 vectors of accumulators), softmax, values (the same
// accumulators over the head's dimension). A chunk's scores stay in the first-level cache.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/attend_simd.cpp"
// Vectors of unknown length cannot stand in arrays; the older sets are too old for this model.
#define HWY_DISABLED_TARGETS                                                              \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_SSE4)
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "attend.h"

HWY_BEFORE_NAMESPACE();
namespace weft {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

constexpr int kRows = 6;     // 12 accumulators: as many as 16 registers leave room for
constexpr int kChunk = 384;  // keys; kRows × kChunk scores are 9 KiB
constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));
constexpr int kPanel = 2 * kLanes;
static_assert(kChunk % kPanel == 0);

// 2^x for x <= 0, relative error 2e-7; 0 far below.
HWY_INLINE Vector power_of_two(Vector x) {
  const Tag tag;
  const hn::RebindToSigned<Tag> integers;
  x = hn::Max(x, hn::Set(tag, -126.0f));
  const Vector whole = hn::Round(x);
  const Vector f = hn::Sub(x, whole);
  Vector y = hn::Set(tag, 1.535336188319500e-4f);
  y = hn::MulAdd(y, f, hn::Set(tag, 1.339887440266574e-3f));
  y = hn::MulAdd(y, f, hn::Set(tag, 9.618437357674640e-3f));
  y = hn::MulAdd(y, f, hn::Set(tag, 5.550332471162809e-2f));
  y = hn::MulAdd(y, f, hn::Set(tag, 2.402264791363012e-1f));
  y = hn::MulAdd(y, f, hn::Set(tag, 6.931472028550421e-1f));
  y = hn::MulAdd(y, f, hn::Set(tag, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(integers, whole));
  return hn::BitCast(tag, hn::Add(hn::BitCast(integers, y), exponent));
}

// out[j][d][lane] = k[j * kPanel + lane][d]; lanes past the last row are zero.
void pack_panels(const Stretch &s, int dim, float *out) {
  for (int start = 0; start < s.rows; start += kPanel, out += static_cast<size_t>(dim) * kPanel) {
    const int count = std::min(kPanel, s.rows - start);
    const float *k = s.k + static_cast<size_t>(start) * dim;
    for (int d = 0; d < dim; ++d) {
      for (int i = 0; i < count; ++i) out[d * kPanel + i] = k[static_cast<size_t>(i) * dim + d];
      for (int i = count; i < kPanel; ++i) out[d * kPanel + i] = 0.0f;
    }
  }
}

// The two accumulator loops are one: c[r] += a[r][i] * b[i], with b's rows of two vectors.
// a is read at a[r * a_pitch + i], b at b + i * b_pitch.
HWY_INLINE void multiply(const float *const *a, const float *b, size_t b_pitch, int count,
                         Vector (&c)[kRows][2]) {
  const Tag tag;
  for (int i = 0; i < count; ++i, b += b_pitch) {
    const Vector low = hn::LoadU(tag, b), high = hn::LoadU(tag, b + kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const Vector x = hn::Set(tag, a[r][i]);
      c[r][0] = hn::MulAdd(x, low, c[r][0]);
      c[r][1] = hn::MulAdd(x, high, c[r][1]);
    }
  }
}

HWY_INLINE void clear(Vector (&c)[kRows][2]) {
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) c[r][0] = c[r][1] = hn::Zero(Tag());
}

// Scores of a chunk to weights; gives back by how much the row's older sums shrink.
HWY_INLINE float soften(float *score, int count, float scale, float &peak, float &sum) {
  const Tag tag;
  const int padded = (count + kPanel - 1) / kPanel * kPanel;
  std::fill(score + count, score + padded, -std::numeric_limits<float>::infinity());
  Vector highest = hn::LoadU(tag, score);
  for (int i = kLanes; i < padded; i += kLanes)
    highest = hn::Max(highest, hn::LoadU(tag, score + i));
  const float top = std::max(peak, hn::GetLane(hn::MaxOfLanes(tag, highest)) * scale);
  const float shrink = std::exp2(peak - top);
  const Vector factor = hn::Set(tag, scale), minus = hn::Set(tag, top);
  Vector total = hn::Zero(tag);
  for (int i = 0; i < padded; i += kLanes) {
    const Vector w = power_of_two(hn::MulSub(hn::LoadU(tag, score + i), factor, minus));
    hn::StoreU(w, tag, score + i);
    total = hn::Add(total, w);
  }
  // What the padding added: 2^-126 each, below the sum's last bit; it has no value to weigh.
  sum = sum * shrink + hn::GetLane(hn::SumOfLanes(tag, total));
  peak = top;
  return shrink;
}

// One chunk of one stretch, for kRows rows at once.
void fold_chunk(const float *const (&q)[kRows], const float *panels, const float *v, int count,
                int dim, float scale, float *score, float *value, float (&peak)[kRows],
                float (&sum)[kRows]) {
  const Tag tag;
  const float *weights[kRows];
  Vector c[kRows][2];
  for (int start = 0; start < count; start += kPanel) {
    clear(c);
    multiply(q, panels + static_cast<size_t>(start) * dim, kPanel, dim, c);
    for (int r = 0; r < kRows; ++r) {
      hn::StoreU(c[r][0], tag, score + r * kChunk + start);
      hn::StoreU(c[r][1], tag, score + r * kChunk + start + kLanes);
    }
  }
  float shrink[kRows];
  for (int r = 0; r < kRows; ++r) {
    weights[r] = score + r * kChunk;
    shrink[r] = soften(score + r * kChunk, count, scale, peak[r], sum[r]);
  }
  for (int d = 0; d < dim; d += kPanel) {
    for (int r = 0; r < kRows; ++r) {
      const Vector less = hn::Set(tag, shrink[r]);
      c[r][0] = hn::Mul(less, hn::LoadU(tag, value + r * dim + d));
      c[r][1] = hn::Mul(less, hn::LoadU(tag, value + r * dim + d + kLanes));
    }
    multiply(weights, v + d, static_cast<size_t>(dim), count, c);
    for (int r = 0; r < kRows; ++r) {
      hn::StoreU(c[r][0], tag, value + r * dim + d);
      hn::StoreU(c[r][1], tag, value + r * dim + d + kLanes);
    }
  }
}

void attend_block(const Queries &rows, int first, const std::vector<Stretch> &stretches,
                  const float *panels, float *score, float *value) {
  const float *q[kRows];
  float peak[kRows], sum[kRows];
  for (int r = 0; r < kRows; ++r) {
    // Past the end the last row is computed again: its result is the same.
    q[r] = rows.q + static_cast<size_t>(std::min(first + r, rows.rows - 1)) * rows.dim;
    peak[r] = -std::numeric_limits<float>::infinity();
    sum[r] = 0.0f;
  }
  std::fill(value, value + kRows * rows.dim, 0.0f);
  for (const Stretch &s : stretches) {
    for (int start = 0; start < s.rows; start += kChunk) {
      const int count = std::min(kChunk, s.rows - start);
      fold_chunk(q, panels, s.v + static_cast<size_t>(start) * rows.dim, count, rows.dim,
                 rows.scale, score, value, peak, sum);
      panels += static_cast<size_t>((count + kPanel - 1) / kPanel) * kPanel * rows.dim;
    }
  }
  for (int r = 0; r < std::min(kRows, rows.rows - first); ++r) {
    float *y = rows.y + static_cast<size_t>(first + r) * rows.dim;
    const float inverse = 1.0f / sum[r];
    for (int d = 0; d < rows.dim; ++d) y[d] = value[r * rows.dim + d] * inverse;
  }
}

void attend(const Queries &given, const std::vector<Stretch> &stretches,
            std::vector<float> &scratch) {
  if (given.dim % kPanel != 0) return attend_rows_plain(given, stretches, scratch);
  Queries rows = given;
  rows.scale *= 1.44269504f;
  size_t padded = 0;
  for (const Stretch &s : stretches) padded += (s.rows + kPanel - 1) / kPanel * kPanel;
  scratch.resize((padded + kRows) * rows.dim + kRows * kChunk);
  float *panels = scratch.data(), *value = panels + padded * rows.dim;
  float *score = value + kRows * rows.dim;
  float *next = panels;
  for (const Stretch &s : stretches) {
    pack_panels(s, rows.dim, next);
    next += static_cast<size_t>((s.rows + kPanel - 1) / kPanel) * kPanel * rows.dim;
  }
  for (int first = 0; first < rows.rows; first += kRows)
    attend_block(rows, first, stretches, panels, score, value);
}

}  // namespace HWY_NAMESPACE
}  // namespace weft
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace weft {

HWY_EXPORT(attend);

void attend_rows(const Queries &rows, const std::vector<Stretch> &stretches,
                 std::vector<float> &scratch) {
  HWY_DYNAMIC_DISPATCH(attend)(rows, stretches, scratch);
}

}  // namespace weft
#endif
