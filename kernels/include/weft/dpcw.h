/* The C interface of DPCW attention, for every device and every adapter.
 *
 * The operator weft::DPCWAttention: queries of a picture's own tokens attend, under one softmax, to
 * keys and values from two sources that are never joined: the window (written once per picture) and
 * the picture itself. No mask, scale 1/sqrt(D). Query head i reads key/value head i / (H / KV).
 *
 *   tensor             shape            notes
 *   q, y               [B, H,  T, D]
 *   k_window, v_window [B, KV, N, D]    N is a capacity and may be 0 (then both may be NULL)
 *   k_self, v_self     [B, KV, T, D]
 *   window_length      [B] int32        valid rows of the window, 0..N; NULL: all N
 *   self_length        [B] int32        valid rows of q and of self, 0..T; NULL: all T
 *
 * All tensors are contiguous, of one type. Sums are kept in float32. Every element of y is written:
 * rows at or past self_length become zero. Lengths outside their range are clamped to it.
 *
 * Ownership: the caller owns every buffer; nothing is kept after the call, nothing is allocated.
 * Buffers (and the two length arrays) live on the device that the function names. y may not overlap
 * an input. Functions are safe to call from several threads on different outputs.
 *
 * This header knows neither CUDA nor TensorRT nor ONNX Runtime.
 */
#ifndef WEFT_DPCW_H
#define WEFT_DPCW_H

#include <stdint.h>

#define WEFT_DPCW_DOMAIN "weft"
#define WEFT_DPCW_NAME "DPCWAttention"
#define WEFT_DPCW_VERSION 1

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
  WEFT_NULL_POINTER = 1,       /* a tensor that must be read or written is NULL */
  WEFT_BAD_SHAPE = 2,          /* a size is negative, or B, H, KV, T or D is 0 */
  WEFT_BAD_HEADS = 3,          /* H is not a multiple of KV */
  WEFT_UNSUPPORTED_TYPE = 4,   /* the device's kernel has no variant for this type */
  WEFT_UNSUPPORTED_HEAD = 5,   /* the device's kernel has no variant for this head dimension */
  WEFT_MISALIGNED = 6,         /* a tensor does not start on a 16-byte boundary */
  WEFT_TOO_LARGE = 7,          /* B * H or T is beyond what one launch covers */
  WEFT_LAUNCH_FAILED = 8       /* the device refused the launch; nothing was written */
} WeftStatus;

typedef enum WeftType { WEFT_FLOAT32 = 0, WEFT_FLOAT16 = 1 } WeftType;

/* One call. The tensors stand in the operator's order. */
typedef struct WeftDPCWAttention {
  const void *q;
  const void *k_window;
  const void *v_window;
  const void *k_self;
  const void *v_self;
  void *y;
  const int32_t *window_length;
  const int32_t *self_length;
  int32_t type;       /* WeftType */
  int32_t batch;      /* B */
  int32_t heads;      /* H */
  int32_t kv_heads;   /* KV */
  int32_t tokens;     /* T */
  int32_t window;     /* N */
  int32_t head_dim;   /* D */
} WeftDPCWAttention;

/* A sentence for a status; never NULL, owned by the library. */
WEFT_API const char *weft_status_message(int32_t status);

/* Whether the CPU kernel takes this call: float32, any head dimension up to 256. Reads no tensor. */
WEFT_API WeftStatus weft_dpcw_cpu_can_implement(const WeftDPCWAttention *call);

/* Computes y before returning. On any status but WEFT_OK, y is untouched. */
WEFT_API WeftStatus weft_dpcw_cpu(const WeftDPCWAttention *call);

/* Whether the CUDA kernel takes this call: float32 or float16, head dimension 32, 64 or 128,
 * tensors on 16-byte boundaries. Reads no tensor and asks no device. */
WEFT_API WeftStatus weft_dpcw_cuda_can_implement(const WeftDPCWAttention *call);

/* Enqueues the work on `stream` (a cudaStream_t) and returns; safe under graph capture. The buffers
 * must stay alive until the stream has passed it. On any status but WEFT_OK nothing is enqueued. */
WEFT_API WeftStatus weft_dpcw_cuda(const WeftDPCWAttention *call, void *stream);

#ifdef __cplusplus
}
#endif

#endif
