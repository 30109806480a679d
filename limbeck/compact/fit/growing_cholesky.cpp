#include "limbeck/compact/fit/growing_cholesky.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

double dot(const double* a, const double* b, int64_t n) {
  double sum[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int64_t k = 0; k < 4; ++k) sum[k] += a[i + k] * b[i + k];
  for (; i < n; ++i) sum[0] += a[i] * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

bool GrowingCholesky::add(const std::vector<double>& products, double square, double right,
                          double least) {
  std::vector<double> all = products;
  all.push_back(square);
  reserve(size() + 1);
  return close(all.data(), 0, right, least);
}

bool GrowingCholesky::add(const at::Tensor& rows, const std::vector<double>& right, double least) {
  const int64_t n = size(), count = rows.size(0);
  reserve(n + count);
  const at::Tensor all = rows.contiguous();
  if (n > 0) {
    // One pass over the factor for all of them.
    const at::Tensor l = at::from_blob(factor_.data(), {n, n}, {capacity_, 1}, at::kDouble);
    const at::Tensor x =
        at::linalg_solve_triangular(l, all.narrow(1, 0, n).t(), /*upper=*/false).t().contiguous();
    for (int64_t i = 0; i < count; ++i)
      std::copy_n(x.const_data_ptr<double>() + i * n, n, row(n + i));
  }
  for (int64_t i = 0; i < count; ++i)
    if (!close(all.const_data_ptr<double>() + i * (n + count), n, right[i], least)) return false;
  return true;
}

bool GrowingCholesky::close(const double* products, int64_t done, double right, double least) {
  const int64_t n = size();
  double* last = row(n);
  for (int64_t i = done; i < n; ++i) last[i] = (products[i] - dot(row(i), last, i)) / row(i)[i];
  const double own = products[n] - dot(last, last, n);
  if (!(own > least * products[n])) return false;
  last[n] = std::sqrt(own);
  side_.push_back((right - dot(last, side_.data(), n)) / last[n]);
  return true;
}

void GrowingCholesky::truncate(int64_t size) { side_.resize(std::min(size, this->size())); }

bool GrowingCholesky::assign(const at::Tensor& a, const std::vector<double>& right) {
  side_.clear();
  const int64_t n = a.size(0);
  reserve(n);
  const auto [l, info] = at::linalg_cholesky_ex(a);
  if (info.item<int32_t>() != 0) return false;
  const at::Tensor rows = l.contiguous();
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(rows.const_data_ptr<double>() + i * n, i + 1, row(i));
    side_.push_back((right[i] - dot(row(i), side_.data(), i)) / row(i)[i]);
  }
  return true;
}

std::vector<double> GrowingCholesky::solution() const {
  std::vector<double> x = side_;
  for (int64_t i = size() - 1; i >= 0; --i) {
    const double* l = row(i);
    x[i] /= l[i];
    for (int64_t j = 0; j < i; ++j) x[j] -= x[i] * l[j];
  }
  return x;
}

void GrowingCholesky::reserve(int64_t rows) {
  if (rows <= capacity_) return;
  const int64_t wider = std::max<int64_t>(64, 2 * rows);
  std::vector<double> grown(wider * wider);
  for (int64_t i = 0; i < size(); ++i) std::copy_n(row(i), i + 1, grown.data() + i * wider);
  factor_ = std::move(grown);
  capacity_ = wider;
}

}  // namespace limbeck
