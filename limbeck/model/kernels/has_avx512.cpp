#include "limbeck/model/kernels/cpu_path.h"

namespace limbeck {

bool cpu_has_avx512() {
  // fma and avx2 come with every such processor, but the compiler may use them, so ask.
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
}

bool cpu_has_bf16_dot() { return __builtin_cpu_supports("avx512bf16"); }

}  // namespace limbeck
