// The TensorRT plugin without TensorRT: its headers only, and a kernel that notes what it is asked
// and takes what the CUDA kernels take.

#include <cstdio>
#include <string>

#include "cuda/plan.h"
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
  auto *const *creators = getCreators(count);
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

nvinfer1::IPluginV3OneBuild *build_of(nvinfer1::IPluginV3 *plugin) {
  return capability<nvinfer1::IPluginV3OneBuild>(plugin, nvinfer1::PluginCapabilityType::kBUILD);
}

// Whether a layer with these optional inputs takes tensors of these types, the output last.
bool takes_types(int32_t optional, int32_t series, std::vector<DataType> types) {
  nvinfer1::IPluginV3 *plugin = create({{"optional", &optional, PluginFieldType::kINT32, 1},
                                        {"series", &series, PluginFieldType::kINT32, 1}});
  std::vector<nvinfer1::DynamicPluginTensorDesc> tensors(types.size());
  for (size_t i = 0; i < types.size(); ++i) tensors[i].desc = tensor(types[i], {});
  const int32_t inputs = static_cast<int32_t>(types.size()) - 1;
  bool good = true;
  for (int32_t i = 0; i <= inputs; ++i)
    good = build_of(plugin)->supportsFormatCombination(i, tensors.data(), inputs, 1) && good;
  delete plugin;
  return good;
}

void formats() {
  constexpr DataType F = DataType::kFLOAT, H = DataType::kHALF, E = DataType::kFP8;
  constexpr DataType I = DataType::kINT32;
  check("float16 with an FP8 window and its scales", takes_types(0xc0, 1, {H, E, E, H, H, F, F, H}));
  check("but not a float16 window", !takes_types(0xc0, 1, {H, H, H, H, H, F, F, H}));
  check("nor with an input missing", !takes_types(0xc0, 1, {H, E, E, H, H, F, H}));
  check("nor with one scale", !takes_types(0x40, 1, {H, E, E, H, H, F, H}));
  check("float16 with norms and tables", takes_types(0x3c, 2, {H, H, H, H, H, F, F, F, F, H}));
  check("but not one table", !takes_types(0x10, 1, {H, H, H, H, H, F, H}));
  check("float32 with lengths", takes_types(0x03, 1, {F, F, F, F, F, I, I, F}));
  check("but not with a norm", !takes_types(0x04, 1, {F, F, F, F, F, F, F}));
  check("nor with tables", !takes_types(0x30, 1, {F, F, F, F, F, F, F, F}));
  check("nor with scales", !takes_types(0xc0, 1, {F, F, F, F, F, F, F, F}));
  check("nor in a series", !takes_types(0, 2, {F, F, F, F, F, F}));
}

// Whether a float16 layer takes these sizes: of a context, and as a profile's optimum.
bool takes_sizes(int32_t series, int64_t batch, int64_t dim) {
  nvinfer1::IPluginV3 *plugin = create({{"series", &series, PluginFieldType::kINT32, 1}});
  nvinfer1::PluginTensorDesc inputs[5];
  nvinfer1::DynamicPluginTensorDesc profile[5] = {};
  for (int i = 0; i < 5; ++i) {
    const bool window = i == 1 || i == 2;
    inputs[i] = tensor(DataType::kHALF, {batch, i == 0 ? 6 : 3, window ? 320 : 256, dim});
    profile[i].desc = inputs[i];
    profile[i].opt = inputs[i].dims;
  }
  const bool good = runtime_of(plugin)->onShapeChange(inputs, 5, inputs, 1) == 0;
  check("context and profile agree",
        (build_of(plugin)->configurePlugin(profile, 5, profile, 1) == 0) == good);
  profile[0].opt.d[0] = -1;
  check("what is not known yet may fit",
        build_of(plugin)->configurePlugin(profile, 5, profile, 1) == 0);
  delete plugin;
  return good;
}

void sizes() {
  check("a series of two, twice", takes_sizes(2, 4, 64));
  check("but not three pictures", !takes_sizes(2, 3, 64));
  check("nor a head dimension without a kernel", !takes_sizes(2, 4, 48));
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

extern "C" WeftStatus weft_dpcw_cuda_can_implement(const WeftDPCWAttention *call) {
  return weft::cuda_can_implement(call);
}

int main() {
  int32_t count = 0;
  auto *creator = static_cast<nvinfer1::IPluginCreatorV3One *>(getCreators(count)[0]);
  check("one creator, named as the operator",
        count == 1 && std::string(creator->getPluginName()) == WEFT_DPCW_NAME);
  serialization();
  formats();
  sizes();
  call();
  return failures == 0 ? 0 : 1;
}
