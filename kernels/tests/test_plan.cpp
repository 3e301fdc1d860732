// How a call is cut into blocks: plain host code.

#include <cstdio>

#include "cuda/plan.h"

namespace {

bool check(const char *what, bool good) {
  std::printf("%s %s\n", good ? "ok  " : "FAIL", what);
  return good;
}

WeftDPCWAttention call(int batch, int heads, int kv_heads, int tokens) {
  WeftDPCWAttention c{};
  c.batch = batch, c.heads = heads, c.kv_heads = kv_heads, c.tokens = tokens;
  return c;
}

}  // namespace

int main() {
  bool good = true;
  const WeftDPCWAttention one = call(1, 8, 1, 4);
  good = check("eight heads of four tokens are 32 rows", weft::packed_rows(one) == 32) && good;
  good = check("and one block of 128", weft::grid_of(one, 128).x == 1) && good;
  good = check("129 rows are two", weft::grid_of(call(1, 1, 1, 129), 128).x == 2) && good;
  const weft::Grid grid = weft::grid_of(call(4, 6, 3, 256), 16);
  good = check("blocks of a batch", grid.x == 32 && grid.y == 12) && good;
  const WeftDPCWAttention storybook = call(1, 6, 3, 256), large = call(1, 28, 4, 4096);
  good = check("storybook is narrow on 46", !weft::prefer_wide(storybook, 46)) && good;
  good = check("7 B is wide on 132", weft::prefer_wide(large, 132)) && good;
  return good ? 0 : 1;
}
