/// Which code path the kernels take: decided once by the processor, or forced by a test.
#pragma once

namespace limbeck {

enum class CpuPath {
  portable,  ///< plain C++ for the compiler's default target
  avx512,    ///< AVX-512 F, BW, VL, DQ
};

/// The path in force.
CpuPath cpu_path();
/// What the processor can do, whatever is forced.
bool cpu_has_avx512();

/// For tests: takes the portable path while it lives. Process-wide; do not nest.
class ForcePortablePath {
 public:
  ForcePortablePath();
  ~ForcePortablePath();
  ForcePortablePath(const ForcePortablePath&) = delete;
  ForcePortablePath& operator=(const ForcePortablePath&) = delete;
};

}  // namespace limbeck
