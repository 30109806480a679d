/// Making scores of different heads comparable.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace limbeck {

/// Throws InvalidArgument unless the name is "", zscore, rank or share.
void check_normalization_name(std::string_view name);

/// In place, head by head (offsets [H + 1]): zscore = (x - mean) / max(std, 1e-6) with the
/// population std; rank = ascending rank / n; share = x / sum (scores must not be negative). ""
/// does nothing.
void normalize_scores(std::string_view name, std::span<float> scores,
                      std::span<const int64_t> offsets);

}  // namespace limbeck
