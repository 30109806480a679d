/// The Gram matrix G = A' Omega A of attention features, whole or from rows of features.
///
/// G carries everything that selection and linear fits need: A' Omega 1 = G 1 and A' Omega Y = G V,
/// because rows of A sum to 1 and Y = A V (docs/methods.md). It is accumulated over
/// batches of queries, so the number of queries has no cap.
#pragma once

#include "limbeck/compact/fit/features.h"

#include <memory>
#include <span>

namespace limbeck {

/// A symmetric positive semidefinite matrix [T, T] of which columns can be had.
class Gram {
 public:
  virtual ~Gram() = default;
  virtual int64_t size() const = 0;
  virtual at::Tensor diagonal() const = 0;                        ///< [T] f64
  virtual at::Tensor columns(const at::Tensor& index) const = 0;  ///< [T, c] f64
  virtual at::Tensor block(const at::Tensor& index) const = 0;    ///< [c, c] f64
  virtual at::Tensor times(const at::Tensor& m) const = 0;        ///< G m, m [T, k] f64
};

/// G held whole: 4 T^2 bytes.
std::unique_ptr<Gram> dense_gram(at::Tensor g);
/// G = B' B, never formed: B [r, T] f32.
std::unique_ptr<Gram> factored_gram(at::Tensor b);

/// The same with B rounded to bf16 and its products on units for bf16, where there are such; else
/// as factored_gram. The diagonal is that of the rounded B.
std::unique_ptr<Gram> tiled_gram(at::Tensor b);

/// A' A [T, T] of rows a [n, T], f32 or f64 as a is: above the diagonal only, on tile units where
/// the precision that is set allows bf16 operands.
at::Tensor symmetric_product(const at::Tensor& a);
/// The same by torch's products.
at::Tensor symmetric_product_plain(const at::Tensor& a);

/// X' [X | Y] in f64 of rows x [n, t] and y [n, k] f32: products and sums of some hundred rows in
/// f32, whatever precision is set and however small a column is. Everything that a least-squares
/// fit of Y on X needs.
struct JointGram {
  at::Tensor xx;  ///< [t, t]
  at::Tensor xy;  ///< [t, k]
};
JointGram joint_gram(const at::Tensor& x, const at::Tensor& y);

/// A' Omega A [T, T] f32 of a head's problem, over batches of queries.
at::Tensor attention_gram(const HeadProblem& problem, int64_t batch = 2048);

}  // namespace limbeck
