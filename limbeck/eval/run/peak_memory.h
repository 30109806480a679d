/// Most memory that this process has held at once.
#pragma once

#include <cstdint>

namespace limbeck {

/// Begins a new measurement where the system can do so (Linux); else the peak is the process's.
void reset_peak_memory();
/// Bytes of resident memory at their highest since the reset; 0 where the system does not say.
int64_t peak_memory();

}  // namespace limbeck
