#include "limbeck/model/kernels/cpu_path.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace limbeck {

bool cpu_has_amx() {
  // Not __builtin_cpu_supports: compilers differ in the names of these features.
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kBf16 = 1U << 22, kTile = 1U << 24;
  if ((d & kBf16) == 0 || (d & kTile) == 0) return false;
  // Linux hands the state of tiles (8 KiB a thread) to processes that ask for it. The call fails
  // where the system or the machine below it does not support tiles.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // of asm/prctl.h, which may be older
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace limbeck
