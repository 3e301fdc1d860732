// The instructions that the kernels use, one function each: matrix fragments, asynchronous copies,
// conversions. Everything here exists from compute capability 8.0 on. The host tests bring a file
// with the same functions, so the kernels themselves name no instruction.
#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

namespace weft {

#define WEFT_DEVICE __device__ __forceinline__
#define WEFT_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

struct Half {};
struct BFloat {};

WEFT_DEVICE uint32_t shared_address(const void *p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Copies 16 bytes global → shared without registers; writes zeros where `valid` is false.
WEFT_DEVICE void copy_async(void *to, const void *from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}

WEFT_DEVICE void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for this thread's copies, but for the newest `Left` groups.
template <int Left>
WEFT_DEVICE void copies_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

// Four 8×8 matrices of 16-bit elements; lane l names row l % 8 of matrix l / 8.
WEFT_DEVICE void load_matrices(uint32_t (&r)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

WEFT_DEVICE void load_matrices_transposed(uint32_t (&r)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// c += a b with a 16×16, b 16×8, c 16×8 in float32.
WEFT_DEVICE void multiply(Half, float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

WEFT_DEVICE void multiply(BFloat, float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two floats as two 16-bit numbers, `low` in the low half.
WEFT_DEVICE uint32_t pack(Half, float low, float high) {
  uint32_t bits;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

WEFT_DEVICE uint32_t pack(BFloat, float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

WEFT_DEVICE float2 unpack(Half, uint32_t bits) {
  float2 x;
  asm("{ .reg .b16 low, high;\n\t"
      "mov.b32 {low, high}, %2;\n\t"
      "cvt.f32.f16 %0, low;\n\t"
      "cvt.f32.f16 %1, high; }"
      : "=f"(x.x), "=f"(x.y)
      : "r"(bits));
  return x;
}

WEFT_DEVICE float2 unpack(BFloat, uint32_t bits) {
  return make_float2(__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u));
}

WEFT_DEVICE float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

WEFT_DEVICE float bits_as_float(uint32_t bits) { return __uint_as_float(bits); }
WEFT_DEVICE uint32_t float_as_bits(float x) { return __float_as_uint(x); }
WEFT_DEVICE float inverse_root(float x) { return rsqrtf(x); }
WEFT_DEVICE float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
WEFT_DEVICE void block_barrier() { __syncthreads(); }
WEFT_DEVICE void warp_barrier() { __syncwarp(); }

}  // namespace weft
