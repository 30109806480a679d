/// Checksums and fingerprints: XXH3 in 64 and 128 bits, as lower-case hex.
/// They detect mistakes and damage, not malice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace limbeck {

using Hash128 = std::array<uint64_t, 2>;  ///< high, low

uint64_t xxh3_64(std::span<const std::byte> bytes);
std::string hash_hex(uint64_t hash);
std::string hash_hex(const Hash128& hash);

/// Streaming XXH3-128.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(Hasher128&&) noexcept;
  Hasher128& operator=(Hasher128&&) noexcept;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  void update_u64(uint64_t value);  ///< little-endian
  Hash128 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace limbeck
