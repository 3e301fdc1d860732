// The CPU kernel against the float64 reference, and its refusals.

#include <cstdio>

#include "reference.h"

namespace {

bool values() {
  bool good = true;
  uint64_t seed = 1;
  for (const weft_test::Case &c : weft_test::cases()) {
    weft_test::Tensors t = weft_test::make(c, seed++);
    const WeftDPCWAttention call = weft_test::call_of(c, t);
    const bool ran = weft_dpcw_cpu(&call) == WEFT_OK;
    const double relative = weft_test::error(t.y, weft_test::reference(c, t));
    good = weft_test::report("cpu", c, relative, 2e-6) && ran && good;
  }
  return good;
}

bool refused(const char *what, const WeftDPCWAttention &call, WeftStatus expected) {
  const WeftStatus found = weft_dpcw_cpu(&call);
  std::printf("%s %s: %s\n", found == expected ? "ok  " : "FAIL", what,
              weft_status_message(found));
  return found == expected;
}

bool refusals() {
  const weft_test::Case c{1, 4, 2, 8, 8, 32, {}, {}};
  weft_test::Tensors t = weft_test::make(c, 99);
  const WeftDPCWAttention whole = weft_test::call_of(c, t);
  bool good = weft_dpcw_cpu(nullptr) == WEFT_NULL_POINTER;
  WeftDPCWAttention call = whole;
  call.k_window = nullptr;
  good = refused("missing window", call, WEFT_NULL_POINTER) && good;
  call = whole;
  call.kv_heads = 3;
  good = refused("4 heads on 3", call, WEFT_BAD_HEADS) && good;
  call = whole;
  call.tokens = 0;
  good = refused("no tokens", call, WEFT_BAD_SHAPE) && good;
  call = whole;
  call.type = WEFT_FLOAT16;
  good = refused("float16", call, WEFT_UNSUPPORTED_TYPE) && good;
  call = whole;
  call.head_dim = 512;
  good = refused("head_dim 512", call, WEFT_UNSUPPORTED_HEAD) && good;
  for (float value : t.y) good = std::isnan(value) && good;
  return good;
}

}  // namespace

int main() {
  const bool good = values();
  return refusals() && good ? 0 : 1;
}
