/// Which reference queries a fit of one head looks at.
#pragma once

#include "limbeck/compact/fit/features.h"

#include <vector>

namespace limbeck {

struct ChosenRows {
  at::Tensor index;           ///< [m] i64, rising
  at::Tensor weights;         ///< [m] f32: what each row stands for
  std::vector<uint8_t> held;  ///< [m] as given; readers are never held out
};

/// `uniform` equally spaced rows of n, each standing for n / uniform of them, and besides the rows
/// `readers`, the queries that read a kept slot most, each for `reader_weight` rows: what a single
/// query of thousands needs would otherwise be averaged away. `held` [n] may be empty.
ChosenRows choose_rows(const at::Tensor& row_weights, int64_t uniform,
                       const std::vector<int32_t>& readers, double reader_weight,
                       const std::vector<uint8_t>& held);

}  // namespace limbeck
