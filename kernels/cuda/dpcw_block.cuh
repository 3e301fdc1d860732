// The work of one block of DPCW attention: queries in, tiles of both sources, output out.
#pragma once

#include "dpcw_mma.cuh"

namespace weft {

// Which rows a block computes: of item and key/value head, rows first .. first + kRows - 1 of the
// packed `total`. Row r belongs to token r % T, and rows of tokens at or past `tokens` are zero.
struct Place {
  int item, kv_head;
  int first, total, tokens;
  int64_t memory;  // where the packed rows start, counted in rows
};

WEFT_DEVICE Place place_of(const Attention &a, int rows) {
  Place p;
  p.item = blockIdx.y / a.kv_heads;
  p.kv_head = blockIdx.y % a.kv_heads;
  const int group = a.heads / a.kv_heads;
  p.first = blockIdx.x * rows;
  p.total = group * a.tokens;
  p.memory = (static_cast<int64_t>(p.item) * a.heads + p.kv_head * group) * a.tokens;
  p.tokens = valid_rows(a.self_length, p.item, a.tokens);
  return p;
}

WEFT_DEVICE bool row_valid(const Attention &a, const Place &p, int row) {
  return row < p.total && row % a.tokens < p.tokens;
}

template <class G>
WEFT_DEVICE void copy_queries(const Attention &a, const Place &p, unsigned char *queries) {
  const auto *q = static_cast<const unsigned char *>(a.q);
#pragma unroll
  for (int i = threadIdx.x; i < G::kRows * G::kChunks; i += kThreads) {
    const int r = i / G::kChunks;
    const bool valid = row_valid(a, p, p.first + r);
    const int64_t from = valid ? (p.memory + p.first + r) * G::kRowBytes + i % G::kChunks * 16 : 0;
    copy_async(queries + place<G::kDim>(r, i % G::kChunks), q + from, valid);
  }
}

WEFT_DEVICE void store_chunk(const Attention &a, const Place &p, int row_bytes, int row, int chunk,
                             const uint4 &bits) {
  if (p.first + row >= p.total) return;
  auto *y = static_cast<unsigned char *>(a.y);
  *reinterpret_cast<uint4 *>(y + (p.memory + p.first + row) * row_bytes + chunk * 16) = bits;
}

// Sums of a row stand in four lanes; afterwards each holds the whole.
template <class G>
WEFT_DEVICE void complete_sums(Rows<G> &rows) {
#pragma unroll
  for (int m = 0; m < G::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float &sum = rows.sum[m][half];
      sum += shuffle_xor(sum, 1);
      sum += shuffle_xor(sum, 2);
    }
}

// Writes the warp's rows, through its own part of the query tile so that stores are whole lines.
template <class G>
WEFT_DEVICE void write_rows(const Attention &a, const Place &p, const Rows<G> &rows,
                            unsigned char *staging, int row) {
  const int lane = threadIdx.x % 32;
  warp_barrier();
#pragma unroll
  for (int m = 0; m < G::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = row + m * 16 + half * 8 + lane / 4;
      const bool valid = row_valid(a, p, p.first + r);
      const float inverse = 1.0f / rows.sum[m][half];
#pragma unroll
      for (int n = 0; n < G::kDim / 8; ++n) {
        const float x = valid ? rows.value[m][n][2 * half] * inverse : 0.0f;
        const float y = valid ? rows.value[m][n][2 * half + 1] * inverse : 0.0f;
        *reinterpret_cast<uint32_t *>(staging + place<G::kDim>(r, n) + lane % 4 * 4) =
            pack(typename G::T{}, x, y);
      }
    }
  warp_barrier();
#pragma unroll
  for (int i = lane; i < 16 * G::kRowTiles * G::kChunks; i += 32) {
    const int r = row + i / G::kChunks, chunk = i % G::kChunks;
    store_chunk(a, p, G::kRowBytes, r, chunk,
                *reinterpret_cast<const uint4 *>(staging + place<G::kDim>(r, chunk)));
  }
}

// Leaves the warp's rows in shared memory: values [KeyWarps][kRows][D + 4], then peaks and sums.
template <class G>
WEFT_DEVICE void leave_rows(const Rows<G> &rows, float *merge, int row, int part) {
  constexpr int kPitch = G::kDim + 4;
  const int lane = threadIdx.x % 32;
  float *statistics = merge + G::kKeyWarps * G::kRows * kPitch;
#pragma unroll
  for (int m = 0; m < G::kRowTiles; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = part * G::kRows + row + m * 16 + half * 8 + lane / 4;
#pragma unroll
      for (int n = 0; n < G::kDim / 8; ++n)
        *reinterpret_cast<float2 *>(merge + r * kPitch + n * 8 + lane % 4 * 2) =
            make_float2(rows.value[m][n][2 * half], rows.value[m][n][2 * half + 1]);
      if (lane % 4 == 0) {
        statistics[2 * r] = rows.peak[m][half];
        statistics[2 * r + 1] = rows.sum[m][half];
      }
    }
}

// Brings the key warps' softmaxes of every row under one and writes the rows.
template <class G>
WEFT_DEVICE void merge_rows(const Attention &a, const Place &p, const float *merge) {
  constexpr int kPitch = G::kDim + 4;
  const float *statistics = merge + G::kKeyWarps * G::kRows * kPitch;
#pragma unroll 1
  for (int i = threadIdx.x; i < G::kRows * G::kChunks; i += kThreads) {
    const int r = i / G::kChunks, chunk = i % G::kChunks;
    float peak = -INFINITY, sum = 0.0f, value[8] = {};
#pragma unroll
    for (int w = 0; w < G::kKeyWarps; ++w)
      peak = fmaxf(peak, statistics[2 * (w * G::kRows + r)]);
    const bool valid = row_valid(a, p, p.first + r);
#pragma unroll
    for (int w = 0; w < G::kKeyWarps; ++w) {
      const int at = w * G::kRows + r;
      const float weight = power_of_two(statistics[2 * at] - peak);
      float part[8];
      load_eight(part, merge + at * kPitch + chunk * 8);
      sum += statistics[2 * at + 1] * weight;
#pragma unroll
      for (int d = 0; d < 8; ++d) value[d] += part[d] * weight;
    }
    const float inverse = 1.0f / sum;
#pragma unroll
    for (int d = 0; d < 8; ++d) value[d] = valid ? value[d] * inverse : 0.0f;
    store_chunk(a, p, G::kRowBytes, r, chunk, close<typename G::T>(value));
  }
}

// Grid: (ceil(H / KV * T / kRows), B * KV). Block: kThreads. Shared memory: G::kSharedBytes.
template <class G>
WEFT_DEVICE void attend(const Attention &a, unsigned char *shared) {
  const Place p = place_of(a, G::kRows);
  const int warp = threadIdx.x / 32;
  const int row = warp / G::kKeyWarps * (16 * G::kRowTiles);
  const int first_key = warp % G::kKeyWarps * G::kWarpKeys;
  unsigned char *queries = shared, *stages = shared + G::kQueryBytes;

  Tile tile = tile_from<G::kKeys>(a, p.item, 0, 0);
  copy_queries<G>(a, p, queries);
  copy_tile<G>(a, tile, p.item, p.kv_head, stages, stages + G::kTileBytes);
  copies_commit();
  copies_wait<0>();
  block_barrier();
  if (a.q_norm != nullptr || a.cos != nullptr) {
    prepare_rows<G, G::kRows>(a, queries, a.q_norm, p.item, p.first, p.total - p.first);
    block_barrier();
  }
  uint32_t held[G::kRowTiles][G::kDim / 16][4];
  if (G::kHoldQueries) {
#pragma unroll
    for (int m = 0; m < G::kRowTiles; ++m)
#pragma unroll
      for (int step = 0; step < G::kDim / 16; ++step)
        load_query<G>(held[m][step], queries, row + m * 16, step);
  }

  Rows<G> rows;
#pragma unroll
  for (int m = 0; m < G::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) rows.peak[m][half] = -INFINITY, rows.sum[m][half] = 0.0f;
#pragma unroll
    for (int n = 0; n < G::kDim / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) rows.value[m][n][i] = 0.0f;
  }

  bool passed = !G::kFp8;  // the FP8 window's values have their scale
#pragma unroll 1
  for (int stage = 0; tile.count > 0; stage ^= 1) {
    unsigned char *keys = stages + stage * 2 * G::kTileBytes, *values = keys + G::kTileBytes;
    copies_wait<0>();
    block_barrier();  // this stage has landed, and nobody reads the other one any more
    const Tile next = tile_from<G::kKeys>(a, p.item, tile.source, tile.start + G::kKeys);
    if (next.count > 0) {
      unsigned char *other = stages + (stage ^ 1) * 2 * G::kTileBytes;
      copy_tile<G>(a, next, p.item, p.kv_head, other, other + G::kTileBytes);
    }
    copies_commit();
    float factor = a.scale;
    if (tile.source > 0) {
      if (a.k_norm != nullptr || a.cos != nullptr) {
        prepare_rows<G, G::kKeys>(a, keys, a.k_norm, picture_of(a, p.item, tile.source), tile.start,
                                  tile.count);
        block_barrier();
      }
      if (!passed) {
        passed = true;
        const float scale = a.v_scale[p.kv_head] * Fp8<typename G::T>::kFactor;
#pragma unroll
        for (int m = 0; m < G::kRowTiles; ++m)
#pragma unroll
          for (int n = 0; n < G::kDim / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) rows.value[m][n][i] *= scale;
      }
    } else if (G::kFp8) {
      // Above 0, because scores behind the window are -inf, and -inf * 0 is NaN.
      factor *= fmaxf(a.k_scale[p.kv_head], 1e-30f) * Fp8<typename G::T>::kFactor;
      widen_tile<G>(keys, values);
    }
    if (first_key < tile.count)
      fold_tile<G>(rows, held, queries, keys, values, row, first_key, tile.count, factor);
    tile = next;
  }

  complete_sums(rows);
  if (G::kKeyWarps == 1) {
    write_rows(a, p, rows, queries, row);
    return;
  }
  block_barrier();  // the tiles are read; their memory serves the merging
  auto *merge = reinterpret_cast<float *>(shared);
  leave_rows(rows, merge, row, warp % G::kKeyWarps);
  block_barrier();
  merge_rows<G>(a, p, merge);
}

template <class G>
__global__ void __launch_bounds__(kThreads, G::kBlocks) dpcw_mma_kernel(Attention a) {
  WEFT_DYNAMIC_SHARED(shared);
  attend<G>(a, shared);
}

// The variants. Wide: 128 query rows a block, every fragment of keys and values used for 32 rows.
// Narrow: few rows, the warps share the keys, for calls too small to fill the device otherwise.
template <typename T, bool Fp8, int D>
struct Variants;

template <typename T, bool Fp8>
struct Variants<T, Fp8, 32> {
  using Wide = Tiling<T, Fp8, 32, 4, 2, 1, 64, 2>;
  using Narrow = Tiling<T, Fp8, 32, 1, 1, 4, 64, 4>;
};

template <typename T, bool Fp8>
struct Variants<T, Fp8, 64> {
  using Wide = Tiling<T, Fp8, 64, 4, 2, 1, 64, 2>;
  using Narrow = Tiling<T, Fp8, 64, 1, 1, 4, 64, Fp8 ? 3 : 4>;
};

template <typename T, bool Fp8>
struct Variants<T, Fp8, 128> {
  using Wide = Tiling<T, Fp8, 128, 4, 2, 1, 32, 2>;
  using Narrow = Tiling<T, Fp8, 128, 2, 1, 2, 32, 3>;
};

}  // namespace weft
