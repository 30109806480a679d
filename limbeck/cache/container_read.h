/// The container's reader on bytes in memory, for cache_load, tests and fuzzing. Private to cache/.
#pragma once

#include "limbeck/cache/container.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace limbeck {

struct ContainerReadOptions {
  /// A ring allocates its whole window, which no tensor of the file vouches for. Without an
  /// expected shape to compare it with, all rings together may take this many bytes; streaming
  /// heads always.
  int64_t max_ring_bytes = int64_t{4} << 30;
  /// False skips the comparison of hashes and checksums, so that a fuzzer gets past them.
  bool verify_hashes = true;
};

/// As cache_load; `name` stands for the file in errors. The result owns its memory.
LoadedCache container_read(std::span<const std::byte> bytes, const std::string& name,
                           const ModelIdentity* expected, const CacheShape* expected_shape,
                           const ContainerReadOptions& options = {});

}  // namespace limbeck
