/// Fields into a hash, each with its length, so that different lists of fields never look alike.
#pragma once

#include "limbeck/io/checksum.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace limbeck {

class FingerprintWriter {
 public:
  void number(uint64_t value) { hasher_.update_u64(value); }
  void text(std::string_view text) {
    hasher_.update_u64(text.size());
    hasher_.update(text);
  }
  std::string hex() const { return hash_hex(hasher_.digest()); }

 private:
  Hasher128 hasher_;
};

}  // namespace limbeck
