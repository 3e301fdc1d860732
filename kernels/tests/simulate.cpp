// Runs calls of the CUDA kernels on the CPU: simulate CALLS RESULTS.
//
// CALLS is a sequence of calls: 20 int32 (below), one float32 (epsilon), then the tensors that are
// there, in the order of the C structures, packed. RESULTS gets, per call, the status as int32 and
// the output bytes; outputs start as 0xff bytes, which are NaN in every type. Each tensor has an
// allocation of its own and exact size, so that an address sanitizer sees every step outside.
//
//   field                        attention            rows
//   0 kind                       0                    1
//   1 which tensors are there    bit i: tensor i      bit i
//   2 variant                    0 chosen, 1 wide, 2 narrow
//   3 warps reversed, 4 copies late
//   5 type, 6 window or out type
//   7 batch                      batch                batch
//   8 heads                      heads                kv_heads
//   9 kv_heads                   kv_heads             capacity
//   10 tokens                    tokens               rows
//   11 window                    window               out_capacity
//   12 head_dim                  head_dim             head_dim
//   13 series                    series               start
//   14 tables                    tables               0
//   15 multiprocessors, for the choice

#include <fstream>
#include <iostream>

#include "device_on_host.h"

#include "../cuda/fp8.cuh"
#include "../cuda/rotate.cuh"

#include "../cuda/dispatch.cuh"

namespace {

using Bytes = std::unique_ptr<unsigned char[]>;

struct Header {
  int32_t field[20];
  float epsilon;
};

class Calls {
 public:
  explicit Calls(const char *path) : in_(path, std::ios::binary) {}
  bool next() {
    kept_.clear();
    index_ = 0;
    return static_cast<bool>(in_.read(reinterpret_cast<char *>(&header), sizeof header));
  }
  // The next tensor of the call, or null where it is not there.
  template <typename T = void>
  const T *take(int64_t bytes) {
    if ((header.field[1] >> index_++ & 1) == 0) return nullptr;
    kept_.emplace_back(new unsigned char[bytes]);
    in_.read(reinterpret_cast<char *>(kept_.back().get()), bytes);
    return reinterpret_cast<const T *>(kept_.back().get());
  }
  Header header{};

 private:
  std::ifstream in_;
  std::vector<Bytes> kept_;
  int index_ = 0;
};

int64_t size_of(int32_t type) {
  return type == WEFT_FLOAT32 ? 4 : type == WEFT_FLOAT8_E4M3 ? 1 : 2;
}

Bytes poisoned(int64_t bytes) {
  Bytes out(new unsigned char[bytes]);
  std::memset(out.get(), 0xff, bytes);
  return out;
}

template <class Kernel>
void run_grid(weft::Grid grid, size_t shared, cuda_on_host::Options options, Kernel kernel) {
  for (int y = 0; y < grid.y; ++y)
    for (int x = 0; x < grid.x; ++x)
      cuda_on_host::run_block(weft::kThreads, shared, {x, y}, options, kernel);
}

WeftStatus simulate(const WeftDPCWAttention &c, const Header &h) {
  const WeftStatus status = weft::cuda_can_implement(&c);
  if (status != WEFT_OK) return status;
  const cuda_on_host::Options options{h.field[3] != 0, h.field[4] != 0};
  if (c.type == WEFT_FLOAT32) {
    const weft::Attention a = weft::attention_of(c);
    run_grid(weft::plain_grid(c), 0, options, [&] {
      if (c.head_dim == 32) weft::plain::dpcw_plain_kernel<32>(a);
      if (c.head_dim == 64) weft::plain::dpcw_plain_kernel<64>(a);
      if (c.head_dim == 128) weft::plain::dpcw_plain_kernel<128>(a);
    });
    return WEFT_OK;
  }
  const bool wide = h.field[2] == 0 ? weft::prefer_wide(c, h.field[15]) : h.field[2] == 1;
  return weft::dispatch_mma(c, wide, [&](auto tiling, const weft::Attention &a, weft::Grid grid) {
    using G = decltype(tiling);
    run_grid(grid, G::kSharedBytes, options, [&] { weft::dpcw_mma_kernel<G>(a); });
    return WEFT_OK;
  });
}

WeftStatus simulate(const WeftRows &call, const Header &h) {
  const WeftStatus status = weft::cuda_can_implement(&call);
  if (status != WEFT_OK || call.rows == 0) return status;
  const cuda_on_host::Options options{h.field[3] != 0, h.field[4] != 0};
  return weft::dispatch_rows(call, [&](auto variant, const WeftRows &c, weft::Grid grid) {
    using V = decltype(variant);
    run_grid(grid, 0, options, [&] { weft::rows_kernel<V>(c); });
    return WEFT_OK;
  });
}

void write(std::ofstream &out, const void *data, int64_t bytes) {
  out.write(static_cast<const char *>(data), bytes);
}

void attention(Calls &calls, std::ofstream &out) {
  const Header &h = calls.header;
  const int32_t *f = h.field;
  WeftDPCWAttention c{};
  c.type = f[5], c.window_type = f[6], c.batch = f[7], c.heads = f[8], c.kv_heads = f[9];
  c.tokens = f[10], c.window = f[11], c.head_dim = f[12], c.series = f[13], c.tables = f[14];
  c.epsilon = h.epsilon;
  const int64_t dim = c.head_dim, own = int64_t{c.batch} * c.heads * c.tokens * dim;
  const int64_t self = int64_t{c.batch} * c.kv_heads * c.tokens * dim;
  const int64_t window = int64_t{c.batch} * c.kv_heads * c.window * dim * size_of(c.window_type);
  const int64_t table = int64_t{c.tables} * c.tokens * dim / 2 * 4;
  c.q = calls.take(own * size_of(c.type));
  c.k_window = calls.take(window);
  c.v_window = calls.take(window);
  c.k_self = calls.take(self * size_of(c.type));
  c.v_self = calls.take(self * size_of(c.type));
  c.window_length = calls.take<int32_t>(c.batch * 4);
  c.self_length = calls.take<int32_t>(c.batch * 4);
  c.q_norm = calls.take<float>(dim * 4);
  c.k_norm = calls.take<float>(dim * 4);
  c.cos = calls.take<float>(table);
  c.sin = calls.take<float>(table);
  c.k_scale = calls.take<float>(c.kv_heads * 4);
  c.v_scale = calls.take<float>(c.kv_heads * 4);
  const Bytes y = poisoned(own * size_of(c.type));
  c.y = y.get();
  const int32_t status = simulate(c, h);
  write(out, &status, 4);
  write(out, y.get(), own * size_of(c.type));
}

void rows(Calls &calls, std::ofstream &out) {
  const Header &h = calls.header;
  const int32_t *f = h.field;
  WeftRows c{};
  c.type = f[5], c.out_type = f[6], c.batch = f[7], c.kv_heads = f[8], c.capacity = f[9];
  c.rows = f[10], c.out_capacity = f[11], c.head_dim = f[12], c.start = f[13];
  c.epsilon = h.epsilon;
  const int64_t heads = int64_t{c.batch} * c.kv_heads, dim = c.head_dim;
  const int64_t from = heads * c.capacity * dim * size_of(c.type);
  const int64_t to = heads * c.out_capacity * dim * size_of(c.out_type);
  c.k = calls.take(from);
  c.v = calls.take(from);
  c.index = calls.take<int64_t>(c.rows * 8);
  c.offset = calls.take<int64_t>(8);
  c.k_norm = calls.take<float>(dim * 4);
  c.cos = calls.take<float>(c.rows * dim / 2 * 4);
  c.sin = calls.take<float>(c.rows * dim / 2 * 4);
  c.k_scale = calls.take<float>(c.kv_heads * 4);
  c.v_scale = calls.take<float>(c.kv_heads * 4);
  const Bytes k = poisoned(to), v = poisoned(to);
  c.k_out = k.get();
  c.v_out = v.get();
  const int32_t status = simulate(c, h);
  write(out, &status, 4);
  write(out, k.get(), to);
  write(out, v.get(), to);
}

}  // namespace

int main(int count, char **arguments) {
  if (count != 3) {
    std::cerr << "expected: simulate CALLS RESULTS\n";
    return 2;
  }
  Calls calls(arguments[1]);
  std::ofstream out(arguments[2], std::ios::binary);
  while (calls.next()) calls.header.field[0] == 0 ? attention(calls, out) : rows(calls, out);
  return out.good() ? 0 : 1;
}
