// The entry that ONNX Runtime looks for: SessionOptions.register_custom_ops_library(path).
//
// The build defines ORT_API_MANUAL_INIT: the headers' C++ wrappers reach ONNX Runtime through the
// API that is handed in, so the library links against nothing of it and loads into any runtime at
// least as new as the headers.

#include "operator.h"

extern "C" WEFT_API OrtStatus *ORT_API_CALL RegisterCustomOps(OrtSessionOptions *options,
                                                              const OrtApiBase *base) {
  const OrtApi *api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr) return nullptr;  // an older runtime says itself that the operator is unknown
  Ort::InitApi(api);
  try {
    // Never destroyed: at exit the runtime may be gone before this library is.
    static Ort::CustomOpDomain *const domain = [] {
      auto *made = new Ort::CustomOpDomain(WEFT_DPCW_DOMAIN);
      weft::ort::add_cpu(*made);
#if defined(WEFT_WITH_CUDA)
      weft::ort::add_cuda(*made);
#endif
      return made;
    }();
    Ort::UnownedSessionOptions(options).Add(*domain);
  } catch (const Ort::Exception &error) {
    return api->CreateStatus(error.GetOrtErrorCode(), error.what());
  }
  return nullptr;
}
