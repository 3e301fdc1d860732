// DPCW attention as a TensorRT plugin: an adapter from TensorRT's descriptions to one call of
// weft_dpcw_cuda(). It keeps no device memory and no stream, and enqueues one kernel that asks the
// host nothing, so it may be captured in a CUDA graph.
#pragma once

#include <NvInferRuntime.h>

#include "attributes.h"
#include "weft/dpcw.h"

namespace weft {

class DPCWPlugin final : public nvinfer1::IPluginV3,
                         public nvinfer1::IPluginV3OneCore,
                         public nvinfer1::IPluginV3OneBuild,
                         public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit DPCWPlugin(const Fields &fields) : fields_(fields) {}

  nvinfer1::IPluginCapability *getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override;
  nvinfer1::IPluginV3 *clone() noexcept override;

  const char *getPluginName() const noexcept override { return WEFT_DPCW_NAME; }
  const char *getPluginVersion() const noexcept override { return "1"; }
  const char *getPluginNamespace() const noexcept override { return ""; }

  int32_t getNbOutputs() const noexcept override { return 1; }
  int32_t getOutputDataTypes(nvinfer1::DataType *outputs, int32_t output_count,
                             const nvinfer1::DataType *inputs,
                             int32_t input_count) const noexcept override;
  int32_t getOutputShapes(const nvinfer1::DimsExprs *inputs, int32_t input_count,
                          const nvinfer1::DimsExprs *shape_inputs, int32_t shape_input_count,
                          nvinfer1::DimsExprs *outputs, int32_t output_count,
                          nvinfer1::IExprBuilder &builder) noexcept override;
  bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc *tensors,
                                 int32_t input_count, int32_t output_count) noexcept override;
  int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc *inputs, int32_t input_count,
                          const nvinfer1::DynamicPluginTensorDesc *outputs,
                          int32_t output_count) noexcept override;

  int32_t onShapeChange(const nvinfer1::PluginTensorDesc *inputs, int32_t input_count,
                        const nvinfer1::PluginTensorDesc *outputs,
                        int32_t output_count) noexcept override;
  int32_t enqueue(const nvinfer1::PluginTensorDesc *inputs,
                  const nvinfer1::PluginTensorDesc *outputs, const void *const *input_data,
                  void *const *output_data, void *workspace, cudaStream_t stream) noexcept override;
  nvinfer1::IPluginV3 *attachToContext(nvinfer1::IPluginResourceContext *context) noexcept override;
  const nvinfer1::PluginFieldCollection *getFieldsToSerialize() noexcept override;

 private:
  Fields fields_;
  int32_t input_count_ = 0;  // as of the last shapes
  std::vector<nvinfer1::PluginField> serialized_;
  nvinfer1::PluginFieldCollection collection_{};
};

class DPCWPluginCreator final : public nvinfer1::IPluginCreatorV3One {
 public:
  DPCWPluginCreator();
  nvinfer1::IPluginV3 *createPlugin(const char *name, const nvinfer1::PluginFieldCollection *fields,
                                    nvinfer1::TensorRTPhase phase) noexcept override;
  const nvinfer1::PluginFieldCollection *getFieldNames() noexcept override { return &collection_; }
  const char *getPluginName() const noexcept override { return WEFT_DPCW_NAME; }
  const char *getPluginVersion() const noexcept override { return "1"; }
  const char *getPluginNamespace() const noexcept override { return ""; }

 private:
  std::vector<nvinfer1::PluginField> names_;
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace weft

// What IPluginRegistry::loadLibrary() looks for. The library needs no symbol of TensorRT.
extern "C" WEFT_API nvinfer1::IPluginCreatorInterface *const *getCreators(int32_t &count);
extern "C" WEFT_API void setLoggerFinder(nvinfer1::ILoggerFinder *finder);
