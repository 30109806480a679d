#include "limbeck/eval/run/peak_memory.h"

#include <sys/resource.h>

#include <fstream>
#include <string>

namespace limbeck {

void reset_peak_memory() {
  // 5 sets the high-water mark back to what is resident now (proc(5)).
  std::ofstream("/proc/self/clear_refs") << '5';
}

int64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * 1024 : 0;
}

}  // namespace limbeck
