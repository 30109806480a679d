#include "limbeck/model/kernels/float_products.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/float_products_loop.h"

#include <algorithm>
#include <vector>

namespace limbeck {
namespace {

struct PortableTile {
  template <int M>
  static void run(const float* a, int64_t row_step, int64_t depth_step, const float* b,
                  int64_t b_step, int64_t depth, float (&sum)[M][kFloatPanel]) {
    for (int i = 0; i < M; ++i)
      for (int64_t j = 0; j < kFloatPanel; ++j) sum[i][j] = 0;
    for (int64_t l = 0; l < depth; ++l)
      for (int i = 0; i < M; ++i)
        for (int64_t j = 0; j < kFloatPanel; ++j)
          sum[i][j] += a[i * row_step + l * depth_step] * b[l * b_step + j];
  }
  template <int M, int P>
  static void dots(const float* const* x, const double* y, int64_t y_step, int64_t from,
                   int64_t depth, double (&sum)[M][P]) {
    double lane[M][P][kFloatRun] = {};
    for (int64_t l = 0; l < depth; l += kFloatRun) {
      const double* b = y + (from + l) / kFloatRun * y_step;
      const int64_t n = std::min(kFloatRun, depth - l);
      for (int i = 0; i < M; ++i)
        for (int j = 0; j < P; ++j)
          for (int64_t k = 0; k < n; ++k)
            lane[i][j][k] += double{x[i][from + l + k]} * b[j * kFloatRun + k];
    }
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < P; ++j) {
        sum[i][j] = 0;
        for (const double part : lane[i][j]) sum[i][j] += part;
      }
  }
  template <int M>
  static void rest(const float* const* x, const float* const* /*next*/, const double* weights,
                   int64_t from, int64_t depth, double* out) {
    for (int64_t l = from; l < from + depth; ++l)
      for (int i = 0; i < M; ++i) out[l] -= weights[i] * double{x[i][l]};
  }
};

constexpr FloatProductKernels kPortable = float_product_loops<PortableTile>();

const FloatProductKernels& kernels() {
  switch (cpu_path()) {
    case CpuPath::portable: return kPortable;
    case CpuPath::avx2: return kFloatProductsAvx2;
    default: return kFloatProductsAvx512;
  }
}

/// Rows that a Gram matrix takes by panels at once.
constexpr int64_t kGramRows = 512;

/// Vectors that lie a multiple of 4 KiB apart, as rows of a matrix may, would share one set of the
/// first-level cache: they are laid side by side.
template <class Number>
std::vector<double> packed(const Number* const* y, int64_t count, int64_t depth) {
  const int64_t runs = (depth + kFloatRun - 1) / kFloatRun;
  std::vector<double> out(static_cast<size_t>(runs * count * kFloatRun), 0.0);
  for (int64_t j = 0; j < count; ++j)
    for (int64_t l = 0; l < depth; l += kFloatRun)
      std::copy_n(y[j] + l, std::min(kFloatRun, depth - l), out.data() + l * count + j * kFloatRun);
  return out;
}

}  // namespace

void float_gram(const float* x, const float* y, int64_t rows, int64_t width, double* gram) {
  // Where rows are pages apart a tile that walks down them misses its page in each.
  const auto step = static_cast<size_t>(std::min(rows, kGramRows) * width);
  std::vector<float> left(step), right(x == y ? 0 : step);
  for (int64_t i = 0; i < rows; i += kGramRows) {
    const int64_t count = std::min(kGramRows, rows - i);
    float_pack(x + i * width, count, width, left.data());
    if (x != y) float_pack(y + i * width, count, width, right.data());
    kernels().gram({left.data(), x == y ? left.data() : right.data(), count, width, gram});
  }
}
void float_row_norms(const float* x, int64_t rows, int64_t width, const float* w, float* out) {
  kernels().row_norms(x, rows, width, w, out);
}

void float_dots(const FloatDots& dots) {
  if (dots.rows > 0 && dots.count > 0)
    kernels().dots(dots, packed(dots.y, dots.count, dots.depth).data());
}
void float_dots(const float* const* x, int64_t rows, const double* y, int64_t depth, double* out) {
  if (rows > 0)
    kernels().dots({.x = x, .rows = rows, .count = 1, .depth = depth, .out = out},
                   packed(&y, 1, depth).data());
}

void float_rest(const FloatRest& rest) { kernels().rest(rest); }

void float_pack(const float* b, int64_t depth, int64_t columns, float* panels) {
  for (int64_t r = 0; r < depth; ++r)
    for (int64_t j = 0; j < columns; j += kFloatPanel) {
      const int64_t width = std::min(kFloatPanel, columns - j);
      float* to = panels + (j / kFloatPanel * depth + r) * kFloatPanel;
      std::copy_n(b + r * columns + j, width, to);
      std::fill(to + width, to + kFloatPanel, 0.0F);
    }
}
void float_columns(const FloatColumns& columns) {
  if (columns.count > 0) kernels().columns(columns);
}

void float_gram_reference(const float* x, const float* y, int64_t rows, int64_t width,
                          double* gram) {
  for (int64_t i = 0; i < width; ++i)
    for (int64_t j = 0; j < width; ++j)
      for (int64_t r = 0; r < rows; ++r)
        gram[i * width + j] += static_cast<double>(x[r * width + i]) * y[r * width + j];
}
void float_row_norms_reference(const float* x, int64_t rows, int64_t width, const float* w,
                               float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    double norm = 0;
    for (int64_t j = 0; j < width; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i)
        sum += static_cast<double>(x[r * width + i]) * w[i * width + j];
      norm += sum * sum;
    }
    out[r] = static_cast<float>(norm);
  }
}
void float_dots_reference(const FloatDots& d) {
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t j = 0; j < d.count; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < d.depth; ++l) sum += static_cast<double>(d.x[r][l]) * d.y[j][l];
      d.out[r * d.count + j] = sum;
    }
}
void float_dots_reference(const float* const* x, int64_t rows, const double* y, int64_t depth,
                          double* out) {
  for (int64_t r = 0; r < rows; ++r) {
    out[r] = 0;
    for (int64_t l = 0; l < depth; ++l) out[r] += double{x[r][l]} * y[l];
  }
}

void float_rest_reference(const FloatRest& rest) {
  for (int64_t l = 0; l < rest.depth; ++l)
    for (int64_t r = 0; r < rest.rows; ++r) rest.out[l] -= rest.weights[r] * double{rest.x[r][l]};
}

void float_columns_reference(const FloatColumns& c) {
  const auto at = [&](int64_t r, int64_t j) {
    return c.panels[(j / kFloatPanel * c.depth + r) * kFloatPanel + j % kFloatPanel];
  };
  for (int64_t i = 0; i < c.count; ++i)
    for (int64_t j = 0; j < c.columns; ++j) {
      double sum = 0;
      for (int64_t r = 0; r < c.depth; ++r)
        sum += static_cast<double>(at(r, c.index[i])) * at(r, j);
      c.out[i * c.columns + j] = sum;
    }
}

}  // namespace limbeck
