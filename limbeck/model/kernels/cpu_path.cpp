#include "limbeck/model/kernels/cpu_path.h"

#include <atomic>

namespace limbeck {
namespace {
std::atomic<bool> g_force_portable{false};
}

CpuPath cpu_path() {
  static const bool avx512 = cpu_has_avx512();
  return avx512 && !g_force_portable.load(std::memory_order_relaxed) ? CpuPath::avx512
                                                                     : CpuPath::portable;
}

ForcePortablePath::ForcePortablePath() { g_force_portable = true; }
ForcePortablePath::~ForcePortablePath() { g_force_portable = false; }

}  // namespace limbeck
