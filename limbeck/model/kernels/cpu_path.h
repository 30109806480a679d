/// Which code path the kernels take: decided once by the processor, or forced by a test.
#pragma once

namespace limbeck {

/// In ascending order of what they need; kernels without code for a path take the one before.
enum class CpuPath {
  portable,     ///< plain C++ for the compiler's default target
  avx2,         ///< AVX2 and FMA
  avx512,       ///< AVX-512 F, BW, VL, DQ
  avx512_bf16,  ///< the same, and dot products of bf16 pairs
  amx,          ///< the same, and AMX tiles of bf16
};

/// The path in force.
CpuPath cpu_path();
/// "portable", "avx2", "avx512", "avx512_bf16" or "amx".
const char* cpu_path_name(CpuPath path);
/// The last path that the processor, the system and the build can take, whatever is forced.
CpuPath cpu_best_path();

/// What the processor has.
bool cpu_has_avx2();
bool cpu_has_avx512();
bool cpu_has_bf16_dot();
/// What the processor has and the system permits. The first call asks the system for the permission
/// to use tiles, which then holds for all threads of the process.
bool cpu_has_amx();

/// Whether torch has vector code for products of bf16 matrices on the path in force: on x86
/// oneDNN's needs AVX-512. Other processor families count as having it.
bool torch_multiplies_bf16();

/// For tests: takes no path above the given one while it lives. Process-wide; do not nest.
class ForceCpuPath {
 public:
  explicit ForceCpuPath(CpuPath highest);
  ~ForceCpuPath();
  ForceCpuPath(const ForceCpuPath&) = delete;
  ForceCpuPath& operator=(const ForceCpuPath&) = delete;
};

}  // namespace limbeck
