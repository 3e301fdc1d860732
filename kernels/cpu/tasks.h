// A call as independent tasks, for adapters that bring threads of their own.
#pragma once

#include <vector>

#include "attend.h"
#include "weft/dpcw.h"

namespace weft {

// Working memory of one thread; grows to what the largest task needs.
struct Workspace {
  std::vector<Stretch> stretches;
  std::vector<std::vector<float>> keys;
  std::vector<float> queries, k_window, v_window, scratch;
};

// The call must have passed weft_dpcw_cpu_can_implement().
int task_count(const WeftDPCWAttention &call);
void run_task(const WeftDPCWAttention &call, int task, Workspace &work);

}  // namespace weft
