#include "limbeck/model/kernels/cpu_path.h"

namespace limbeck {

bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool cpu_has_avx512() {
  // The compiler may use AVX2 and FMA there too.
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq");
}

bool torch_multiplies_bf16() { return cpu_path() >= CpuPath::avx512; }

bool cpu_has_bf16_dot() { return __builtin_cpu_supports("avx512bf16"); }

}  // namespace limbeck
