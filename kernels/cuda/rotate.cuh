// RMS norm and rotation of one row, held by D / 16 neighbouring threads. A thread has eight
// elements of the row's first half and the eight of its second half that they turn with.
#pragma once

namespace weft {

template <typename T>
WEFT_DEVICE void open(const uint4 &packed, float (&x)[8]) {
  const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 two = unpack(T{}, words[i]);
    x[2 * i] = two.x;
    x[2 * i + 1] = two.y;
  }
}

template <typename T>
WEFT_DEVICE uint4 close(const float (&x)[8]) {
  return make_uint4(pack(T{}, x[0], x[1]), pack(T{}, x[2], x[3]), pack(T{}, x[4], x[5]),
                    pack(T{}, x[6], x[7]));
}

WEFT_DEVICE void load_eight(float (&x)[8], const float *from) {
  const float4 low = *reinterpret_cast<const float4 *>(from);
  const float4 high = *reinterpret_cast<const float4 *>(from + 4);
  x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
  x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
}

// x / rms(x) * weight over a row of D, whose threads all call this together. `part` is the
// thread's place in the row, 0 .. D / 16 - 1.
template <int D>
WEFT_DEVICE void norm_row(float (&a)[8], float (&b)[8], const float *weight, float epsilon,
                          int part) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < 8; ++i) sum += a[i] * a[i] + b[i] * b[i];
#pragma unroll
  for (int mask = 1; mask < D / 16; mask *= 2) sum += shuffle_xor(sum, mask);
  const float inverse = inverse_root(sum / D + epsilon);
  float w[8];
  load_eight(w, weight + part * 8);
#pragma unroll
  for (int i = 0; i < 8; ++i) a[i] *= inverse * w[i];
  load_eight(w, weight + D / 2 + part * 8);
#pragma unroll
  for (int i = 0; i < 8; ++i) b[i] *= inverse * w[i];
}

// Turns the pairs by the row's tables, [D / 2] each.
WEFT_DEVICE void rotate_row(float (&a)[8], float (&b)[8], const float *cos, const float *sin,
                            int part) {
  float c[8], s[8];
  load_eight(c, cos + part * 8);
  load_eight(s, sin + part * 8);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float x = a[i], y = b[i];
    a[i] = x * c[i] - y * s[i];
    b[i] = y * c[i] + x * s[i];
  }
}

}  // namespace weft
