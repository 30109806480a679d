/// Cholesky factors of small symmetric matrices without the copies that torch's interface makes.
#pragma once

#include <ATen/core/Tensor.h>

namespace limbeck {

/// The factor L of m + ridge I = L L', m [t, t] f32 or f64 symmetric, in the lower triangle of what
/// is returned, by rows; above it lies nothing of use. Undefined where m + ridge I is not positive
/// definite or not a number.
at::Tensor cholesky_factor(const at::Tensor& m, double ridge);

/// (L L')^-1 b for such a factor and b [t] or [t, k] of its type.
at::Tensor cholesky_solved(const at::Tensor& l, const at::Tensor& b);

/// (m + ridge I)^-1 b [t, k] in f64, by the factor L. What f32 factors give is refined once, with a
/// residual in f64.
at::Tensor cholesky_refined(const at::Tensor& m, double ridge, const at::Tensor& l,
                            const at::Tensor& b);

}  // namespace limbeck
