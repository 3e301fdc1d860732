/* The C interface of DPCW attention, for every device and every adapter.
 *
 * The operator weft::DPCWAttention: queries of a picture's own tokens attend, under one softmax, to
 * keys and values from two sources that are never joined: the window (written once per picture) and
 * the picture itself. Scale 1/sqrt(D). Query head i reads key/value head i / (H / KV).
 *
 *   tensor             shape               type          notes
 *   q, y               [B, H,  T, D]       type
 *   k_window, v_window [B, KV, N, D]       window_type   N may be 0 (then both may be NULL)
 *   k_self, v_self     [B, KV, T, D]       type
 *   window_length      [B]                 int32         valid rows, 0..N; NULL: all N
 *   self_length        [B]                 int32         valid rows, 0..T; NULL: all T
 *   q_norm, k_norm     [D]                 float32       weights of an RMS norm of q, of k_self
 *   cos, sin           [1 or B, T, D/2]    float32       rotation of q and k_self, after the norm
 *   k_scale, v_scale   [KV]                float32       of an FP8 window: value = stored * scale,
 *                                                        scale >= 0
 *
 * Only the first five inputs and y are required; any other may be NULL. The cached window is
 * normed and rotated already; q_norm, k_norm, cos and sin are for the picture's own tokens only.
 * The rotation pairs element i with element i + D/2.
 * An FP8 window holds finite codes: NaN (0x7f, 0xff) stays NaN on the CPU, but a GPU reads ±480.
 *
 * Series: with series = S > 1, items s*S .. s*S + S-1 of the batch are the pictures of series s.
 * Each has a window of its own, and sees the own tokens of all S pictures.
 *
 * All tensors are contiguous. Sums are kept in float32. Every element of y is written: rows at or
 * past self_length become zero. Lengths outside their range are clamped to it. Rows behind a valid
 * length are never used, whatever they hold.
 *
 * Ownership: the caller owns every buffer; nothing is kept after the call. On a GPU nothing is
 * allocated; on the CPU, working memory for the call. Buffers live on the device that the function
 * names. y may not overlap an input. Functions are safe to call from several threads on different
 * outputs.
 *
 * This header knows neither CUDA nor TensorRT nor ONNX Runtime.
 */
#ifndef WEFT_DPCW_H
#define WEFT_DPCW_H

#include "weft/status.h"

#define WEFT_DPCW_DOMAIN "weft"
#define WEFT_DPCW_NAME "DPCWAttention"
#define WEFT_DPCW_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

/* One call. Required inputs, output and optional inputs stand in the operator's order. */
typedef struct WeftDPCWAttention {
  const void *q;
  const void *k_window;
  const void *v_window;
  const void *k_self;
  const void *v_self;
  void *y;
  const int32_t *window_length;
  const int32_t *self_length;
  const float *q_norm;
  const float *k_norm;
  const float *cos;
  const float *sin;
  const float *k_scale;
  const float *v_scale;
  float epsilon;       /* attribute: of both norms; the operator's default is 1e-6 */
  int32_t series;      /* attribute: pictures drawn together, 1 or more; B is a multiple of it */
  int32_t type;        /* WeftType of q, k_self, v_self and y */
  int32_t window_type; /* WeftType of k_window and v_window: `type`, or WEFT_FLOAT8_E4M3 */
  int32_t batch;       /* B */
  int32_t heads;       /* H */
  int32_t kv_heads;    /* KV */
  int32_t tokens;      /* T */
  int32_t window;      /* N */
  int32_t head_dim;    /* D */
  int32_t tables;      /* rows of cos and sin along the batch: 1 or B */
} WeftDPCWAttention;

/* Whether the CPU kernel takes this call: float32 with a float32 or FP8 window, any head dimension
 * up to 256. Reads no tensor. */
WEFT_API WeftStatus weft_dpcw_cpu_can_implement(const WeftDPCWAttention *call);

/* Computes y before returning. On any status but WEFT_OK, y is untouched. */
WEFT_API WeftStatus weft_dpcw_cpu(const WeftDPCWAttention *call);

/* Whether the CUDA kernels take this call. float16 and bfloat16, each with a window of its own type
 * or FP8, head dimension 32, 64 or 128, every optional input, on tensor cores; float32 on plain
 * cores, with the length inputs only. Tensors on 16-byte boundaries. Reads no tensor and asks no
 * device. */
WEFT_API WeftStatus weft_dpcw_cuda_can_implement(const WeftDPCWAttention *call);

/* Enqueues the work on `stream` (a cudaStream_t) and returns; safe under graph capture. The buffers
 * must stay alive until the stream has passed it. On any status but WEFT_OK nothing is enqueued. */
WEFT_API WeftStatus weft_dpcw_cuda(const WeftDPCWAttention *call, void *stream);

#ifdef __cplusplus
}
#endif

#endif
