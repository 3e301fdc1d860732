// Row preparation and FP8 on the CPU.
#pragma once

#include <cmath>
#include <cstdint>

namespace weft {

// e4m3fn: four exponent bits of bias 7, three mantissa bits, NaN at 0x7f, no infinity.
inline float from_fp8(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  if ((bits & 0x7f) == 0x7f) return NAN;
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                   : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return bits & 0x80 ? -size : size;
}

// Nearest, ties to even, held within ±448.
inline uint8_t to_fp8(float x) {
  const uint8_t sign = std::signbit(x) ? 0x80 : 0;
  const float size = std::fabs(x);
  if (std::isnan(size)) return sign | 0x7f;
  if (size >= 448.0f) return sign | 0x7e;
  int exponent = 0;
  std::frexp(size, &exponent);
  // Steps of 2^-9 below 2^-6; above, eight to a power of two.
  const int step = size < 0x1p-6f ? -9 : exponent - 4;
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(size, -step)));
  return sign | static_cast<uint8_t>(steps + ((step + 9) << 3));
}

// x / rms(x) * weight, then the rotation of element i with i + dim / 2. Null: left out.
inline void prepare_row(const float *x, float *y, int dim, const float *weight, float epsilon,
                        const float *cos, const float *sin) {
  float inverse = 1.0f;
  if (weight != nullptr) {
    float sum = 0.0f;
    for (int d = 0; d < dim; ++d) sum += x[d] * x[d];
    inverse = 1.0f / std::sqrt(sum / static_cast<float>(dim) + epsilon);
  }
  for (int d = 0; d < dim; ++d) y[d] = weight == nullptr ? x[d] : x[d] * inverse * weight[d];
  if (cos == nullptr) return;
  const int half = dim / 2;
  for (int d = 0; d < half; ++d) {
    const float a = y[d], b = y[d + half];
    y[d] = a * cos[d] - b * sin[d];
    y[d + half] = b * cos[d] + a * sin[d];
  }
}

}  // namespace weft
