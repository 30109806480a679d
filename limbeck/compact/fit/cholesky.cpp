#include "limbeck/compact/fit/cholesky.h"

#include <ATen/ATen.h>
#include <ATen/native/BatchLinearAlgebra.h>

#include <algorithm>

namespace limbeck {
namespace {

template <class T>
bool factor(at::Tensor& m) {
  const auto n = static_cast<int>(m.size(0));
  int info = 0;
  // LAPACK's upper triangle by columns is ours below the diagonal by rows.
  at::native::lapackCholesky<T>('U', n, m.mutable_data_ptr<T>(), n > 0 ? n : 1, &info);
  return info == 0;
}

}  // namespace

at::Tensor cholesky_factor(const at::Tensor& m, double ridge) {
  // linalg_cholesky_ex() clears the other triangle first, element by element, which for some
  // hundred rows takes as long as the factor.
  at::Tensor out = m.clone(at::MemoryFormat::Contiguous);
  if (ridge != 0) out.diagonal().add_(ridge);
  const bool done = out.scalar_type() == at::kFloat ? factor<float>(out) : factor<double>(out);
  return done ? out : at::Tensor();
}

at::Tensor cholesky_solved(const at::Tensor& l, const at::Tensor& b) {
  // at::cholesky_solve() copies L each time, which for a few right sides takes longer than they do.
  const at::Tensor columns = b.dim() == 1 ? b.unsqueeze(1) : b;
  const at::Tensor half = at::linalg_solve_triangular(l, columns, /*upper=*/false);
  const at::Tensor out = at::linalg_solve_triangular(l.t(), half, /*upper=*/true);
  return b.dim() == 1 ? out.squeeze(1) : out;
}

at::Tensor cholesky_refined(const at::Tensor& m, double ridge, const at::Tensor& l,
                            const at::Tensor& b) {
  const at::Tensor rough = cholesky_solved(l, b);
  if (m.scalar_type() == at::kDouble) return rough;
  const at::Tensor x = rough.to(at::kDouble);
  at::Tensor rest = b.to(at::kDouble).sub_(x, ridge);
  constexpr int64_t kPanel = 256;  // rows that are f64 at a time
  for (int64_t i = 0; i < m.size(0); i += kPanel) {
    const int64_t n = std::min(kPanel, m.size(0) - i);
    at::Tensor part = rest.narrow(0, i, n);
    part.addmm_(m.narrow(0, i, n).to(at::kDouble), x, 1, -1);
  }
  return x + cholesky_solved(l, rest.to(at::kFloat));
}

}  // namespace limbeck
