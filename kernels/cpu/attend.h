// The inner part of DPCW attention on the CPU: rows of one head over stretches of keys.
#pragma once

#include <vector>

namespace weft {

// Contiguous keys and values, [rows, dim] each.
struct Stretch {
  const float *k, *v;
  int rows;
};

// y[r] = softmax(scale * q[r] kᵀ) v over all stretches together, for `rows` > 0 rows of `dim`. At
// least one stretch has rows. `scratch` is working memory; it grows and is kept by the caller.
struct Queries {
  const float *q;
  float *y;
  int rows, dim;
  float scale;
};

void attend_rows(const Queries &rows, const std::vector<Stretch> &stretches,
                 std::vector<float> &scratch);

// The same in plain C++: any dimension, and what the vectorized one is compared with.
void attend_rows_plain(const Queries &rows, const std::vector<Stretch> &stretches,
                       std::vector<float> &scratch);

}  // namespace weft
