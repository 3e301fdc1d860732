// Just enough of CUDA to run a kernel's own source on the CPU, one block at a time.
//
// The threads of a block are coroutines. A warp runs until all its lanes stand at a block barrier,
// then the next warp runs; inside a warp, lanes meet at every warp-wide instruction. Nothing else
// keeps warps together, so a missing block barrier shows: with the warps run in the opposite order,
// or with asynchronous copies landing as late as their wait allows, the result changes. Shared
// memory starts as NaN, and so does the target of a copy until it has landed.
//
// It shows that indexing, fragment layouts, masks, barriers and sums are right, and that matrix
// loads have no bank conflicts; it says nothing about speed or memory coalescing. The scheduler
// must stay on one thread.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "fiber.h"

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

struct Index {
  int x = 0, y = 0;
};
inline Index threadIdx, blockIdx;

namespace cuda_on_host {

constexpr int kLanes = 32;

enum class State { kReady, kAtWarp, kAtBlock, kDone };

struct Copy {
  unsigned char *to;
  const unsigned char *from;
  bool valid;
};

struct Thread {
  Fiber fiber;
  State state = State::kReady;
  unsigned meetings = 0;  // warp-wide instructions so far
  std::vector<std::vector<Copy>> copies{1};
};

// What the lanes of a warp show one another. Two slots taken in turn: nobody can write a slot again
// before everyone has passed the meeting after the one it was read at.
struct Board {
  float number[kLanes];
  const unsigned char *row[kLanes];
  float a[kLanes][8], b[kLanes][4];
};

struct Options {
  bool reversed = false;     // the order in which warps run
  bool late_copies = false;  // land copies at their wait, not at once
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Board> boards;  // two per warp
  std::unique_ptr<unsigned char[]> shared;
  std::function<void()> body;
  Options options;
  int current = 0;
};
inline Block *block = nullptr;

[[noreturn]] inline void fail(const char *what) {
  std::fprintf(stderr, "cuda_on_host: %s (block %d, %d; thread %d)\n", what, blockIdx.x, blockIdx.y,
               threadIdx.x);
  std::abort();
}

inline Thread &self() { return block->threads[block->current]; }

inline void wait_as(State state) {
  Thread &thread = self();
  thread.state = state;
  leave(thread.fiber);
}

inline void land(const Copy &copy) {
  if (copy.valid)
    std::memcpy(copy.to, copy.from, 16);
  else
    std::memset(copy.to, 0, 16);
}

inline void run_warp(int warp) {
  Thread *lanes = &block->threads[warp * kLanes];
  for (;;) {
    int at_warp = 0, at_block = 0, done = 0;
    for (int i = 0; i < kLanes; ++i) {
      if (lanes[i].state == State::kReady) {
        block->current = threadIdx.x = warp * kLanes + i;
        enter(lanes[i].fiber);
      }
      at_warp += lanes[i].state == State::kAtWarp;
      at_block += lanes[i].state == State::kAtBlock;
      done += lanes[i].state == State::kDone;
    }
    if (at_warp == 0 && (at_block == 0 || done == 0)) return;
    if (at_warp != kLanes) fail("lanes of a warp wait at different places");
    for (int i = 0; i < kLanes; ++i) {
      if (lanes[i].meetings != lanes[0].meetings) fail("lanes of a warp went different ways");
      lanes[i].state = State::kReady;
    }
  }
}

// Runs `body` once per thread of one block, with `shared` bytes of dynamic shared memory.
inline void run_block(int threads, size_t shared, Index index, Options options,
                      std::function<void()> body) {
  static std::vector<Thread> pool;  // stacks are kept from block to block
  Block here;
  here.threads = std::move(pool);
  here.threads.resize(threads);
  here.boards.resize(2 * (threads / kLanes));
  here.shared.reset(new unsigned char[shared]);
  std::memset(here.shared.get(), 0xff, shared);
  here.body = std::move(body);
  here.options = options;
  block = &here;
  blockIdx = index;
  for (Thread &thread : here.threads) {
    thread.state = State::kReady;
    thread.meetings = 0;
    thread.copies.assign(1, {});
    begin(thread.fiber, [] {
      block->body();
      for (const auto &group : self().copies)
        if (!group.empty()) fail("a copy was never waited for");
      self().state = State::kDone;
    });
  }
  const int warps = threads / kLanes;
  for (int done = 0; done < threads;) {
    for (int w = 0; w < warps; ++w) run_warp(options.reversed ? warps - 1 - w : w);
    done = 0;
    for (Thread &thread : here.threads) done += thread.state == State::kDone;
    if (done != 0 && done != threads) fail("some threads ended while others wait at a barrier");
    for (Thread &thread : here.threads)
      if (thread.state == State::kAtBlock) thread.state = State::kReady;
  }
  pool = std::move(here.threads);
  block = nullptr;
}

// The board of the next warp-wide instruction of the running lane.
inline Board &board() {
  const int slot = self().meetings++ % 2;
  return block->boards[block->current / kLanes * 2 + slot];
}

inline int lane() { return block->current % kLanes; }

}  // namespace cuda_on_host

inline void __syncthreads() { cuda_on_host::wait_as(cuda_on_host::State::kAtBlock); }

inline float __shfl_xor_sync(unsigned, float value, int mask) {
  using namespace cuda_on_host;
  Board &shown = board();
  shown.number[lane()] = value;
  wait_as(State::kAtWarp);
  return shown.number[lane() ^ mask];
}
