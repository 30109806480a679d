#include "limbeck/model/kernels/cpu_path.h"

#include <algorithm>
#include <atomic>

namespace limbeck {
namespace {
std::atomic<CpuPath> g_highest{CpuPath::amx};
}

CpuPath cpu_best_path() {
  static const CpuPath best = !cpu_has_avx2()       ? CpuPath::portable
                              : !cpu_has_avx512()   ? CpuPath::avx2
                              : !cpu_has_bf16_dot() ? CpuPath::avx512
                              : !cpu_has_amx()      ? CpuPath::avx512_bf16
                                                    : CpuPath::amx;
  return best;
}

CpuPath cpu_path() { return std::min(cpu_best_path(), g_highest.load(std::memory_order_relaxed)); }

const char* cpu_path_name(CpuPath path) {
  constexpr const char* kNames[] = {"portable", "avx2", "avx512", "avx512_bf16", "amx"};
  return kNames[static_cast<int>(path)];
}

ForceCpuPath::ForceCpuPath(CpuPath highest) { g_highest = highest; }
ForceCpuPath::~ForceCpuPath() { g_highest = CpuPath::amx; }

}  // namespace limbeck
