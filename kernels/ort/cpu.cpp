// The operator for ONNX Runtime's CPU provider: float32, on the session's own threads.

#include "cpu/tasks.h"
#include "operator.h"

namespace weft::ort {
namespace {

class CpuKernel {
 public:
  static constexpr const char *kProvider = nullptr;  // the CPU provider

  CpuKernel(const OrtKernelInfo *info, WeftType type, WeftType window_type)
      : attributes_(info), type_(type), window_type_(window_type) {}

  void Compute(OrtKernelContext *raw) const {
    const Ort::KernelContext context(raw);
    const Tensors tensors(context);
    WeftDPCWAttention call = call_of(tensors, attributes_, type_, window_type_);
    call.y = context.GetOutput(0, tensors.shape(kQ)).GetTensorMutableRawData();
    check(weft_dpcw_cpu_can_implement(&call));
    context.ParallelFor(
        [](void *given, size_t task) {
          // Kept per thread: a step asks for the same sizes in every layer.
          thread_local Workspace work;
          run_task(*static_cast<const WeftDPCWAttention *>(given), static_cast<int>(task), work);
        },
        static_cast<size_t>(task_count(call)), 0, &call);
  }

 private:
  Attributes attributes_;
  WeftType type_, window_type_;
};

}  // namespace

void add_cpu(Ort::CustomOpDomain &domain) {
  static const Operator<CpuKernel, WEFT_FLOAT32, WEFT_FLOAT32> plain;
  static const Operator<CpuKernel, WEFT_FLOAT32, WEFT_FLOAT8_E4M3> fp8;
  domain.Add(&plain);
  domain.Add(&fp8);
}

}  // namespace weft::ort
