// What the CPU and the CUDA operator share: inputs in the declared order, attributes, shapes.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstring>
#include <string>
#include <vector>

#include "weft/dpcw.h"

namespace weft::ort {

constexpr size_t kRequired = 5;
constexpr size_t kInputs = 13;
// Rows of the input list, as in the declaration.
enum Input {
  kQ, kKWindow, kVWindow, kKSelf, kVSelf, kWindowLength, kSelfLength, kQNorm, kKNorm, kCos, kSin,
  kKScale, kVScale
};

struct Attributes {
  float epsilon = 1e-6f;
  int64_t series = 1;

  explicit Attributes(const OrtKernelInfo *info) {
    const Ort::ConstKernelInfo given(info);
    epsilon = read(given, "epsilon", epsilon);
    series = read(given, "series", series);
  }

 private:
  // An attribute that the node leaves out is an error to ask for; its default stands then.
  template <typename T>
  static T read(const Ort::ConstKernelInfo &info, const char *name, T otherwise) {
    try {
      return info.GetAttribute<T>(name);
    } catch (const Ort::Exception &) {
      return otherwise;
    }
  }
};

// The tensors of one run; an optional input that is not there is null.
class Tensors {
 public:
  explicit Tensors(const Ort::KernelContext &context) : context_(context) {}

  std::vector<int64_t> shape(size_t index) const {
    return value(index).GetTensorTypeAndShapeInfo().GetShape();
  }
  template <typename T = void>
  const T *data(size_t index) const {
    if (index >= context_.GetInputCount()) return nullptr;
    const Ort::ConstValue found = context_.GetInput(index);
    return static_cast<const OrtValue *>(found) == nullptr
               ? nullptr
               : static_cast<const T *>(found.GetTensorRawData());
  }

 private:
  Ort::ConstValue value(size_t index) const { return context_.GetInput(index); }
  const Ort::KernelContext &context_;
};

[[noreturn]] inline void refuse(const std::string &why) {
  ORT_CXX_API_THROW(std::string(WEFT_DPCW_DOMAIN "::" WEFT_DPCW_NAME ": ") + why,
                    ORT_INVALID_ARGUMENT);
}

inline void expect(const Tensors &t, size_t index, const std::vector<int64_t> &shape,
                   const char *name) {
  if (t.data(index) == nullptr || t.shape(index) == shape) return;
  std::string expected, found;
  for (int64_t size : shape) expected += " " + std::to_string(size);
  for (int64_t size : t.shape(index)) found += " " + std::to_string(size);
  refuse(std::string(name) + " has shape [" + found + " ], expected [" + expected + " ]");
}

// The call, checked against its tensors' shapes. `y` is filled in by the caller.
inline WeftDPCWAttention call_of(const Tensors &t, const Attributes &attributes, WeftType type,
                                 WeftType window_type) {
  const std::vector<int64_t> q = t.shape(kQ), window = t.shape(kKWindow), self = t.shape(kKSelf);
  if (q.size() != 4 || window.size() != 4 || self.size() != 4)
    refuse("q, k_window and k_self must have four dimensions");
  for (const auto &shape : {q, window, self})
    for (int64_t size : shape)
      if (size > INT32_MAX) refuse("a dimension is beyond 32 bits");
  expect(t, kKSelf, {q[0], window[1], q[2], q[3]}, "k_self");
  expect(t, kVSelf, self, "v_self");
  expect(t, kKWindow, {q[0], self[1], window[2], q[3]}, "k_window");
  if (t.shape(kVWindow) != window) refuse("k_window and v_window differ in shape");
  for (size_t i : {kWindowLength, kSelfLength}) expect(t, i, {q[0]}, "a length");
  for (size_t i : {kQNorm, kKNorm}) expect(t, i, {q[3]}, "a norm's weight");
  for (size_t i : {kKScale, kVScale}) expect(t, i, {self[1]}, "a scale");
  const int64_t tables = t.data(kCos) == nullptr ? 0 : t.shape(kCos).at(0);
  for (size_t i : {kCos, kSin}) expect(t, i, {tables, q[2], q[3] / 2}, "cos or sin");

  WeftDPCWAttention c{};
  c.q = t.data(kQ);
  c.k_window = t.data(kKWindow);
  c.v_window = t.data(kVWindow);
  c.k_self = t.data(kKSelf);
  c.v_self = t.data(kVSelf);
  c.window_length = t.data<int32_t>(kWindowLength);
  c.self_length = t.data<int32_t>(kSelfLength);
  c.q_norm = t.data<float>(kQNorm);
  c.k_norm = t.data<float>(kKNorm);
  c.cos = t.data<float>(kCos);
  c.sin = t.data<float>(kSin);
  c.k_scale = t.data<float>(kKScale);
  c.v_scale = t.data<float>(kVScale);
  c.epsilon = attributes.epsilon;
  c.series = static_cast<int32_t>(attributes.series);
  c.type = type;
  c.window_type = window_type;
  c.batch = static_cast<int32_t>(q[0]);
  c.heads = static_cast<int32_t>(q[1]);
  c.kv_heads = static_cast<int32_t>(self[1]);
  c.tokens = static_cast<int32_t>(q[2]);
  c.window = static_cast<int32_t>(window[2]);
  c.head_dim = static_cast<int32_t>(q[3]);
  c.tables = static_cast<int32_t>(tables);
  return c;
}

inline void check(WeftStatus status) {
  if (status != WEFT_OK) refuse(weft_status_message(status));
}

constexpr ONNXTensorElementDataType element(WeftType type) {
  switch (type) {
    case WEFT_FLOAT16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    case WEFT_BFLOAT16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
    case WEFT_FLOAT8_E4M3: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN;
    default: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
}

// An operator of one pair of types. Kernel: a class made from OrtKernelInfo, with Compute(). It has
// no InferOutputShape(), which would see an unknown rank as a scalar; the runtime knows the output's
// type without it.
template <class Kernel, WeftType Type, WeftType WindowType>
struct Operator
    : Ort::CustomOpBase<Operator<Kernel, Type, WindowType>, Kernel> {
  void *CreateKernel(const OrtApi &, const OrtKernelInfo *info) const {
    return new Kernel(info, Type, WindowType);
  }
  const char *GetName() const { return WEFT_DPCW_NAME; }
  const char *GetExecutionProviderType() const { return Kernel::kProvider; }
  size_t GetInputTypeCount() const { return kInputs; }
  ONNXTensorElementDataType GetInputType(size_t index) const {
    if (index == kKWindow || index == kVWindow) return element(WindowType);
    if (index < kRequired) return element(Type);
    return index <= kSelfLength ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                                : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t index) const {
    return index < kRequired ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
  }
  size_t GetOutputTypeCount() const { return 1; }
  ONNXTensorElementDataType GetOutputType(size_t) const { return element(Type); }
  OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(size_t) const {
    return INPUT_OUTPUT_REQUIRED;
  }
};

void add_cpu(Ort::CustomOpDomain &domain);
#if defined(WEFT_WITH_CUDA)
void add_cuda(Ort::CustomOpDomain &domain);
#endif

}  // namespace weft::ort
