// Tiles of queries, keys and values in shared memory: where they lie, how they get there, and the
// norm, rotation or widening that happens to them in place.
//
// A tile is rows of D 16-bit elements in chunks of 16 bytes. Chunk c of row r stands at place
// c ^ (r % 8), so that the eight rows a matrix load reads at once lie in different banks.
#pragma once

namespace weft {

constexpr int kThreads = 128;
constexpr float kLog2e = 1.4426950408889634f;

// One call, as the kernel sees it; names and shapes as in weft/dpcw.h.
struct Attention {
  const void *q, *k_window, *v_window, *k_self, *v_self;
  void *y;
  const int32_t *window_length, *self_length;
  const float *q_norm, *k_norm, *cos, *sin, *k_scale, *v_scale;
  int heads, kv_heads, tokens, window, series, tables;
  float scale;  // log2(e) / sqrt(D): the softmax works in powers of two
  float epsilon;
};

// How a block of four warps shares the work. A warp takes RowTiles × 16 query rows and, of every
// tile of keys, an equal part among KeyWarps warps; their softmaxes are merged at the end.
template <typename Element, bool Fp8, int D, int RowWarps, int RowTiles, int KeyWarps, int Keys,
          int Blocks>
struct Tiling {
  using T = Element;
  static constexpr bool kFp8 = Fp8;
  static constexpr int kDim = D;
  static constexpr int kRowTiles = RowTiles;
  static constexpr int kKeyWarps = KeyWarps;
  static constexpr int kRows = 16 * RowTiles * RowWarps;
  static constexpr int kKeys = Keys;
  static constexpr int kWarpKeys = Keys / KeyWarps;
  // Blocks that must fit on one multiprocessor: it names the register budget.
  static constexpr int kBlocks = Blocks;
  static constexpr int kChunks = D / 8;
  static constexpr int kRowBytes = D * 2;
  static constexpr int kQueryBytes = kRows * kRowBytes;
  static constexpr int kTileBytes = Keys * kRowBytes;
  static constexpr int kTilesBytes = kQueryBytes + 4 * kTileBytes;
  // Merging: a float32 row of D + 4 (for the banks) and two statistics, per key warp.
  static constexpr int kMergeBytes = KeyWarps == 1 ? 0 : KeyWarps * kRows * (D + 6) * 4;
  static constexpr int kSharedBytes = kTilesBytes > kMergeBytes ? kTilesBytes : kMergeBytes;
  // Query fragments stay in registers while they are few.
  static constexpr bool kHoldQueries = RowTiles * D <= 128;
  static_assert(RowWarps * KeyWarps * 32 == kThreads);
  static_assert(kWarpKeys % 16 == 0 && D % 32 == 0);
};

template <int D>
WEFT_DEVICE int place(int row, int chunk) {
  const int turn = D >= 64 ? row & 7 : (row >> 1) & 3;
  return row * (D * 2) + ((chunk ^ turn) * 16);
}

WEFT_DEVICE int valid_rows(const int32_t *lengths, int item, int capacity) {
  if (lengths == nullptr) return capacity;
  const int length = lengths[item];
  return length < 0 ? 0 : (length > capacity ? capacity : length);
}

// A stretch of keys: source 0 is the window, source 1 + i the i-th picture of the series.
struct Tile {
  int source, start, count;  // count 0: there is none
};

WEFT_DEVICE int picture_of(const Attention &a, int item, int source) {
  return item / a.series * a.series + source - 1;
}

// The tile at `start` of `source`, or the first one of the next source that has rows.
template <int Keys>
WEFT_DEVICE Tile tile_from(const Attention &a, int item, int source, int start) {
  for (; source <= a.series; ++source, start = 0) {
    const int rows = source == 0 ? valid_rows(a.window_length, item, a.window)
                                 : valid_rows(a.self_length, picture_of(a, item, source), a.tokens);
    if (start < rows) return {source, start, rows - start < Keys ? rows - start : Keys};
  }
  return {source, 0, 0};
}

// Starts the copy of a tile's keys and values; rows behind its count become zero.
template <class G>
WEFT_DEVICE void copy_tile(const Attention &a, const Tile &tile, int item, int kv_head,
                           unsigned char *keys, unsigned char *values) {
  const bool window = tile.source == 0;
  const int owner = window ? item : picture_of(a, item, tile.source);
  const int64_t row = (static_cast<int64_t>(owner) * a.kv_heads + kv_head) *
                          (window ? a.window : a.tokens) + tile.start;
  const auto *k = static_cast<const unsigned char *>(window ? a.k_window : a.k_self);
  const auto *v = static_cast<const unsigned char *>(window ? a.v_window : a.v_self);
  if (G::kFp8 && window) {
    constexpr int kChunks = G::kDim / 16;
#pragma unroll
    for (int i = threadIdx.x; i < G::kKeys * kChunks; i += kThreads) {
      const bool valid = i / kChunks < tile.count;
      const int64_t from = valid ? row * G::kDim + i * 16 : 0;
      copy_async(keys + i * 16, k + from, valid);
      copy_async(values + i * 16, v + from, valid);
    }
    return;
  }
#pragma unroll
  for (int i = threadIdx.x; i < G::kKeys * G::kChunks; i += kThreads) {
    const int r = i / G::kChunks, to = place<G::kDim>(r, i % G::kChunks);
    const bool valid = r < tile.count;
    const int64_t from = valid ? row * G::kRowBytes + i * 16 : 0;
    copy_async(keys + to, k + from, valid);
    copy_async(values + to, v + from, valid);
  }
}

// Widens a tile of FP8 rows, packed, to 16 bits in its places. Ends with a barrier.
template <class G>
WEFT_DEVICE void widen_tile(unsigned char *keys, unsigned char *values) {
  constexpr int kPieces = G::kKeys * G::kDim / 8 / kThreads;
  uint2 k[kPieces], v[kPieces];
#pragma unroll
  for (int i = 0; i < kPieces; ++i) {
    const int piece = i * kThreads + threadIdx.x;
    k[i] = reinterpret_cast<const uint2 *>(keys)[piece];
    v[i] = reinterpret_cast<const uint2 *>(values)[piece];
  }
  block_barrier();
#pragma unroll
  for (int i = 0; i < kPieces; ++i) {
    const int piece = i * kThreads + threadIdx.x;
    const int to = place<G::kDim>(piece / G::kChunks, piece % G::kChunks);
    uint4 wide;
    widen_four<typename G::T>(k[i].x, wide.x, wide.y);
    widen_four<typename G::T>(k[i].y, wide.z, wide.w);
    *reinterpret_cast<uint4 *>(keys + to) = wide;
    widen_four<typename G::T>(v[i].x, wide.x, wide.y);
    widen_four<typename G::T>(v[i].y, wide.z, wide.w);
    *reinterpret_cast<uint4 *>(values + to) = wide;
  }
  block_barrier();
}

// Norms and rotates the rows of a tile in place. Row r stands at token first + r, or, for packed
// query heads, at that modulo `tokens`; rows from `count` on hold zeros and need no rotation.
template <class G, int Rows>
WEFT_DEVICE void prepare_rows(const Attention &a, unsigned char *tile, const float *weight,
                              int owner, int first, int count) {
  using T = typename G::T;
  constexpr int kParts = G::kDim / 16, kAtOnce = kThreads / kParts;
  const int64_t table = static_cast<int64_t>(a.tables > 1 ? owner : 0) * a.tokens;
  const int part = threadIdx.x % kParts;
#pragma unroll 1
  for (int start = 0; start < Rows; start += kAtOnce) {
    const int row = start + static_cast<int>(threadIdx.x) / kParts;
    float x[8] = {}, y[8] = {};
    if (row < Rows) {
      open<T>(*reinterpret_cast<const uint4 *>(tile + place<G::kDim>(row, part)), x);
      open<T>(*reinterpret_cast<const uint4 *>(tile + place<G::kDim>(row, part + kParts)), y);
    }
    if (weight != nullptr) norm_row<G::kDim>(x, y, weight, a.epsilon, part);
    if (a.cos != nullptr && row < count) {
      const int64_t at = (table + (first + row) % a.tokens) * (G::kDim / 2);
      rotate_row(x, y, a.cos + at, a.sin + at, part);
    }
    if (row < Rows) {
      *reinterpret_cast<uint4 *>(tile + place<G::kDim>(row, part)) = close<T>(x);
      *reinterpret_cast<uint4 *>(tile + place<G::kDim>(row, part + kParts)) = close<T>(y);
    }
  }
}

}  // namespace weft
