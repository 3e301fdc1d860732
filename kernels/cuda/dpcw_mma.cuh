// DPCW attention on tensor cores: the window's keys and the pictures' own pass, tile by tile, under
// one online softmax; nothing is joined in memory.
//
// The H / KV query heads that share a key/value head are packed along the rows of a block: in
// [B, H, T, D] they are (H / KV) * T contiguous rows, so a picture of four tokens still fills a
// tile. Two stages of shared memory hold keys and values; while one is used, asynchronous copies
// fill the other, across the border between window and picture too. Scores, softmax and the output
// stay in float32 registers, in the fragment layout of mma.m16n8k16: lane l holds, of rows l / 4
// and l / 4 + 8, columns 2 (l % 4) and the next.
//
// The scales of an FP8 window cost nothing: the keys' goes into the softmax's scale, and the
// values' into the sums once, when the window has passed.
#pragma once

#include "tiles.cuh"

namespace weft {

// What a warp keeps of its rows.
template <class G>
struct Rows {
  float value[G::kRowTiles][G::kDim / 8][4];
  float peak[G::kRowTiles][2], sum[G::kRowTiles][2];
};

template <class G>
WEFT_DEVICE void load_query(uint32_t (&q)[4], const unsigned char *queries, int row, int step) {
  const int lane = threadIdx.x % 32;
  load_matrices(q, queries + place<G::kDim>(row + lane % 16, step * 2 + lane / 16));
}

// The warp's scores: queries times its part of the tile's keys.
template <class G>
WEFT_DEVICE void score_tile(float (&score)[G::kRowTiles][G::kWarpKeys / 8][4],
                            const uint32_t (&held)[G::kRowTiles][G::kDim / 16][4],
                            const unsigned char *queries, const unsigned char *keys, int row,
                            int first_key) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < G::kDim / 16; ++step) {
    uint32_t q[G::kRowTiles][4];
#pragma unroll
    for (int m = 0; m < G::kRowTiles; ++m) {
      if (G::kHoldQueries) {
#pragma unroll
        for (int i = 0; i < 4; ++i) q[m][i] = held[m][step][i];
      } else {
        load_query<G>(q[m], queries, row + m * 16, step);
      }
    }
#pragma unroll
    for (int n = 0; n < G::kWarpKeys / 16; ++n) {
      const int key = first_key + n * 16 + lane % 8 + lane / 16 * 8;
      uint32_t k[4];
      load_matrices(k, keys + place<G::kDim>(key, step * 2 + lane / 8 % 2));
#pragma unroll
      for (int m = 0; m < G::kRowTiles; ++m) {
        multiply(typename G::T{}, score[m][2 * n], q[m], k[0], k[1]);
        multiply(typename G::T{}, score[m][2 * n + 1], q[m], k[2], k[3]);
      }
    }
  }
}

// Scores become weights relative to the rows' new peaks; sums and values shrink to match.
template <class G>
WEFT_DEVICE void soften(Rows<G> &rows, float (&score)[G::kRowTiles][G::kWarpKeys / 8][4],
                        float factor) {
#pragma unroll
  for (int m = 0; m < G::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float peak = -INFINITY;
#pragma unroll
      for (int n = 0; n < G::kWarpKeys / 8; ++n)
        peak = fmaxf(peak, fmaxf(score[m][n][2 * half], score[m][n][2 * half + 1]));
      peak = fmaxf(peak, shuffle_xor(peak, 1));
      peak = fmaxf(peak, shuffle_xor(peak, 2));
      // The first key of a tile is always valid, so the peak is finite.
      peak = fmaxf(rows.peak[m][half], peak * factor);
      const float shrink = power_of_two(rows.peak[m][half] - peak);
      rows.peak[m][half] = peak;
      float sum = rows.sum[m][half] * shrink;
#pragma unroll
      for (int n = 0; n < G::kWarpKeys / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          score[m][n][i] = power_of_two(score[m][n][i] * factor - peak);
          sum += score[m][n][i];
        }
      }
      rows.sum[m][half] = sum;
#pragma unroll
      for (int n = 0; n < G::kDim / 8; ++n) {
        rows.value[m][n][2 * half] *= shrink;
        rows.value[m][n][2 * half + 1] *= shrink;
      }
    }
  }
}

// Adds weights times values.
template <class G>
WEFT_DEVICE void gather_values(Rows<G> &rows,
                               const float (&weight)[G::kRowTiles][G::kWarpKeys / 8][4],
                               const unsigned char *values, int first_key) {
  using T = typename G::T;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 0; step < G::kWarpKeys / 16; ++step) {
    uint32_t p[G::kRowTiles][4];
#pragma unroll
    for (int m = 0; m < G::kRowTiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float(&w)[4] = weight[m][2 * step + i / 2];
        p[m][i] = pack(T{}, w[i % 2 * 2], w[i % 2 * 2 + 1]);
      }
    }
#pragma unroll
    for (int n = 0; n < G::kDim / 16; ++n) {
      const int key = first_key + step * 16 + lane % 16;
      uint32_t v[4];
      load_matrices_transposed(v, values + place<G::kDim>(key, n * 2 + lane / 16));
#pragma unroll
      for (int m = 0; m < G::kRowTiles; ++m) {
        multiply(T{}, rows.value[m][2 * n], p[m], v[0], v[1]);
        multiply(T{}, rows.value[m][2 * n + 1], p[m], v[2], v[3]);
      }
    }
  }
}

// One tile under the warp's softmax.
template <class G>
WEFT_DEVICE void fold_tile(Rows<G> &rows, const uint32_t (&held)[G::kRowTiles][G::kDim / 16][4],
                           const unsigned char *queries, const unsigned char *keys,
                           const unsigned char *values, int row, int first_key, int count,
                           float factor) {
  float score[G::kRowTiles][G::kWarpKeys / 8][4] = {};
  score_tile<G>(score, held, queries, keys, row, first_key);
  if (count < first_key + G::kWarpKeys) {
    const int column = first_key + threadIdx.x % 4 * 2;
#pragma unroll
    for (int m = 0; m < G::kRowTiles; ++m)
#pragma unroll
      for (int n = 0; n < G::kWarpKeys / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (column + n * 8 + i % 2 >= count) score[m][n][i] = -INFINITY;
  }
  soften<G>(rows, score, factor);
  gather_values<G>(rows, score, values, first_key);
}

}  // namespace weft
