/// Hashes of the blocks of a token sequence: what prefix matching compares instead of tokens.
///
/// Hash i stands for all tokens up to the end of block i, under one model: equal hashes mean that
/// the caches of both sequences agree that far. Non-goals: malice, blocks that are not full.
#pragma once

#include "limbeck/io/checksum.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace limbeck {

/// Tokens a block.
inline constexpr int64_t kTokenBlock = 256;

/// One hash for each whole block: XXH3-128 of the hash before it (high and low half as
/// little-endian u64) and the block's token ids as little-endian u32. The hash before block 0 is
/// XXH3-128 of the fingerprint's text.
std::vector<Hash128> block_hashes(std::span<const int32_t> tokens, std::string_view fingerprint);

}  // namespace limbeck
