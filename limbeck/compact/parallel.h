/// Independent tasks over the threads that torch uses.
#pragma once

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <atomic>
#include <cstdint>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace limbeck {

/// In this scope the calling thread takes denormal numbers for 0: attention is full of them, they
/// mean nothing, and each costs a hundred cycles.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040U); }
  ~FlushDenormals() { _mm_setcsr(before_); }
#else
  FlushDenormals() = default;
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_ = 0;
};

/// Calls fn(0) .. fn(count - 1), each once, several at a time and in no order; operations inside
/// run on one thread. The first exception is thrown on after all threads have stopped.
template <class F>
void parallel_tasks(int64_t count, F&& fn) {
  std::atomic<int64_t> next{0};
  const int64_t threads = at::get_num_threads();
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    const c10::NoGradGuard guard;
    const FlushDenormals flush;
    for (int64_t i = next++; i < count; i = next++) fn(i);
  });
}

}  // namespace limbeck
