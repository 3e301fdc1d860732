// The TensorRT plugin without TensorRT: its headers only, and a kernel that notes what it is asked.

#include <cstdio>
#include <string>

#include "plugins/dpcw_plugin.h"

namespace {

WeftDPCWAttention asked;
int failures = 0;

void check(const char *what, bool good) {
  std::printf("%s %s\n", good ? "ok  " : "FAIL", what);
  failures += !good;
}

using nvinfer1::DataType;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

nvinfer1::PluginTensorDesc tensor(DataType type, std::initializer_list<int64_t> shape) {
  nvinfer1::PluginTensorDesc desc{};
  desc.type = type;
  desc.format = nvinfer1::TensorFormat::kLINEAR;
  for (int64_t size : shape) desc.dims.d[desc.dims.nbDims++] = size;
  return desc;
}

nvinfer1::IPluginV3 *create(std::vector<PluginField> fields) {
  int32_t count = 0;
  auto *const *creators = getPluginCreators(count);
  auto *creator = static_cast<nvinfer1::IPluginCreatorV3One *>(creators[0]);
  const nvinfer1::PluginFieldCollection given{static_cast<int32_t>(fields.size()), fields.data()};
  return creator->createPlugin("", &given, nvinfer1::TensorRTPhase::kBUILD);
}

template <class T>
T *capability(nvinfer1::IPluginV3 *plugin, nvinfer1::PluginCapabilityType type) {
  return static_cast<T *>(plugin->getCapabilityInterface(type));
}

nvinfer1::IPluginV3OneRuntime *runtime_of(nvinfer1::IPluginV3 *plugin) {
  return capability<nvinfer1::IPluginV3OneRuntime>(plugin,
                                                   nvinfer1::PluginCapabilityType::kRUNTIME);
}

// Through the engine's file: what is serialized makes the same plugin again.
void serialization() {
  const float epsilon = 1e-5f;
  const int64_t series = 2;
  const int32_t optional = 0xc0;
  nvinfer1::IPluginV3 *first =
      create({{"epsilon", &epsilon, PluginFieldType::kFLOAT32, 1},
              {"series", &series, PluginFieldType::kINT64, 1},
              {"optional", &optional, PluginFieldType::kINT32, 1},
              {"plugin_version", "1", PluginFieldType::kCHAR, 1}});
  const nvinfer1::PluginFieldCollection *kept = runtime_of(first)->getFieldsToSerialize();
  weft::Fields fields;
  check("fields are read back", weft::read_fields(*kept, fields));
  check("with their values",
        fields.epsilon == epsilon && fields.series == 2 && fields.optional == optional);
  check("a field of another type is refused",
        create({{"epsilon", &series, PluginFieldType::kINT64, 1}}) == nullptr);
  const int32_t none = 0;
  check("a series of none is refused",
        create({{"series", &none, PluginFieldType::kINT32, 1}}) == nullptr);
  delete first;
}

void formats() {
  const int32_t scales = 0xc0;
  nvinfer1::IPluginV3 *plugin = create({{"optional", &scales, PluginFieldType::kINT32, 1}});
  auto *build = capability<nvinfer1::IPluginV3OneBuild>(plugin,
                                                        nvinfer1::PluginCapabilityType::kBUILD);
  nvinfer1::DynamicPluginTensorDesc tensors[8] = {};
  const DataType types[8] = {DataType::kHALF, DataType::kFP8,   DataType::kFP8,   DataType::kHALF,
                             DataType::kHALF, DataType::kFLOAT, DataType::kFLOAT, DataType::kHALF};
  for (int i = 0; i < 8; ++i) tensors[i].desc = tensor(types[i], {});
  bool good = true;
  for (int i = 0; i < 8; ++i) good = build->supportsFormatCombination(i, tensors, 7, 1) && good;
  check("float16 with an FP8 window and its scales", good);
  tensors[1].desc.type = DataType::kHALF;
  check("but not a float16 window", !build->supportsFormatCombination(1, tensors, 7, 1));
  check("nor with an input missing", !build->supportsFormatCombination(0, tensors, 6, 1));
  delete plugin;
}

void call() {
  const int32_t scales = 0xc0;
  nvinfer1::IPluginV3 *built = create({{"optional", &scales, PluginFieldType::kINT32, 1}});
  nvinfer1::IPluginV3 *plugin = runtime_of(built)->attachToContext(nullptr);
  nvinfer1::IPluginV3OneRuntime *runtime = runtime_of(plugin);
  const nvinfer1::PluginTensorDesc inputs[7] = {
      tensor(DataType::kHALF, {2, 6, 256, 64}), tensor(DataType::kFP8, {2, 3, 320, 64}),
      tensor(DataType::kFP8, {2, 3, 320, 64}),  tensor(DataType::kHALF, {2, 3, 256, 64}),
      tensor(DataType::kHALF, {2, 3, 256, 64}), tensor(DataType::kFLOAT, {3}),
      tensor(DataType::kFLOAT, {3})};
  char data[8];
  const void *given[7];
  for (int i = 0; i < 7; ++i) given[i] = data + i;
  void *outputs[1] = {data + 7};
  check("shapes that belong together", runtime->onShapeChange(inputs, 7, inputs, 1) == 0);
  check("the kernel is asked",
        runtime->enqueue(inputs, inputs, given, outputs, nullptr, nullptr) == 0);
  const WeftDPCWAttention &c = asked;
  check("sizes", c.batch == 2 && c.heads == 6 && c.kv_heads == 3 && c.tokens == 256 &&
                     c.window == 320 && c.head_dim == 64 && c.series == 1);
  check("types", c.type == WEFT_FLOAT16 && c.window_type == WEFT_FLOAT8_E4M3);
  check("tensors", c.q == data && c.v_self == data + 4 && c.y == data + 7 &&
                       c.k_scale == static_cast<const void *>(data + 5) &&
                       c.v_scale == static_cast<const void *>(data + 6));
  check("nothing else", c.window_length == nullptr && c.cos == nullptr && c.k_norm == nullptr);
  nvinfer1::PluginTensorDesc wrong[7];
  for (int i = 0; i < 7; ++i) wrong[i] = inputs[i];
  wrong[3] = tensor(DataType::kHALF, {2, 3, 255, 64});
  check("shapes that do not", runtime->onShapeChange(wrong, 7, inputs, 1) != 0);
  delete plugin;
  delete built;
}

}  // namespace

extern "C" WeftStatus weft_dpcw_cuda(const WeftDPCWAttention *call, void *) {
  asked = *call;
  return WEFT_OK;
}

int main() {
  int32_t count = 0;
  auto *creator = static_cast<nvinfer1::IPluginCreatorV3One *>(getPluginCreators(count)[0]);
  check("one creator, named as the operator",
        count == 1 && std::string(creator->getPluginName()) == WEFT_DPCW_NAME);
  serialization();
  formats();
  call();
  return failures == 0 ? 0 : 1;
}
