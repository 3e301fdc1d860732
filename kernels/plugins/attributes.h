// The plugin's fields: the operator's attributes and, since a TensorRT layer has no empty inputs,
// one that says which optional inputs are connected. Knows the interface's types, nothing else.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace weft {

constexpr int kRequiredInputs = 5;
constexpr int kOptionalInputs = 8;

struct Fields {
  float epsilon = 1e-6f;
  int32_t series = 1;
  // Bit i: the i-th optional input of the declaration is connected. -1: as many as are connected,
  // from the first on, which is what a node without empty inputs says.
  int32_t optional = -1;

  // The place among the layer's inputs of optional input `index`, or -1.
  int position(int index, int inputs) const {
    const uint32_t mask =
        optional >= 0 ? static_cast<uint32_t>(optional)
                      : (1u << (inputs > kRequiredInputs ? inputs - kRequiredInputs : 0)) - 1u;
    if ((mask >> index & 1u) == 0) return -1;
    int place = kRequiredInputs;
    for (int i = 0; i < index; ++i) place += static_cast<int>(mask >> i & 1u);
    return place;
  }
  bool connected(int index, int inputs) const { return position(index, inputs) >= 0; }
  // Whether the layer has as many inputs as said, cos with sin and k_scale with v_scale.
  bool fits(int inputs) const {
    int count = kRequiredInputs;
    for (int i = 0; i < kOptionalInputs; ++i) count += connected(i, inputs);
    return inputs == count && connected(4, inputs) == connected(5, inputs) &&
           connected(6, inputs) == connected(7, inputs);
  }
};

inline std::vector<nvinfer1::PluginField> field_names() {
  using nvinfer1::PluginFieldType;
  return {{"epsilon", nullptr, PluginFieldType::kFLOAT32, 1},
          {"series", nullptr, PluginFieldType::kINT32, 1},
          {"optional", nullptr, PluginFieldType::kINT32, 1}};
}

inline std::vector<nvinfer1::PluginField> fields_of(const Fields &fields) {
  std::vector<nvinfer1::PluginField> list = field_names();
  list[0].data = &fields.epsilon;
  list[1].data = &fields.series;
  list[2].data = &fields.optional;
  return list;
}

// From an ONNX node or a serialized engine; false when a field has another type than expected.
inline bool read_fields(const nvinfer1::PluginFieldCollection &given, Fields &fields) {
  using nvinfer1::PluginFieldType;
  for (int i = 0; i < given.nbFields; ++i) {
    const nvinfer1::PluginField &field = given.fields[i];
    if (field.data == nullptr) continue;
    const bool real = field.type == PluginFieldType::kFLOAT32 && field.length == 1;
    const bool whole = field.length == 1 && (field.type == PluginFieldType::kINT32 ||
                                             field.type == PluginFieldType::kINT64);
    int64_t number = 0;
    if (whole) std::memcpy(&number, field.data, field.type == PluginFieldType::kINT64 ? 8 : 4);
    if (whole && field.type == PluginFieldType::kINT32) number = static_cast<int32_t>(number);
    if (std::strcmp(field.name, "epsilon") == 0) {
      if (!real) return false;
      std::memcpy(&fields.epsilon, field.data, sizeof(float));
    } else if (std::strcmp(field.name, "series") == 0) {
      if (!whole) return false;
      fields.series = static_cast<int32_t>(number);
    } else if (std::strcmp(field.name, "optional") == 0) {
      if (!whole) return false;
      fields.optional = static_cast<int32_t>(number);
    }
  }
  return fields.series >= 1 && fields.optional < 1 << kOptionalInputs;
}

}  // namespace weft
