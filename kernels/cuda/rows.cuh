// Rows of keys and values into a cache: gather, norm, rotation, conversion, store. See weft/rows.h.
#pragma once

#include "tiles.cuh"
#include "weft/rows.h"

namespace weft {

struct Yes {
  static constexpr bool value = true;
};
struct No {
  static constexpr bool value = false;
};

template <typename Element, bool Fp8, int D>
struct RowsVariant {
  using T = Element;
  static constexpr bool kFp8 = Fp8;
  static constexpr int kDim = D;
  static constexpr int kParts = D / 16;  // threads of a row
  static constexpr int kAtOnce = kThreads / kParts;
};

// Stores eight elements, chunk `chunk` of the row at `row`.
template <class V>
WEFT_DEVICE void store_eight(void *rows, int64_t row, int chunk, const float (&x)[8], float scale) {
  auto *bytes = static_cast<unsigned char *>(rows);
  if (!V::kFp8) {
    *reinterpret_cast<uint4 *>(bytes + (row * V::kDim + chunk * 8) * 2) = close<typename V::T>(x);
    return;
  }
  uint2 packed = {0, 0};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    packed.x |= to_fp8(x[i] * scale) << (8 * i);
    packed.y |= to_fp8(x[i + 4] * scale) << (8 * i);
  }
  *reinterpret_cast<uint2 *>(bytes + row * V::kDim + chunk * 8) = packed;
}

template <class V>
WEFT_DEVICE void read_pairs(const void *rows, int64_t row, int part, float (&x)[8],
                            float (&y)[8]) {
  const auto *from = static_cast<const unsigned char *>(rows) + row * V::kDim * 2 + part * 16;
  open<typename V::T>(*reinterpret_cast<const uint4 *>(from), x);
  open<typename V::T>(*reinterpret_cast<const uint4 *>(from + V::kDim), y);
}

template <class V>
WEFT_DEVICE void write_pairs(void *rows, int64_t row, int part, const float (&x)[8],
                             const float (&y)[8], float scale) {
  store_eight<V>(rows, row, part, x, scale);
  store_eight<V>(rows, row, part + V::kParts, y, scale);
}

// Blocks that must fit on one multiprocessor; without it the compiler spills to reach more.
constexpr int kRowsBlocks = 8;

// Grid: (ceil(N / kAtOnce), B * KV). Block: kThreads; kParts neighbouring threads take one row.
template <class V>
__global__ void __launch_bounds__(kThreads, kRowsBlocks) rows_kernel(WeftRows c) {
  const int part = threadIdx.x % V::kParts, head = blockIdx.y % c.kv_heads;
  const int row = blockIdx.x * V::kAtOnce + static_cast<int>(threadIdx.x) / V::kParts;
  const int64_t place = row + c.start + (c.offset == nullptr ? 0 : *c.offset);
  const bool inside = row < c.rows && place >= 0 && place < c.out_capacity;
  int64_t source = c.index != nullptr && inside ? c.index[row] : row;
  source = source < 0 ? 0 : (source < c.capacity ? source : c.capacity - 1);
  const int64_t from = blockIdx.y * static_cast<int64_t>(c.capacity) + source;
  const int64_t to = blockIdx.y * static_cast<int64_t>(c.out_capacity) + place;

  float x[8], y[8];
  read_pairs<V>(c.k, from, part, x, y);
  // All lanes of the warp take part in the norm's sums, rows outside included.
  if (c.k_norm != nullptr) norm_row<V::kDim>(x, y, c.k_norm, c.epsilon, part);
  if (!inside) return;
  if (c.cos != nullptr) {
    const int64_t at = static_cast<int64_t>(row) * (V::kDim / 2);
    rotate_row(x, y, c.cos + at, c.sin + at, part);
  }
  write_pairs<V>(c.k_out, to, part, x, y, V::kFp8 ? inverse_scale(c.k_scale[head]) : 1.0f);
  read_pairs<V>(c.v, from, part, x, y);
  write_pairs<V>(c.v_out, to, part, x, y, V::kFp8 ? inverse_scale(c.v_scale[head]) : 1.0f);
}

}  // namespace weft
