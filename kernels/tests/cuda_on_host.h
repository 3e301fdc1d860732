// Just enough of CUDA to run a kernel's own source on the CPU, one block at a time.
//
// The threads of a block are coroutines stepped round robin, so a yield is a barrier: when a thread
// resumes, every other one has reached the same point. That holds only for kernels whose threads
// all reach every barrier and shuffle. It shows that indexing, masks and sums are right; it says
// nothing about races inside a step, speed or memory coalescing.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

struct float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct Index {
  int x = 0, y = 0;
};
inline Index threadIdx, blockIdx;

namespace cuda_on_host {

constexpr size_t kStack = 64 * 1024;

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  bool done = false;
};

struct Block {
  std::vector<Thread> threads;
  std::vector<float> exchange;
  ucontext_t scheduler;
  std::function<void()> body;
  int current = 0;
};
inline Block *block = nullptr;

inline void yield() {
  const int self = block->current;
  swapcontext(&block->threads[self].context, &block->scheduler);
}

inline void enter() {
  block->body();
  block->threads[block->current].done = true;
}

// Runs `body` once per thread of one block.
inline void run_block(int threads, Index index, std::function<void()> body) {
  Block here;
  here.threads.resize(threads);
  here.exchange.resize(threads);
  here.body = std::move(body);
  block = &here;
  blockIdx = index;
  for (Thread &thread : here.threads) {
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.get();
    thread.context.uc_stack.ss_size = kStack;
    thread.context.uc_link = &here.scheduler;
    makecontext(&thread.context, enter, 0);
  }
  for (int running = threads; running > 0;) {
    running = 0;
    for (int i = 0; i < threads; ++i) {
      if (here.threads[i].done) continue;
      here.current = threadIdx.x = i;
      swapcontext(&here.scheduler, &here.threads[i].context);
      running += !here.threads[i].done;
    }
  }
  block = nullptr;
}

}  // namespace cuda_on_host

inline void __syncthreads() { cuda_on_host::yield(); }

inline float __shfl_xor_sync(unsigned, float value, int mask) {
  cuda_on_host::Block &block = *cuda_on_host::block;
  const int self = block.current;
  block.exchange[self] = value;
  cuda_on_host::yield();
  const float other = block.exchange[self ^ mask];
  cuda_on_host::yield();  // everyone has read before anyone writes again
  return other;
}
