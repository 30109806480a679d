/// The outermost layer of a .kvc file: a safetensors file with a document, a version and a hash.
/// Private to cache/.
#pragma once

#include "limbeck/io/safetensors.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace limbeck {

struct ContainerFile {
  SafetensorsFile file;  ///< points into the bytes
  std::string document;  ///< JSON, not parsed
  int64_t minor = 0;     ///< of the format's version
};

/// Validates size, header, kvc_xxh3 and version, in this order. Throws FormatError.
ContainerFile container_open(std::span<const std::byte> bytes, const std::string& name,
                             bool verify_hash);

}  // namespace limbeck
