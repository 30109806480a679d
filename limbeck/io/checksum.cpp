#include "limbeck/io/checksum.h"

#include "limbeck/base/error.h"

#include <xxhash.h>

namespace limbeck {

uint64_t xxh3_64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hash_hex(uint64_t hash) { return fmt::format("{:016x}", hash); }

std::string hash_hex(const Hash128& hash) {
  return fmt::format("{:016x}{:016x}", hash[0], hash[1]);
}

struct Hasher128::State {
  // The library allocates: its state needs 64-byte alignment.
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> xxh{XXH3_createState()};
};

Hasher128::Hasher128() : state_(std::make_unique<State>()) {
  if (!state_->xxh || XXH3_128bits_reset(state_->xxh.get()) == XXH_ERROR) {
    throw ResourceError("[hasher] no memory for a hash state; needs {} bytes", sizeof(State));
  }
}

Hasher128::~Hasher128() = default;
Hasher128::Hasher128(Hasher128&&) noexcept = default;
Hasher128& Hasher128::operator=(Hasher128&&) noexcept = default;

void Hasher128::update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_->xxh.get(), bytes.data(), bytes.size());
}

void Hasher128::update(std::string_view text) {
  update(std::as_bytes(std::span(text.data(), text.size())));
}

void Hasher128::update_u64(uint64_t value) {
  std::array<std::byte, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
  update(bytes);
}

Hash128 Hasher128::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh.get());
  return {hash.high64, hash.low64};
}

}  // namespace limbeck
