#include "dpcw_plugin.h"

#include <algorithm>
#include <iterator>
#include <new>

namespace weft {
namespace {

using nvinfer1::DataType;

constexpr int kLengths = 2;  // the optional inputs of type int32 come first

// The element type of a tensor, or -1 for one that no kernel takes.
int32_t type_of(DataType type) {
  switch (type) {
    case DataType::kFLOAT: return WEFT_FLOAT32;
    case DataType::kHALF: return WEFT_FLOAT16;
    case DataType::kBF16: return WEFT_BFLOAT16;
    case DataType::kFP8: return WEFT_FLOAT8_E4M3;
    default: return -1;
  }
}

bool same(const nvinfer1::Dims &dims, std::initializer_list<int64_t> expected) {
  if (dims.nbDims != static_cast<int32_t>(expected.size())) return false;
  int i = 0;
  for (int64_t size : expected)
    if (dims.d[i++] != size) return false;
  return true;
}

// Sizes from the descriptions; false when the shapes do not belong together. Data stay null.
bool sizes_of(const nvinfer1::PluginTensorDesc *inputs, int32_t count, const Fields &fields,
              WeftDPCWAttention &call) {
  if (!fields.fits(count)) return false;
  const nvinfer1::Dims &q = inputs[0].dims, &window = inputs[1].dims, &self = inputs[3].dims;
  if (q.nbDims != 4 || window.nbDims != 4 || self.nbDims != 4) return false;
  if (!same(self, {q.d[0], window.d[1], q.d[2], q.d[3]})) return false;
  if (!same(window, {q.d[0], self.d[1], window.d[2], q.d[3]})) return false;
  if (!same(inputs[2].dims, {q.d[0], self.d[1], window.d[2], q.d[3]})) return false;
  if (!same(inputs[4].dims, {q.d[0], self.d[1], q.d[2], q.d[3]})) return false;
  const int cos = fields.position(4, count);
  call.epsilon = fields.epsilon;
  call.series = fields.series;
  call.type = type_of(inputs[0].type);
  call.window_type = type_of(inputs[1].type);
  call.batch = static_cast<int32_t>(q.d[0]);
  call.heads = static_cast<int32_t>(q.d[1]);
  call.kv_heads = static_cast<int32_t>(self.d[1]);
  call.tokens = static_cast<int32_t>(q.d[2]);
  call.window = static_cast<int32_t>(window.d[2]);
  call.head_dim = static_cast<int32_t>(q.d[3]);
  call.tables = cos < 0 ? 0 : static_cast<int32_t>(inputs[cos].dims.d[0]);
  const int64_t half = q.d[3] / 2;
  for (int i = 0; i < kOptionalInputs; ++i) {
    const int at = fields.position(i, count);
    if (at < 0) continue;
    const nvinfer1::Dims &dims = inputs[at].dims;
    const bool good = i < 2   ? same(dims, {q.d[0]})
                      : i < 4 ? same(dims, {q.d[3]})
                      : i < 6 ? same(dims, {call.tables, q.d[2], half})
                              : same(dims, {self.d[1]});
    if (!good) return false;
  }
  return true;
}

void connect(WeftDPCWAttention &call, const void *const *data, int32_t count,
             const Fields &fields) {
  const auto optional = [&](int index) -> const void * {
    const int at = fields.position(index, count);
    return at < 0 ? nullptr : data[at];
  };
  call.q = data[0];
  call.k_window = data[1];
  call.v_window = data[2];
  call.k_self = data[3];
  call.v_self = data[4];
  call.window_length = static_cast<const int32_t *>(optional(0));
  call.self_length = static_cast<const int32_t *>(optional(1));
  call.q_norm = static_cast<const float *>(optional(2));
  call.k_norm = static_cast<const float *>(optional(3));
  call.cos = static_cast<const float *>(optional(4));
  call.sin = static_cast<const float *>(optional(5));
  call.k_scale = static_cast<const float *>(optional(6));
  call.v_scale = static_cast<const float *>(optional(7));
}

// Whether the kernel takes tensors of these types and shapes, wherever they will lie.
bool implemented(const nvinfer1::PluginTensorDesc *inputs, int32_t count, const Fields &fields) {
  WeftDPCWAttention call{};
  if (!sizes_of(inputs, count, fields, call)) return false;
  alignas(16) char somewhere = 0;
  const void *data[kRequiredInputs + kOptionalInputs];
  std::fill(std::begin(data), std::end(data), &somewhere);
  connect(call, data, count, fields);
  call.y = &somewhere;
  return weft_dpcw_cuda_can_implement(&call) == WEFT_OK;
}

bool known(const nvinfer1::Dims &dims) {
  return dims.nbDims > 0 &&
         std::all_of(dims.d, dims.d + dims.nbDims, [](int64_t size) { return size >= 0; });
}

// The kernel for float32 takes the lengths only, and no series.
bool takes_float32(const Fields &fields, int32_t count) {
  for (int i = kLengths; i < kOptionalInputs; ++i)
    if (fields.connected(i, count)) return false;
  return fields.series == 1;
}

}  // namespace

nvinfer1::IPluginCapability *DPCWPlugin::getCapabilityInterface(
    nvinfer1::PluginCapabilityType type) noexcept {
  switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE:
      return static_cast<nvinfer1::IPluginV3OneCore *>(this);
    case nvinfer1::PluginCapabilityType::kBUILD:
      return static_cast<nvinfer1::IPluginV3OneBuild *>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME:
      return static_cast<nvinfer1::IPluginV3OneRuntime *>(this);
  }
  return nullptr;
}

nvinfer1::IPluginV3 *DPCWPlugin::clone() noexcept { return new (std::nothrow) DPCWPlugin(fields_); }

int32_t DPCWPlugin::getOutputDataTypes(DataType *outputs, int32_t, const DataType *inputs,
                                       int32_t) const noexcept {
  outputs[0] = inputs[0];
  return 0;
}

int32_t DPCWPlugin::getOutputShapes(const nvinfer1::DimsExprs *inputs, int32_t input_count,
                                    const nvinfer1::DimsExprs *, int32_t,
                                    nvinfer1::DimsExprs *outputs, int32_t,
                                    nvinfer1::IExprBuilder &) noexcept {
  if (!fields_.fits(input_count)) return -1;
  outputs[0] = inputs[0];
  return 0;
}

bool DPCWPlugin::supportsFormatCombination(int32_t position,
                                           const nvinfer1::DynamicPluginTensorDesc *tensors,
                                           int32_t input_count, int32_t) noexcept {
  if (!fields_.fits(input_count)) return false;
  const nvinfer1::PluginTensorDesc &tensor = tensors[position].desc;
  if (tensor.format != nvinfer1::TensorFormat::kLINEAR) return false;
  const DataType type = tensors[0].desc.type;
  if (position == 0)
    return type == DataType::kHALF || type == DataType::kBF16 ||
           (type == DataType::kFLOAT && takes_float32(fields_, input_count));
  if (position == input_count || position == 3 || position == 4) return tensor.type == type;
  if (position < kRequiredInputs) {
    const bool scaled = fields_.connected(6, input_count);
    return tensor.type == (scaled ? DataType::kFP8 : type);
  }
  bool length = false;
  for (int i = 0; i < kLengths; ++i) length |= position == fields_.position(i, input_count);
  return tensor.type == (length ? DataType::kINT32 : DataType::kFLOAT);
}

int32_t DPCWPlugin::configurePlugin(const nvinfer1::DynamicPluginTensorDesc *inputs,
                                    int32_t input_count,
                                    const nvinfer1::DynamicPluginTensorDesc *, int32_t) noexcept {
  if (!fields_.fits(input_count)) return -1;
  // At the profile's optimum; without one, onShapeChange() is the first to see whole shapes.
  nvinfer1::PluginTensorDesc optimum[kRequiredInputs + kOptionalInputs];
  for (int i = 0; i < input_count; ++i) {
    if (!known(inputs[i].opt)) return 0;
    optimum[i] = inputs[i].desc;
    optimum[i].dims = inputs[i].opt;
  }
  return implemented(optimum, input_count, fields_) ? 0 : -1;
}

int32_t DPCWPlugin::onShapeChange(const nvinfer1::PluginTensorDesc *inputs, int32_t input_count,
                                  const nvinfer1::PluginTensorDesc *, int32_t) noexcept {
  input_count_ = input_count;
  return implemented(inputs, input_count, fields_) ? 0 : -1;
}

int32_t DPCWPlugin::enqueue(const nvinfer1::PluginTensorDesc *inputs,
                            const nvinfer1::PluginTensorDesc *, const void *const *input_data,
                            void *const *output_data, void *, cudaStream_t stream) noexcept {
  WeftDPCWAttention call{};
  if (!sizes_of(inputs, input_count_, fields_, call)) return -1;
  connect(call, input_data, input_count_, fields_);
  call.y = output_data[0];
  return weft_dpcw_cuda(&call, stream) == WEFT_OK ? 0 : -1;
}

nvinfer1::IPluginV3 *DPCWPlugin::attachToContext(nvinfer1::IPluginResourceContext *) noexcept {
  return clone();
}

const nvinfer1::PluginFieldCollection *DPCWPlugin::getFieldsToSerialize() noexcept {
  serialized_ = fields_of(fields_);
  collection_ = {static_cast<int32_t>(serialized_.size()), serialized_.data()};
  return &collection_;
}

DPCWPluginCreator::DPCWPluginCreator() : names_(field_names()) {
  collection_ = {static_cast<int32_t>(names_.size()), names_.data()};
}

nvinfer1::IPluginV3 *DPCWPluginCreator::createPlugin(const char *,
                                                     const nvinfer1::PluginFieldCollection *given,
                                                     nvinfer1::TensorRTPhase) noexcept {
  Fields fields;
  if (given != nullptr && !read_fields(*given, fields)) return nullptr;
  return new (std::nothrow) DPCWPlugin(fields);
}

}  // namespace weft

extern "C" WEFT_API nvinfer1::IPluginCreatorInterface *const *getCreators(int32_t &count) {
  static weft::DPCWPluginCreator creator;
  static nvinfer1::IPluginCreatorInterface *const creators[] = {&creator};
  count = 1;
  return creators;
}

extern "C" WEFT_API void setLoggerFinder(nvinfer1::ILoggerFinder *) {}
