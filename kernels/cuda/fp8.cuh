// FP8 (e4m3fn) to and from 16 and 32 bits by bit arithmetic, the same on every architecture: the
// conversion instructions start at compute capability 8.9 only.
#pragma once

namespace weft {

// A float16 with the bits of an e4m3 shifted into place is the value / 256, subnormals included, so
// one shift and mask converts two numbers; the 256 goes into the scale. A bfloat16 gets the value.
// NaN has no bits of its own here: its codes read as ±480.
template <typename T>
struct Fp8;

template <>
struct Fp8<Half> {
  static constexpr float kFactor = 256.0f;
  // Bytes 0 and 2 of x, both to 16 bits.
  static WEFT_DEVICE uint32_t widen(uint32_t x) {
    return ((x & 0x00800080u) << 8) | ((x & 0x007f007fu) << 7);
  }
};

template <>
struct Fp8<BFloat> {
  static constexpr float kFactor = 1.0f;
  static WEFT_DEVICE float single(uint32_t x) {
    // The exponent's bias differs by 120: 127 of float32 against 7.
    return bits_as_float(((x & 0x80u) << 24) | ((x & 0x7fu) << 20)) * 0x1p120f;
  }
  static WEFT_DEVICE uint32_t widen(uint32_t x) {
    return (float_as_bits(single(x & 0xffu)) >> 16) |
           (float_as_bits(single((x >> 16) & 0xffu)) & 0xffff0000u);
  }
};

// Four bytes to four 16-bit numbers, in order.
template <typename T>
WEFT_DEVICE void widen_four(uint32_t x, uint32_t &low, uint32_t &high) {
  const uint32_t even = Fp8<T>::widen(x), odd = Fp8<T>::widen(x >> 8);
  low = (even & 0xffffu) | (odd << 16);
  high = (even >> 16) | (odd & 0xffff0000u);
}

// What numbers are multiplied by to be stored under `scale`; a scale of 0 stores zeros.
WEFT_DEVICE float inverse_scale(float scale) { return scale > 0.0f ? 1.0f / scale : 0.0f; }

// Nearest e4m3, ties to even, held within ±448. NaN becomes NaN.
WEFT_DEVICE uint32_t to_fp8(float x) {
  const uint32_t bits = float_as_bits(x), sign = (bits >> 24) & 0x80u;
  const float size = bits_as_float(bits & 0x7fffffffu);
  if (!(size < 448.0f)) return sign | (size >= 448.0f ? 0x7eu : 0x7fu);
  if (size < 0x1p-6f) {
    // Subnormal, in steps of 2^-9: the sum's low bits are the number of steps, rounded.
    return sign | (float_as_bits(size + 0x1p14f) & 0xfu);
  }
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t rounded = magnitude + 0x7ffffu + ((magnitude >> 20) & 1u);
  return sign | ((rounded >> 20) - (120u << 3));
}

}  // namespace weft
