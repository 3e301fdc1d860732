// The functions of cuda/device.cuh for the block simulator: fragments, copies and conversions as
// the instruction set's manual defines them.
#pragma once

#include "cuda_on_host.h"

#define WEFT_DEVICE inline
#define WEFT_DYNAMIC_SHARED(name) unsigned char *name = cuda_on_host::block->shared.get()

namespace weft {

struct Half {};
struct BFloat {};

inline uint32_t float_as_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

inline float bits_as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

inline uint32_t to_bits(Half, float x) {
  const _Float16 half = static_cast<_Float16>(x);
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}

inline uint32_t to_bits(BFloat, float x) {
  const uint32_t bits = float_as_bits(x);
  if (x != x) return 0x7fffu;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

inline float from_bits(Half, uint32_t bits) {
  const uint16_t low = static_cast<uint16_t>(bits);
  _Float16 half;
  std::memcpy(&half, &low, 2);
  return static_cast<float>(half);
}

inline float from_bits(BFloat, uint32_t bits) { return bits_as_float(bits << 16); }

template <typename T>
uint32_t pack(T type, float low, float high) {
  return to_bits(type, low) | to_bits(type, high) << 16;
}

template <typename T>
float2 unpack(T type, uint32_t bits) {
  return {from_bits(type, bits & 0xffffu), from_bits(type, bits >> 16)};
}

inline float power_of_two(float x) { return std::exp2(x); }
inline float inverse_root(float x) { return 1.0f / std::sqrt(x); }
inline float shuffle_xor(float x, int mask) { return __shfl_xor_sync(~0u, x, mask); }
inline void block_barrier() { __syncthreads(); }

inline void warp_barrier() {
  cuda_on_host::board();
  cuda_on_host::wait_as(cuda_on_host::State::kAtWarp);
}

inline void copy_async(void *to, const void *from, bool valid) {
  using namespace cuda_on_host;
  if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0)
    fail("a copy off its 16-byte boundary");
  const Copy copy{static_cast<unsigned char *>(to), static_cast<const unsigned char *>(from),
                  valid};
  if (!block->options.late_copies) return land(copy);
  std::memset(copy.to, 0xff, 16);
  self().copies.back().push_back(copy);
}

inline void copies_commit() { cuda_on_host::self().copies.emplace_back(); }

template <int Left>
void copies_wait() {
  auto &groups = cuda_on_host::self().copies;  // the last one is not committed yet
  while (groups.size() > Left + 1) {
    for (const cuda_on_host::Copy &copy : groups.front()) cuda_on_host::land(copy);
    groups.erase(groups.begin());
  }
}

inline const cuda_on_host::Board &show_row(const void *row) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
    cuda_on_host::fail("a matrix row off its 16-byte boundary");
  cuda_on_host::Board &board = cuda_on_host::board();
  board.row[cuda_on_host::lane()] = static_cast<const unsigned char *>(row);
  cuda_on_host::wait_as(cuda_on_host::State::kAtWarp);
  // The eight rows of a matrix are read at once: they must cover all 32 banks.
  for (int i = 0; cuda_on_host::lane() == 0 && i < 4; ++i) {
    unsigned banks = 0;
    for (int j = 0; j < 8; ++j)
      banks |= 1u << (board.row[i * 8 + j] - cuda_on_host::block->shared.get()) / 16 % 8;
    if (banks != 0xffu) cuda_on_host::fail("a matrix load with bank conflicts");
  }
  return board;
}

inline uint32_t element(const unsigned char *row, int column) {
  uint16_t bits;
  std::memcpy(&bits, row + 2 * column, 2);
  return bits;
}

inline void load_matrices(uint32_t (&r)[4], const void *row) {
  const auto &rows = show_row(row).row;
  const int lane = cuda_on_host::lane(), column = lane % 4 * 2;
  for (int i = 0; i < 4; ++i) {
    const unsigned char *from = rows[i * 8 + lane / 4];
    r[i] = element(from, column) | element(from, column + 1) << 16;
  }
}

inline void load_matrices_transposed(uint32_t (&r)[4], const void *row) {
  const auto &rows = show_row(row).row;
  const int lane = cuda_on_host::lane(), first = lane % 4 * 2;
  for (int i = 0; i < 4; ++i)
    r[i] = element(rows[i * 8 + first], lane / 4) |
           element(rows[i * 8 + first + 1], lane / 4) << 16;
}

// mma.m16n8k16. Of a, lane l holds rows l / 4 (registers 0, 2) and l / 4 + 8 (1, 3), columns
// 2 (l % 4) and the next (0, 1) and the same + 8 (2, 3); of b, column l / 4 and those as rows.
template <typename T>
void multiply(T type, float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  cuda_on_host::Board &board = cuda_on_host::board();
  const int lane = cuda_on_host::lane();
  const uint32_t b[2] = {b0, b1};
  for (int i = 0; i < 8; ++i) board.a[lane][i] = from_bits(type, a[i / 2] >> i % 2 * 16 & 0xffffu);
  for (int i = 0; i < 4; ++i) board.b[lane][i] = from_bits(type, b[i / 2] >> i % 2 * 16 & 0xffffu);
  cuda_on_host::wait_as(cuda_on_host::State::kAtWarp);
  for (int i = 0; i < 4; ++i) {
    const int upper = i / 2, column = lane % 4 * 2 + i % 2;
    float sum = 0.0f;
    for (int k = 0; k < 16; ++k) {
      const int owner = k % 8 / 2, part = k / 8 * 2;
      sum += board.a[lane / 4 * 4 + owner][(part + upper) * 2 + k % 2] *
             board.b[column * 4 + owner][part + k % 2];
    }
    c[i] += sum;
  }
}

}  // namespace weft
