// Coroutines for the block simulator: a stack each, and a switch of a few instructions where the
// processor is known (a simulated matrix instruction switches 64 times), by ucontext elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define WEFT_FIBER_LEAVING(save, bottom, size) __sanitizer_start_switch_fiber(save, bottom, size)
#define WEFT_FIBER_ARRIVED(save, bottom, size) __sanitizer_finish_switch_fiber(save, bottom, size)
#else
#define WEFT_FIBER_LEAVING(save, bottom, size) (void)0
#define WEFT_FIBER_ARRIVED(save, bottom, size) (void)0
#endif

#if defined(__x86_64__) && defined(__linux__)
#define WEFT_OWN_SWITCH
#else
#include <ucontext.h>
#endif

namespace cuda_on_host {

constexpr size_t kStack = 256 * 1024;  // frames grow several times under a sanitizer

struct Fiber {
  std::unique_ptr<unsigned char[]> stack;
  void (*body)() = nullptr;
#if defined(WEFT_OWN_SWITCH)
  void *pointer = nullptr;
#else
  ucontext_t context;
#endif
  void *shadow = nullptr;  // the address sanitizer's own stack of this fiber
};

// The scheduler's side of the switch.
struct Home {
#if defined(WEFT_OWN_SWITCH)
  void *pointer = nullptr;
#else
  ucontext_t context;
#endif
  void *shadow = nullptr;
  const void *bottom = nullptr;
  size_t size = 0;
  Fiber *running = nullptr;
};
inline Home home;

#if defined(WEFT_OWN_SWITCH)
// Saves what a call must preserve on this stack, and goes on from another one.
extern "C" void weft_fiber_switch(void **save, void *load);
asm(R"(
.text
.local weft_fiber_switch
.type weft_fiber_switch, @function
weft_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size weft_fiber_switch, .-weft_fiber_switch
)");
#endif

inline void back_home(Fiber &fiber, bool for_good) {
  WEFT_FIBER_LEAVING(for_good ? nullptr : &fiber.shadow, home.bottom, home.size);
  (void)for_good;
#if defined(WEFT_OWN_SWITCH)
  weft_fiber_switch(&fiber.pointer, home.pointer);
#else
  swapcontext(&fiber.context, &home.context);
#endif
  WEFT_FIBER_ARRIVED(fiber.shadow, &home.bottom, &home.size);
}

inline void fiber_main() {
  Fiber &fiber = *home.running;
  WEFT_FIBER_ARRIVED(nullptr, &home.bottom, &home.size);
  fiber.body();
  back_home(fiber, true);
}

// Prepares a fiber that runs `body` at its first enter().
inline void begin(Fiber &fiber, void (*body)()) {
  if (!fiber.stack) fiber.stack.reset(new unsigned char[kStack]);
  fiber.body = body;
#if defined(WEFT_OWN_SWITCH)
  const auto end = reinterpret_cast<uintptr_t>(fiber.stack.get() + kStack) & ~uintptr_t{15};
  auto *top = reinterpret_cast<void **>(end);
  top[-2] = reinterpret_cast<void *>(&fiber_main);  // six saved registers lie below
  for (int i = 3; i <= 8; ++i) top[-i] = nullptr;
  fiber.pointer = top - 8;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = &home.context;
  makecontext(&fiber.context, fiber_main, 0);
#endif
}

// Runs a fiber until it leaves.
inline void enter(Fiber &fiber) {
  home.running = &fiber;
  WEFT_FIBER_LEAVING(&home.shadow, fiber.stack.get(), kStack);
#if defined(WEFT_OWN_SWITCH)
  weft_fiber_switch(&home.pointer, fiber.pointer);
#else
  swapcontext(&home.context, &fiber.context);
#endif
  WEFT_FIBER_ARRIVED(home.shadow, nullptr, nullptr);
}

// Called on a fiber: gives control back until the next enter().
inline void leave(Fiber &fiber) { back_home(fiber, false); }

}  // namespace cuda_on_host
