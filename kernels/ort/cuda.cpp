// The operator for ONNX Runtime's CUDA provider, on the provider's own stream.

#include "operator.h"

namespace weft::ort {
namespace {

class CudaKernel {
 public:
  static constexpr const char *kProvider = "CUDAExecutionProvider";

  CudaKernel(const OrtKernelInfo *info, WeftType type, WeftType window_type)
      : attributes_(info), type_(type), window_type_(window_type) {}

  void Compute(OrtKernelContext *raw) const {
    const Ort::KernelContext context(raw);
    const Tensors tensors(context);
    WeftDPCWAttention call = call_of(tensors, attributes_, type_, window_type_);
    call.y = context.GetOutput(0, tensors.shape(kQ)).GetTensorMutableRawData();
    check(weft_dpcw_cuda(&call, context.GetGPUComputeStream()));
  }

 private:
  Attributes attributes_;
  WeftType type_, window_type_;
};

}  // namespace

void add_cuda(Ort::CustomOpDomain &domain) {
  static const Operator<CudaKernel, WEFT_FLOAT32, WEFT_FLOAT32> single;
  static const Operator<CudaKernel, WEFT_FLOAT16, WEFT_FLOAT16> half;
  static const Operator<CudaKernel, WEFT_FLOAT16, WEFT_FLOAT8_E4M3> half_fp8;
  static const Operator<CudaKernel, WEFT_BFLOAT16, WEFT_BFLOAT16> bfloat;
  static const Operator<CudaKernel, WEFT_BFLOAT16, WEFT_FLOAT8_E4M3> bfloat_fp8;
  domain.Add(&single);
  domain.Add(&half);
  domain.Add(&half_fp8);
  domain.Add(&bfloat);
  domain.Add(&bfloat_fp8);
}

}  // namespace weft::ort
