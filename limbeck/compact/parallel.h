/// Independent tasks over the threads that torch uses.
#pragma once

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <atomic>
#include <cstdint>

namespace limbeck {

/// Calls fn(0) .. fn(count - 1), each once, several at a time and in no order; operations inside
/// run on one thread. The first exception is thrown on after all threads have stopped.
template <class F>
void parallel_tasks(int64_t count, F&& fn) {
  std::atomic<int64_t> next{0};
  const int64_t threads = at::get_num_threads();
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    const c10::NoGradGuard guard;
    for (int64_t i = next++; i < count; i = next++) fn(i);
  });
}

}  // namespace limbeck
