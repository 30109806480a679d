#include "limbeck/io/sha256.h"

#include <array>
#include <bit>
#include <cstdint>

namespace limbeck {
namespace {

constexpr size_t kBlock = 64;
using Words = std::array<uint32_t, 64>;

/// First 32 bits of the fractional parts of the cube roots of the first 64 primes, as the standard
/// defines its constants. In whole numbers: the largest r with r^3 <= prime * 2^96.
Words round_constants() {
  Words out{};
  size_t count = 0;
  for (uint32_t n = 2; count < out.size(); ++n) {
    bool prime = true;
    for (uint32_t d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
    if (!prime) continue;
    // Below 7 * 2^32, so that r^3 fits 128 bits.
    uint64_t r = 0;
    for (int bit = 34; bit >= 0; --bit) {
      const auto next = static_cast<unsigned __int128>(r | uint64_t{1} << bit);
      if (next * next * next <= static_cast<unsigned __int128>(n) << 96)
        r = static_cast<uint64_t>(next);
    }
    out[count++] = static_cast<uint32_t>(r);
  }
  return out;
}

uint32_t big_endian(std::string_view bytes, size_t at) {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; ++i) out = out << 8 | static_cast<unsigned char>(bytes[at + i]);
  return out;
}

void add_block(std::string_view block, std::array<uint32_t, 8>& hash) {
  static const Words k = round_constants();
  Words w{};
  for (size_t t = 0; t < 16; ++t) w[t] = big_endian(block, 4 * t);
  for (size_t t = 16; t < 64; ++t) {
    const uint32_t a = w[t - 15], b = w[t - 2];
    w[t] = (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10) + w[t - 7] +
           (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[t - 16];
  }
  std::array<uint32_t, 8> v = hash;
  for (size_t t = 0; t < 64; ++t) {
    const auto& [a, b, c, d, e, f, g, h] = v;
    const uint32_t one = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                         ((e & f) ^ (~e & g)) + k[t] + w[t];
    const uint32_t two =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    v = {one + two, a, b, c, d + one, e, f, g};
  }
  for (size_t i = 0; i < 8; ++i) hash[i] += v[i];
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  // The same of the square roots of the first eight primes.
  std::array<uint32_t, 8> hash = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const size_t whole = bytes.size() / kBlock * kBlock;
  for (size_t at = 0; at < whole; at += kBlock) add_block(bytes.substr(at, kBlock), hash);
  std::string tail(bytes.substr(whole));
  tail += '\x80';
  tail.resize(tail.size() + 8 > kBlock ? 2 * kBlock : kBlock);
  for (size_t i = 0; i < 8; ++i)
    tail[tail.size() - 1 - i] = static_cast<char>(uint64_t{bytes.size()} * 8 >> 8 * i);
  for (size_t at = 0; at < tail.size(); at += kBlock)
    add_block(std::string_view(tail).substr(at, kBlock), hash);
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const uint32_t word : hash)
    for (int shift = 28; shift >= 0; shift -= 4) out += kHex[word >> shift & 15];
  return out;
}

}  // namespace limbeck
