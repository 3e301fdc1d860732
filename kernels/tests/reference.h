// A float64 reference of DPCW attention, deterministic inputs and the comparison, for native tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <vector>

#include "weft/dpcw.h"

namespace weft_test {

struct Case {
  int batch, heads, kv_heads, tokens, window, head_dim;
  std::vector<int32_t> window_length, self_length;  // empty: all rows
};

struct Tensors {
  std::vector<float> q, k_window, v_window, k_self, v_self, y;
};

// A small linear congruential generator: the same numbers everywhere, roughly within -2..2.
struct Numbers {
  uint64_t state;
  float next() {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<float>(static_cast<int32_t>(state >> 32)) / 1073741824.0f;
  }
};

inline int valid(const std::vector<int32_t> &lengths, int item, int capacity) {
  return lengths.empty() ? capacity : lengths[item];
}

inline void poison_tail(std::vector<float> &rows, int heads, int capacity, int dim,
                        const std::vector<int32_t> &lengths) {
  if (lengths.empty()) return;
  const int items = static_cast<int>(lengths.size());
  for (int item = 0; item < items; ++item)
    for (int head = 0; head < heads; ++head)
      for (int r = lengths[item]; r < capacity; ++r)
        for (int d = 0; d < dim; ++d)
          rows[((static_cast<size_t>(item) * heads + head) * capacity + r) * dim + d] = NAN;
}

// Inputs for a case: everything behind a valid length, and the whole output, is NaN.
inline Tensors make(const Case &c, uint64_t seed) {
  Numbers numbers{seed};
  const auto fill = [&](int heads, int rows) {
    std::vector<float> x(static_cast<size_t>(c.batch) * heads * rows * c.head_dim);
    for (float &value : x) value = numbers.next();
    return x;
  };
  Tensors t{fill(c.heads, c.tokens),    fill(c.kv_heads, c.window), fill(c.kv_heads, c.window),
            fill(c.kv_heads, c.tokens), fill(c.kv_heads, c.tokens), {}};
  poison_tail(t.q, c.heads, c.tokens, c.head_dim, c.self_length);
  poison_tail(t.k_window, c.kv_heads, c.window, c.head_dim, c.window_length);
  poison_tail(t.v_window, c.kv_heads, c.window, c.head_dim, c.window_length);
  poison_tail(t.k_self, c.kv_heads, c.tokens, c.head_dim, c.self_length);
  poison_tail(t.v_self, c.kv_heads, c.tokens, c.head_dim, c.self_length);
  t.y.assign(t.q.size(), NAN);
  return t;
}

inline std::vector<double> reference(const Case &c, const Tensors &t) {
  std::vector<double> y(t.q.size(), 0.0);
  const int D = c.head_dim;
  for (int b = 0; b < c.batch; ++b)
    for (int h = 0; h < c.heads; ++h) {
      const size_t group = static_cast<size_t>(b) * c.kv_heads + h / (c.heads / c.kv_heads);
      const int tokens = valid(c.self_length, b, c.tokens);
      const int window = valid(c.window_length, b, c.window);
      const auto at = [&](const std::vector<float> &w, const std::vector<float> &s, int j) {
        return j < window ? &w[(group * c.window + j) * D]
                          : &s[(group * c.tokens + (j - window)) * D];
      };
      for (int i = 0; i < tokens; ++i) {
        const size_t own = ((static_cast<size_t>(b) * c.heads + h) * c.tokens + i) * D;
        std::vector<double> score(window + tokens);
        double peak = -std::numeric_limits<double>::infinity(), sum = 0.0;
        for (int j = 0; j < window + tokens; ++j) {
          const float *k = at(t.k_window, t.k_self, j);
          double total = 0.0;
          for (int d = 0; d < D; ++d) total += static_cast<double>(t.q[own + d]) * k[d];
          score[j] = total / std::sqrt(static_cast<double>(D));
          peak = std::fmax(peak, score[j]);
        }
        for (int j = 0; j < window + tokens; ++j) sum += score[j] = std::exp(score[j] - peak);
        for (int j = 0; j < window + tokens; ++j)
          for (int d = 0; d < D; ++d)
            y[own + d] += score[j] / sum * at(t.v_window, t.v_self, j)[d];
      }
    }
  return y;
}

// Relative error in the Frobenius norm; infinite when an element was left unwritten.
inline double error(const std::vector<float> &y, const std::vector<double> &expected) {
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < y.size(); ++i) {
    if (!std::isfinite(y[i])) return std::numeric_limits<double>::infinity();
    difference += (y[i] - expected[i]) * (y[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  if (norm == 0.0) return difference == 0.0 ? 0.0 : std::numeric_limits<double>::infinity();
  return std::sqrt(difference / norm);
}

inline WeftDPCWAttention call_of(const Case &c, Tensors &t) {
  WeftDPCWAttention call{};
  call.q = t.q.data();
  call.k_window = c.window ? t.k_window.data() : nullptr;
  call.v_window = c.window ? t.v_window.data() : nullptr;
  call.k_self = t.k_self.data();
  call.v_self = t.v_self.data();
  call.y = t.y.data();
  call.window_length = c.window_length.empty() ? nullptr : c.window_length.data();
  call.self_length = c.self_length.empty() ? nullptr : c.self_length.data();
  call.type = WEFT_FLOAT32;
  call.window_type = WEFT_FLOAT32;
  call.series = 1;
  call.batch = c.batch;
  call.heads = c.heads;
  call.kv_heads = c.kv_heads;
  call.tokens = c.tokens;
  call.window = c.window;
  call.head_dim = c.head_dim;
  return call;
}

inline std::vector<Case> cases() {
  return {
      {1, 6, 3, 64, 0, 64, {}, {}},         {1, 6, 3, 64, 1, 64, {}, {}},
      {1, 2, 1, 17, 15, 32, {}, {}},        {1, 8, 1, 4, 33, 128, {}, {}},
      {1, 4, 4, 33, 65, 64, {}, {}},        {2, 4, 2, 40, 64, 64, {64, 0}, {}},
      {2, 2, 1, 40, 16, 32, {5, 16}, {33, 7}},
      {3, 2, 2, 20, 31, 64, {31, 0, 8}, {20, 1, 0}},
  };
}

inline bool report(const char *what, const Case &c, double relative, double limit) {
  const bool good = relative <= limit;
  std::printf("%s %s B=%d H=%d KV=%d T=%d N=%d D=%d: relative error %.2e (limit %.0e)\n",
              good ? "ok  " : "FAIL", what, c.batch, c.heads, c.kv_heads, c.tokens, c.window,
              c.head_dim, relative, limit);
  return good;
}

}  // namespace weft_test
