#include "limbeck/model/kernels/pivoting.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/pivoting_loop.h"

#include <cmath>
#include <vector>

namespace limbeck {
namespace {

const PivotKernels& kernels() {
  switch (cpu_path()) {
    case CpuPath::portable: return kPivotPortable;
    case CpuPath::avx2: return kPivotAvx2;
    default: return kPivotAvx512;
  }
}

/// L at the pivots, [before, width].
std::vector<double> at_pivots(const PivotRows& r, int64_t width) {
  std::vector<double> picked(static_cast<size_t>(width * r.before));
  for (int64_t i = 0; i < r.picks; ++i)
    for (int64_t k = 0; k < r.before; ++k) picked[k * width + i] = *r.l.at(r.pivots[i], k);
  return picked;
}

/// The Cholesky factor of what is left of G at the pivots, its diagonal inverted; returns how many
/// of its rows there are.
int64_t root_of(const PivotRows& r, const std::vector<double>& picked, int64_t width,
                std::vector<double>& root) {
  const int64_t n = r.picks;
  root.assign(static_cast<size_t>(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) root[i * n + j] = r.g[i * r.slots + r.pivots[j]];
  for (int64_t k = 0; k < r.before; ++k) {
    const double* row = picked.data() + k * width;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= i; ++j) root[i * n + j] -= row[i] * row[j];
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double x = root[i * n + j];
      for (int64_t k = 0; k < j; ++k) x -= root[i * n + k] * root[j * n + k];
      if (j < i) {
        root[i * n + j] = x * root[j * n + j];
        continue;
      }
      if (!(x > 0)) return i;
      root[i * n + i] = 1.0 / std::sqrt(x);
    }
  }
  return n;
}

}  // namespace

double pivot_block(const PivotBlock& block, int64_t pivot) {
  std::vector<double> space(static_cast<size_t>(block.size + block.width));
  return kernels().block(block, pivot, space.data());
}

double pivot_block_reference(const PivotBlock& b, int64_t pivot) {
  const double root = std::sqrt(b.g[pivot * b.size + pivot]);
  std::vector<double> l(b.size), c(b.width);
  for (int64_t j = 0; j < b.size; ++j) l[j] = b.g[pivot * b.size + j] / root;
  double energy = 0;
  for (int64_t k = 0; k < b.width; ++k) {
    c[k] = b.h[pivot * b.width + k] / root;
    energy += c[k] * c[k];
  }
  for (int64_t j = 0; j < b.size; ++j) {
    for (int64_t i = 0; i < b.size; ++i) b.g[j * b.size + i] -= l[j] * l[i];
    b.squares[j] = 0;
    for (int64_t k = 0; k < b.width; ++k) {
      double& x = b.h[j * b.width + k];
      x -= l[j] * c[k];
      b.squares[j] += x * x;
    }
  }
  return energy;
}

int64_t pivot_rows(const PivotRows& rows) {
  PivotPlan plan;
  plan.rounded = (rows.picks + kPivotGroup - 1) / kPivotGroup * kPivotGroup;
  const std::vector<double> picked = at_pivots(rows, plan.rounded);
  std::vector<double> root;
  PivotRows r = rows;
  if (const int64_t left = root_of(rows, picked, plan.rounded, root); left < rows.picks) {
    // The factor of fewer pivots is a part of this one, but its rows are shorter.
    for (int64_t i = 0; i < left; ++i)
      for (int64_t j = 0; j < left; ++j) root[i * left + j] = root[i * rows.picks + j];
    r.picks = left;
  }
  const int64_t n = r.picks;
  std::vector<double> c(static_cast<size_t>(n * r.width));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < r.width; ++k) {
      double x = r.h[r.pivots[i] * r.width + k];
      for (int64_t j = 0; j < i; ++j) x -= root[i * n + j] * c[j * r.width + k];
      c[i * r.width + k] = x * root[i * n + i];
    }
  std::vector<double> space(static_cast<size_t>(plan.rounded * kPivotColumns));
  plan.picks = n;
  plan.picked = picked.data();
  plan.root = root.data();
  plan.c = c.data();
  plan.space = space.data();
  if (n > 0) kernels().rows(r, plan);
  return n;
}

int64_t pivot_rows_reference(const PivotRows& r) {
  for (int64_t i = 0; i < r.picks; ++i) {
    std::vector<double> row(r.g + i * r.slots, r.g + (i + 1) * r.slots);
    const int64_t p = r.pivots[i];
    for (int64_t k = 0; k < r.before + i; ++k)
      for (int64_t j = 0; j < r.slots; ++j) row[j] -= *r.l.at(p, k) * *r.l.at(j, k);
    if (!(row[p] > 0)) return i;
    const double root = std::sqrt(row[p]);
    std::vector<double> c(r.h + p * r.width, r.h + (p + 1) * r.width);
    for (int64_t j = 0; j < r.slots; ++j) {
      row[j] /= root;
      *r.l.at(j, r.before + i) = row[j];
      r.diagonal[j] -= row[j] * row[j];
      r.squares[j] = 0;
      for (int64_t k = 0; k < r.width; ++k) {
        double& x = r.h[j * r.width + k];
        x -= row[j] * c[k] / root;
        r.squares[j] += x * x;
      }
    }
  }
  return r.picks;
}

}  // namespace limbeck
