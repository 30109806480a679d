#include "limbeck/compact/fit/growing_cholesky.h"

#include "limbeck/compact/fit/cholesky.h"
#include "limbeck/compact/fit/dot.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

/// Turns of neighbouring columns, the first of which are `first` and first + 1.
struct Turns {
  int64_t first = 0;
  std::vector<double> cosines = {}, sines = {};

  /// Applies those of columns [from, to) to some rows, whose numbers in column `from` are `carry`.
  /// A row alone waits for each of its turns: several together do not.
  template <int Rows>
  void apply(double* const (&row)[Rows], int64_t from, int64_t to, double (&carry)[Rows]) const {
    for (int64_t k = from; k < to; ++k) {
      const double c = cosines[k - first], s = sines[k - first];
      for (int i = 0; i < Rows; ++i) {
        const double next = row[i][k + 1];
        row[i][k] = c * carry[i] + s * next;
        carry[i] = c * next - s * carry[i];
      }
    }
  }
  /// The turn that takes `next` into `carry`, which it returns.
  double add(double carry, double next) {
    const double length = std::hypot(carry, next);
    cosines.push_back(carry / length);
    sines.push_back(next / length);
    return length;
  }
};

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
    const at::Tensor x = solve(all.narrow(1, 0, n));
    for (int64_t i = 0; i < count; ++i)
      std::copy_n(x.const_data_ptr<double>() + i * n, n, row(n + i));
  }
  for (int64_t i = 0; i < count; ++i)
    if (!close(all.const_data_ptr<double>() + i * (n + count), n, right[i], least)) return false;
  return true;
}

/// X [rows, size] of X L' = `right`, in one pass over L for all rows and without a copy of it.
at::Tensor GrowingCholesky::solve(const at::Tensor& right) const {
  constexpr int64_t kColumns = 128;
  const int64_t n = size();
  at::Tensor out = right.clone(at::MemoryFormat::Contiguous);
  for (int64_t k = 0; k < n; k += kColumns) {
    const int64_t width = std::min(kColumns, n - k);
    if (k > 0) {
      const at::Tensor l =
          at::from_blob(const_cast<double*>(row(k)), {width, k}, {capacity_, 1}, at::kDouble);
      out.narrow(1, k, width).addmm_(out.narrow(1, 0, k), l.t(), 1, -1);
    }
    for (int64_t r = 0; r < out.size(0); ++r) {
      double* x = out.mutable_data_ptr<double>() + r * n + k;
      for (int64_t j = 0; j < width; ++j) {
        const double* l = row(k + j) + k;
        x[j] = (x[j] - dot(l, x, j)) / l[j];
      }
    }
  }
  return out;
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

void GrowingCholesky::remove(int64_t i) {
  const int64_t n = size() - 1;
  // Row r of the new factor is row r + 1, with one number beyond its diagonal to be turned away.
  for (int64_t r = i; r < n; ++r) std::copy_n(row(r + 1), r + 2, row(r));
  Turns turns{.first = i};
  const auto turn_rows = [&]<int Rows>(double* const(&rows)[Rows], int64_t first) {
    double carry[Rows];
    for (int j = 0; j < Rows; ++j) carry[j] = rows[j][i];
    turns.apply(rows, i, first, carry);
    // Turns of the rows among themselves; each row's own turns the right side as well.
    for (int64_t k = first; k < first + Rows; ++k) {
      double* const one[1] = {rows[k - first]};
      double own[1] = {carry[k - first]};
      turns.apply(one, first, k, own);
      one[0][k] = turns.add(own[0], one[0][k + 1]);
      double* const side[1] = {side_.data()};
      double right[1] = {side_[k]};
      turns.apply(side, k, k + 1, right);
      side_[k + 1] = right[0];
    }
  };
  int64_t r = i;
  for (; r + 4 <= n; r += 4) turn_rows({row(r), row(r + 1), row(r + 2), row(r + 3)}, r);
  for (; r < n; ++r) turn_rows({row(r)}, r);
  side_.resize(n);
}

void GrowingCholesky::truncate(int64_t size) { side_.resize(std::min(size, this->size())); }

bool GrowingCholesky::assign(const at::Tensor& a, const std::vector<double>& right) {
  side_.clear();
  const int64_t n = a.size(0);
  reserve(n);
  const at::Tensor l = cholesky_factor(a, 0.0);
  if (!l.defined()) return false;
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(l.const_data_ptr<double>() + i * n, i + 1, row(i));
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
