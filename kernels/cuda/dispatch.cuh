// From a call to a kernel: the variant is chosen here; the launch itself is the caller's, the CUDA
// launcher's or the block simulator's.
#pragma once

#include <cmath>

#include "dpcw_block.cuh"
#include "dpcw_plain.cuh"
#include "plan.h"
#include "rows.cuh"

namespace weft {

inline Attention attention_of(const WeftDPCWAttention &c) {
  Attention a;
  a.q = c.q;
  a.k_window = c.k_window;
  a.v_window = c.v_window;
  a.k_self = c.k_self;
  a.v_self = c.v_self;
  a.y = c.y;
  a.window_length = c.window_length;
  a.self_length = c.self_length;
  a.q_norm = c.q_norm;
  a.k_norm = c.k_norm;
  a.cos = c.cos;
  a.sin = c.sin;
  a.k_scale = c.k_scale;
  a.v_scale = c.v_scale;
  a.heads = c.heads;
  a.kv_heads = c.kv_heads;
  a.tokens = c.tokens;
  a.window = c.window;
  a.series = c.series;
  a.tables = c.tables;
  a.scale = kLog2e / std::sqrt(static_cast<float>(c.head_dim));
  a.epsilon = c.epsilon;
  return a;
}

// launch(tiling, attention, grid) → WeftStatus, for tensor cores.
template <typename T, bool Fp8, class Launch>
WeftStatus dispatch_dim(const WeftDPCWAttention &c, bool wide, Launch &&launch) {
  const auto run = [&](auto variants) {
    using V = decltype(variants);
    using Wide = typename V::Wide;
    using Narrow = typename V::Narrow;
    static_assert(Wide::kRows == kWideRows);
    const Attention a = attention_of(c);
    return wide ? launch(Wide{}, a, grid_of(c, Wide::kRows))
                : launch(Narrow{}, a, grid_of(c, Narrow::kRows));
  };
  switch (c.head_dim) {
    case 32: return run(Variants<T, Fp8, 32>{});
    case 64: return run(Variants<T, Fp8, 64>{});
    default: return run(Variants<T, Fp8, 128>{});
  }
}

template <class Launch>
WeftStatus dispatch_mma(const WeftDPCWAttention &c, bool wide, Launch &&launch) {
  const bool fp8 = c.window_type == WEFT_FLOAT8_E4M3;
  if (c.type == WEFT_FLOAT16)
    return fp8 ? dispatch_dim<Half, true>(c, wide, launch)
               : dispatch_dim<Half, false>(c, wide, launch);
  return fp8 ? dispatch_dim<BFloat, true>(c, wide, launch)
             : dispatch_dim<BFloat, false>(c, wide, launch);
}

inline Grid plain_grid(const WeftDPCWAttention &c) {
  return {(c.tokens - 1) / plain::kRows + 1, c.batch * c.heads};
}

// launch(variant, arguments, grid) → WeftStatus.
template <class Launch>
WeftStatus dispatch_rows(const WeftRows &c, Launch &&launch) {
  const bool fp8 = c.out_type == WEFT_FLOAT8_E4M3;
  const auto run = [&](auto variant) {
    using V = decltype(variant);
    const Grid grid{(c.rows + V::kAtOnce - 1) / V::kAtOnce, c.batch * c.kv_heads};
    return launch(variant, c, grid);
  };
  const auto choose = [&](auto type, auto narrow) {
    using T = decltype(type);
    constexpr bool kNarrow = decltype(narrow)::value;
    switch (c.head_dim) {
      case 32: return run(RowsVariant<T, kNarrow, 32>{});
      case 64: return run(RowsVariant<T, kNarrow, 64>{});
      default: return run(RowsVariant<T, kNarrow, 128>{});
    }
  };
  if (c.type == WEFT_FLOAT16)
    return fp8 ? choose(Half{}, Yes{}) : choose(Half{}, No{});
  return fp8 ? choose(BFloat{}, Yes{}) : choose(BFloat{}, No{});
}

}  // namespace weft
