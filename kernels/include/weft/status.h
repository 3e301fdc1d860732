/* Status codes and element types shared by all of the kernels' C interfaces. */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

#include <stdint.h>

#if defined(_WIN32)
#define WEFT_API __declspec(dllexport)
#else
#define WEFT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum WeftStatus {
  WEFT_OK = 0,
  WEFT_NULL_POINTER = 1,     /* a tensor that must be read or written is NULL */
  WEFT_BAD_SHAPE = 2,        /* a size is out of its range */
  WEFT_BAD_HEADS = 3,        /* H is not a multiple of KV */
  WEFT_UNSUPPORTED_TYPE = 4, /* the device's kernel has no variant for these types */
  WEFT_UNSUPPORTED_HEAD = 5, /* the device's kernel has no variant for this head dimension */
  WEFT_MISALIGNED = 6,       /* a tensor does not start on a 16-byte boundary */
  WEFT_TOO_LARGE = 7,        /* a size is beyond what one launch covers */
  WEFT_LAUNCH_FAILED = 8,    /* the device refused the launch; nothing was written */
  WEFT_BAD_OPTION = 9,       /* optional inputs that go together do not stand together */
  WEFT_UNSUPPORTED_OPTION = 10 /* the device's kernel for this type lacks this optional input */
} WeftStatus;

typedef enum WeftType {
  WEFT_FLOAT32 = 0,
  WEFT_FLOAT16 = 1,
  WEFT_BFLOAT16 = 2,
  WEFT_FLOAT8_E4M3 = 3 /* the "fn" variant: no infinities, largest value 448 */
} WeftType;

/* A sentence for a status; never NULL, owned by the library. */
WEFT_API const char *weft_status_message(int32_t status);

#ifdef __cplusplus
}
#endif

#endif
