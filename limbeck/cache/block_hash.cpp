#include "limbeck/cache/block_hash.h"

#include <bit>

namespace limbeck {

static_assert(std::endian::native == std::endian::little, "token ids are hashed in place");

std::vector<Hash128> block_hashes(std::span<const int32_t> tokens, std::string_view fingerprint) {
  Hasher128 seed;
  seed.update(fingerprint);
  Hash128 previous = seed.digest();
  std::vector<Hash128> out;
  while (tokens.size() >= kTokenBlock) {
    Hasher128 hasher;
    hasher.update_u64(previous[0]);
    hasher.update_u64(previous[1]);
    hasher.update(std::as_bytes(tokens.first(kTokenBlock)));
    previous = hasher.digest();
    out.push_back(previous);
    tokens = tokens.subspan(kTokenBlock);
  }
  return out;
}

}  // namespace limbeck
