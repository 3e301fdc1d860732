// Launcher of the CUDA kernel: picks the variant, checks what it supports, enqueues it.

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "validate.h"
#include "weft/dpcw.h"

namespace weft {

__device__ __forceinline__ float4 load_chunk(const float *p) {
  return *reinterpret_cast<const float4 *>(p);
}

__device__ __forceinline__ float4 load_chunk(const __half *p) {
  const uint2 bits = *reinterpret_cast<const uint2 *>(p);
  const float2 low = __half22float2(*reinterpret_cast<const __half2 *>(&bits.x));
  const float2 high = __half22float2(*reinterpret_cast<const __half2 *>(&bits.y));
  return make_float4(low.x, low.y, high.x, high.y);
}

__device__ __forceinline__ void store_chunk(float *p, float4 v) {
  *reinterpret_cast<float4 *>(p) = v;
}

__device__ __forceinline__ void store_chunk(__half *p, float4 v) {
  *reinterpret_cast<__half2 *>(p) = __floats2half2_rn(v.x, v.y);
  *reinterpret_cast<__half2 *>(p + 2) = __floats2half2_rn(v.z, v.w);
}

}  // namespace weft

#include "dpcw_kernel.cuh"

namespace {

constexpr int64_t kMaxGridY = 65535;

bool aligned(const void *p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

template <typename T, int D>
WeftStatus launch(const WeftDPCWAttention &c, cudaStream_t stream) {
  weft::Arguments<T> a;
  a.q = static_cast<const T *>(c.q);
  a.k_window = static_cast<const T *>(c.k_window);
  a.v_window = static_cast<const T *>(c.v_window);
  a.k_self = static_cast<const T *>(c.k_self);
  a.v_self = static_cast<const T *>(c.v_self);
  a.y = static_cast<T *>(c.y);
  a.window_length = c.window_length;
  a.self_length = c.self_length;
  a.heads = c.heads;
  a.kv_heads = c.kv_heads;
  a.tokens = c.tokens;
  a.window = c.window;
  a.scale = weft::kLog2e / std::sqrt(static_cast<float>(D));
  // Written so that the last tokens of an int32 length do not overflow.
  const dim3 grid((c.tokens - 1) / weft::kRows + 1, c.batch * c.heads);
  weft::dpcw_kernel<T, D><<<grid, weft::kThreads, 0, stream>>>(a);
  return cudaGetLastError() == cudaSuccess ? WEFT_OK : WEFT_LAUNCH_FAILED;
}

template <typename T>
WeftStatus launch(const WeftDPCWAttention &c, cudaStream_t stream) {
  switch (c.head_dim) {
    case 32: return launch<T, 32>(c, stream);
    case 64: return launch<T, 64>(c, stream);
    case 128: return launch<T, 128>(c, stream);
    default: return WEFT_UNSUPPORTED_HEAD;
  }
}

}  // namespace

extern "C" WeftStatus weft_dpcw_cuda_can_implement(const WeftDPCWAttention *call) {
  const WeftStatus status = weft::validate(call);
  if (status != WEFT_OK) return status;
  if (call->type != WEFT_FLOAT32 && call->type != WEFT_FLOAT16) return WEFT_UNSUPPORTED_TYPE;
  if (call->head_dim != 32 && call->head_dim != 64 && call->head_dim != 128)
    return WEFT_UNSUPPORTED_HEAD;
  const void *tensors[] = {call->q,      call->k_window, call->v_window,
                           call->k_self, call->v_self,   call->y};
  for (const void *tensor : tensors)
    if (!aligned(tensor)) return WEFT_MISALIGNED;
  if (static_cast<int64_t>(call->batch) * call->heads > kMaxGridY) return WEFT_TOO_LARGE;
  if (call->tokens > INT32_MAX - weft::kRows || call->window > INT32_MAX - weft::kKeys)
    return WEFT_TOO_LARGE;
  return WEFT_OK;
}

extern "C" WeftStatus weft_dpcw_cuda(const WeftDPCWAttention *call, void *stream) {
  const WeftStatus status = weft_dpcw_cuda_can_implement(call);
  if (status != WEFT_OK) return status;
  const auto queue = static_cast<cudaStream_t>(stream);
  return call->type == WEFT_FLOAT32 ? launch<float>(*call, queue) : launch<__half>(*call, queue);
}
