// The float32 kernel of DPCW attention, on plain cores: any length of either source.
//
// One block takes kRows query rows of one head; a quad of threads takes one row, each thread a
// quarter of its head dimension in interleaved chunks of four, so that the quad's reads of a shared
// row are one contiguous line and the other rows of the warp read the same words. Keys and values
// pass through shared memory in tiles; the two sources are walked one after the other under one
// online softmax. Rows of a tile beyond the source's end are zero-filled and score -inf, so garbage
// behind the valid length, NaN included, never enters a sum.
//
// It is the float32 reference on the device, for parity, and not a fast one.
#pragma once

#include "tiles.cuh"

namespace weft::plain {

constexpr int kQuad = 4;
constexpr int kRows = 32;
static_assert(kThreads == kRows * kQuad);
constexpr int kKeys = 32;
constexpr int kStep = 8;
// Blocks that must fit on one multiprocessor: names the register budget (128; 168 for D = 128),
// without which the compiler spills to reach more blocks.
template <int D>
constexpr int kBlocks = D <= 64 ? 4 : 3;

WEFT_DEVICE float4 load_four(const float *p) { return *reinterpret_cast<const float4 *>(p); }

// Copies `count` rows of D values to the tile as float32 and zeroes the rest of it.
template <int D>
WEFT_DEVICE void load_tile(float4 (*tile)[D / 4], const float *rows, int count) {
  for (int i = threadIdx.x; i < kKeys * (D / 4); i += kThreads) {
    const int row = i / (D / 4), column = i % (D / 4);
    tile[row][column] = row < count ? load_four(rows + static_cast<int64_t>(row) * D + column * 4)
                                    : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  }
}

// What a thread keeps of its query row: the whole row's maximum and sum, a quarter of its value.
template <int D>
struct RowState {
  float4 q[D / 16];
  float4 value[D / 16];
  float peak, sum;
};

template <int D>
WEFT_DEVICE void fold_step(RowState<D> &row, const float4 (*keys)[D / 4],
                                          const float4 (*values)[D / 4], int first, int count,
                                          int part) {
  float score[kStep];
  float peak = row.peak;
#pragma unroll
  for (int j = 0; j < kStep; ++j) {
    float partial = 0.0f;
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
      const float4 k = keys[first + j][part + kQuad * i];
      partial += row.q[i].x * k.x + row.q[i].y * k.y + row.q[i].z * k.z + row.q[i].w * k.w;
    }
    partial += shuffle_xor(partial, 1);
    partial += shuffle_xor(partial, 2);
    score[j] = first + j < count ? partial : -INFINITY;
    peak = fmaxf(peak, score[j]);
  }
  // The first key of a step is always valid, so `peak` is finite here.
  const float shrink = power_of_two(row.peak - peak);
  row.sum *= shrink;
#pragma unroll
  for (int i = 0; i < D / 16; ++i) {
    row.value[i].x *= shrink;
    row.value[i].y *= shrink;
    row.value[i].z *= shrink;
    row.value[i].w *= shrink;
  }
#pragma unroll
  for (int j = 0; j < kStep; ++j) {
    const float weight = power_of_two(score[j] - peak);
    row.sum += weight;
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
      const float4 v = values[first + j][part + kQuad * i];
      row.value[i].x += weight * v.x;
      row.value[i].y += weight * v.y;
      row.value[i].z += weight * v.z;
      row.value[i].w += weight * v.w;
    }
  }
  row.peak = peak;
}

// Grid: (ceil(T / kRows), B * H). Block: kThreads.
template <int D>
__global__ void __launch_bounds__(kThreads, kBlocks<D>) dpcw_plain_kernel(Attention a) {
  __shared__ float4 keys[kKeys][D / 4];
  __shared__ float4 values[kKeys][D / 4];

  const int item = blockIdx.y / a.heads, head = blockIdx.y % a.heads;
  const int64_t own = static_cast<int64_t>(blockIdx.y) * a.tokens * D;
  const int64_t group = static_cast<int64_t>(item) * a.kv_heads + head / (a.heads / a.kv_heads);
  const int tokens = valid_rows(a.self_length, item, a.tokens);
  const int part = threadIdx.x % kQuad;
  const float *q_rows = static_cast<const float *>(a.q) + own;
  float *y_rows = static_cast<float *>(a.y) + own;
  const int t = blockIdx.x * kRows + threadIdx.x / kQuad;

  RowState<D> row;
  row.peak = -INFINITY;
  row.sum = 0.0f;
#pragma unroll
  for (int i = 0; i < D / 16; ++i) {
    float4 q = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    row.value[i] = q;
    if (t < tokens) q = load_four(q_rows + static_cast<int64_t>(t) * D + (part + kQuad * i) * 4);
    row.q[i] = make_float4(q.x * a.scale, q.y * a.scale, q.z * a.scale, q.w * a.scale);
  }

#pragma unroll 1
  for (int source = 0; source < 2; ++source) {
    const int capacity = source == 0 ? a.window : a.tokens;
    const int rows = source == 0 ? valid_rows(a.window_length, item, capacity) : tokens;
    const float *k =
        static_cast<const float *>(source == 0 ? a.k_window : a.k_self) + group * capacity * D;
    const float *v =
        static_cast<const float *>(source == 0 ? a.v_window : a.v_self) + group * capacity * D;
#pragma unroll 1
    for (int start = 0; start < rows; start += kKeys) {
      const int count = rows - start < kKeys ? rows - start : kKeys;
      block_barrier();  // the previous tile is no longer read
      load_tile<D>(keys, k + static_cast<int64_t>(start) * D, count);
      load_tile<D>(values, v + static_cast<int64_t>(start) * D, count);
      block_barrier();
#pragma unroll 1
      for (int first = 0; first < count; first += kStep)
        fold_step<D>(row, keys, values, first, count, part);
    }
  }

  if (t >= a.tokens) return;
  const float inverse = t < tokens ? 1.0f / row.sum : 0.0f;
#pragma unroll
  for (int i = 0; i < D / 16; ++i) {
    float4 y = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (t < tokens)
      y = make_float4(row.value[i].x * inverse, row.value[i].y * inverse,
                      row.value[i].z * inverse, row.value[i].w * inverse);
    *reinterpret_cast<float4 *>(y_rows + static_cast<int64_t>(t) * D + (part + kQuad * i) * 4) = y;
  }
}

}  // namespace weft::plain
