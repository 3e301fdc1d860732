// Entries for TensorRT's ahead-of-time plugins, which put a kernel's PTX into the engine and launch
// it with (inputs, integers, outputs) in this order. The five required inputs, two variants each;
// see plugins/ahead_of_time.py. No entry uses more than 48 KiB of shared memory, which is what a
// launch gets without asking.

#include "device.cuh"
#include "fp8.cuh"
#include "rotate.cuh"

#include "dpcw_block.cuh"

namespace weft {

// The wide variant of 128 dimensions takes 64 rows here, to stay within the shared memory.
using WideHalf128 = Tiling<Half, false, 128, 4, 1, 1, 32, 2>;
using WideBFloat128 = Tiling<BFloat, false, 128, 4, 1, 1, 32, 2>;

template <class G>
WEFT_DEVICE void enter(const void *q, const void *k_window, const void *v_window,
                       const void *k_self, const void *v_self, int heads, int kv_heads, int tokens,
                       int window, void *y) {
  static_assert(G::kSharedBytes <= 48 * 1024);
  WEFT_DYNAMIC_SHARED(shared);
  Attention a = {};
  a.q = q;
  a.k_window = k_window;
  a.v_window = v_window;
  a.k_self = k_self;
  a.v_self = v_self;
  a.y = y;
  a.heads = heads;
  a.kv_heads = kv_heads;
  a.tokens = tokens;
  a.window = window;
  a.series = 1;
  a.scale = kLog2e / (G::kDim == 64 ? 8.0f : 11.313708498984761f);
  attend<G>(a, shared);
}

}  // namespace weft

// The name says type, head dimension, query rows of a block and bytes of shared memory: what a
// launch has to know.
#define WEFT_ENTRY(name, ...)                                                                     \
  extern "C" __global__ void __launch_bounds__(weft::kThreads, (__VA_ARGS__::kBlocks))            \
      name(const void *q, const void *k_window, const void *v_window, const void *k_self,         \
           const void *v_self, int heads, int kv_heads, int tokens, int window, void *y) {        \
    weft::enter<__VA_ARGS__>(q, k_window, v_window, k_self, v_self, heads, kv_heads, tokens,      \
                             window, y);                                                          \
  }

namespace weft {
using WideHalf64 = Variants<Half, false, 64>::Wide;
using WideBFloat64 = Variants<BFloat, false, 64>::Wide;
using NarrowHalf64 = Variants<Half, false, 64>::Narrow;
using NarrowBFloat64 = Variants<BFloat, false, 64>::Narrow;
using NarrowHalf128 = Variants<Half, false, 128>::Narrow;
using NarrowBFloat128 = Variants<BFloat, false, 128>::Narrow;
static_assert(WideHalf64::kRows == 128 && WideHalf64::kSharedBytes == 49152);
static_assert(NarrowHalf64::kRows == 16 && NarrowHalf64::kSharedBytes == 34816);
static_assert(WideHalf128::kRows == 64 && WideHalf128::kSharedBytes == 49152);
static_assert(NarrowHalf128::kRows == 32 && NarrowHalf128::kSharedBytes == 40960);
}  // namespace weft

WEFT_ENTRY(weft_dpcw_half_64_128_49152, weft::WideHalf64)
WEFT_ENTRY(weft_dpcw_half_64_16_34816, weft::NarrowHalf64)
WEFT_ENTRY(weft_dpcw_half_128_64_49152, weft::WideHalf128)
WEFT_ENTRY(weft_dpcw_half_128_32_40960, weft::NarrowHalf128)
WEFT_ENTRY(weft_dpcw_bfloat_64_128_49152, weft::WideBFloat64)
WEFT_ENTRY(weft_dpcw_bfloat_64_16_34816, weft::NarrowBFloat64)
WEFT_ENTRY(weft_dpcw_bfloat_128_64_49152, weft::WideBFloat128)
WEFT_ENTRY(weft_dpcw_bfloat_128_32_40960, weft::NarrowBFloat128)
