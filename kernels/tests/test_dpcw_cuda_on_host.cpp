// The CUDA kernel's own source, run on the CPU, against the float64 reference.

#include "cuda_on_host.h"

namespace weft {

inline float4 load_chunk(const float *p) { return {p[0], p[1], p[2], p[3]}; }

inline void store_chunk(float *p, float4 v) {
  p[0] = v.x;
  p[1] = v.y;
  p[2] = v.z;
  p[3] = v.w;
}

}  // namespace weft

#include "../cuda/dpcw_kernel.cuh"
#include "reference.h"

namespace {

template <int D>
void launch(const weft_test::Case &c, weft_test::Tensors &t) {
  const WeftDPCWAttention call = weft_test::call_of(c, t);
  const weft::Arguments<float> a{t.q.data(),         t.k_window.data(),
                                 t.v_window.data(),  t.k_self.data(),
                                 t.v_self.data(),    t.y.data(),
                                 call.window_length, call.self_length,
                                 c.heads,            c.kv_heads,
                                 c.tokens,           c.window,
                                 weft::kLog2e / std::sqrt(static_cast<float>(D))};
  for (int y = 0; y < c.batch * c.heads; ++y)
    for (int x = 0; x * weft::kRows < c.tokens; ++x)
      cuda_on_host::run_block(weft::kThreads, {x, y}, [&] { weft::dpcw_kernel<float, D>(a); });
}

}  // namespace

int main() {
  bool good = true;
  uint64_t seed = 1;
  for (const weft_test::Case &c : weft_test::cases()) {
    weft_test::Tensors t = weft_test::make(c, seed++);
    switch (c.head_dim) {
      case 32: launch<32>(c, t); break;
      case 64: launch<64>(c, t); break;
      case 128: launch<128>(c, t); break;
      default: return 1;
    }
    const double relative = weft_test::error(t.y, weft_test::reference(c, t));
    good = weft_test::report("cuda on host", c, relative, 2e-6) && good;
  }
  return good ? 0 : 1;
}
