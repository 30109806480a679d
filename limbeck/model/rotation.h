/// Moving keys that already carry their rotary phase.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace limbeck {

/// Rotates keys [n, D] (pairs (j, j + D/2)) by `offsets` [n] i32 or i64 positions each: a pure
/// rotation with angles in f64, without any attention factor (it is already in the key). Returns
/// the dtype of keys.
at::Tensor rotate_keys(const at::Tensor& keys, const at::Tensor& offsets,
                       const std::vector<float>& inverse_frequencies);

}  // namespace limbeck
