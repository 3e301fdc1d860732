// The CUDA launcher: enqueues the variant that dispatch.cuh chooses.

#include "device.cuh"
#include "fp8.cuh"
#include "rotate.cuh"

#include "dispatch.cuh"

namespace {

// The status comes from this launch alone, not from an error that somebody else left behind.
template <typename Arguments>
WeftStatus enqueue(void (*kernel)(Arguments), weft::Grid grid, int shared, void *stream,
                   Arguments arguments) {
  void *given[] = {&arguments};
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y));
  const cudaError_t result =
      cudaLaunchKernel(reinterpret_cast<const void *>(kernel), blocks, dim3(weft::kThreads), given,
                       static_cast<size_t>(shared), static_cast<cudaStream_t>(stream));
  return result == cudaSuccess ? WEFT_OK : WEFT_LAUNCH_FAILED;
}

int multiprocessors() {
  int device = 0, count = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

template <int D>
WeftStatus launch_plain(const WeftDPCWAttention &c, void *stream) {
  return enqueue(weft::plain::dpcw_plain_kernel<D>, weft::plain_grid(c), 0, stream,
                 weft::attention_of(c));
}

}  // namespace

extern "C" WeftStatus weft_dpcw_cuda_can_implement(const WeftDPCWAttention *call) {
  return weft::cuda_can_implement(call);
}

extern "C" WeftStatus weft_dpcw_cuda(const WeftDPCWAttention *call, void *stream) {
  const WeftStatus status = weft::cuda_can_implement(call);
  if (status != WEFT_OK) return status;
  if (call->type == WEFT_FLOAT32) {
    switch (call->head_dim) {
      case 32: return launch_plain<32>(*call, stream);
      case 64: return launch_plain<64>(*call, stream);
      default: return launch_plain<128>(*call, stream);
    }
  }
  const bool wide = weft::prefer_wide(*call, multiprocessors());
  return weft::dispatch_mma(
      *call, wide, [&](auto tiling, const weft::Attention &a, weft::Grid grid) {
        using G = decltype(tiling);
        constexpr int kBytes = G::kSharedBytes;
        // Beyond 48 KiB a kernel must ask; that touches no stream, so capture allows it.
        if (kBytes > 48 * 1024 &&
            cudaFuncSetAttribute(weft::dpcw_mma_kernel<G>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 kBytes) != cudaSuccess)
          return WEFT_LAUNCH_FAILED;
        return enqueue(weft::dpcw_mma_kernel<G>, grid, kBytes, stream, a);
      });
}

extern "C" WeftStatus weft_rows_cuda_can_implement(const WeftRows *call) {
  return weft::cuda_can_implement(call);
}

extern "C" WeftStatus weft_rows_cuda(const WeftRows *call, void *stream) {
  const WeftStatus status = weft::cuda_can_implement(call);
  if (status != WEFT_OK || call->rows == 0) return status;
  return weft::dispatch_rows(*call, [&](auto variant, const WeftRows &c, weft::Grid grid) {
    return enqueue(weft::rows_kernel<decltype(variant)>, grid, 0, stream, c);
  });
}
