/* Moving rows of keys and values into a cache: the companion of DPCW attention.
 *
 * One call covers K and V of one layer. Row i of the result is row index[i] of the source; a key
 * is normed (if k_norm), then rotated (if cos and sin), then scaled down (if the cache is FP8); a
 * value is copied or scaled. Two uses:
 *
 *   window build   index picks planner slots, cos and sin [N, D/2] hold the angle of each row's
 *                  shift: rotating a rotated key by the shift moves it exactly.
 *   append         k_norm, and cos and sin of the rows' own positions; `offset` says where the rows
 *                  go, read on the device, so that a captured graph serves every position.
 *
 *   tensor      shape             type       notes
 *   k, v        [B, KV, C, D]     type
 *   k_out,v_out [B, KV, W, D]     out_type   only rows start .. start + N-1 are written
 *   index       [N]               int64      NULL: 0 .. N-1; clamped to 0 .. C-1
 *   offset      [1]               int64      added to `start`; NULL: 0
 *   k_norm      [D]               float32    may be NULL
 *   cos, sin    [N, D/2]          float32    may be NULL, both
 *   k_scale, v_scale [KV]         float32    stored = value / scale, held within ±448;
 *                                            scale >= 0, and 0 stores zeros
 *
 * Rows whose place lies outside 0 .. W-1 are not written. Ownership as in dpcw.h.
 */
#ifndef WEFT_ROWS_H
#define WEFT_ROWS_H

#include "weft/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct WeftRows {
  const void *k;
  const void *v;
  void *k_out;
  void *v_out;
  const int64_t *index;
  const int64_t *offset;
  const float *k_norm;
  const float *cos;
  const float *sin;
  const float *k_scale;
  const float *v_scale;
  float epsilon;
  int32_t type;     /* WeftType of k and v */
  int32_t out_type; /* `type`, or WEFT_FLOAT8_E4M3 */
  int32_t batch;    /* B */
  int32_t kv_heads; /* KV */
  int32_t capacity; /* C, rows of the source */
  int32_t rows;     /* N, may be 0 */
  int32_t out_capacity; /* W, rows of the destination */
  int32_t start;
  int32_t head_dim; /* D, even */
} WeftRows;

/* float32 to float32 or FP8; D up to 256. */
WEFT_API WeftStatus weft_rows_cpu_can_implement(const WeftRows *call);
WEFT_API WeftStatus weft_rows_cpu(const WeftRows *call);

/* float16 or bfloat16, to the same type or FP8; D of 32, 64 or 128. Enqueues on `stream` as
 * weft_dpcw_cuda does; k_out may be k where every row stays in its place. */
WEFT_API WeftStatus weft_rows_cuda_can_implement(const WeftRows *call);
WEFT_API WeftStatus weft_rows_cuda(const WeftRows *call, void *stream);

#ifdef __cplusplus
}
#endif

#endif
