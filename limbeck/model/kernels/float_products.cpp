#include "limbeck/model/kernels/float_products.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/float_products_loop.h"

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
};

constexpr FloatProductKernels kPortable{gram_loop<PortableTile>, row_norms_loop<PortableTile>};

const FloatProductKernels& kernels() {
  return cpu_path() >= CpuPath::avx512 ? kFloatProductsAvx512 : kPortable;
}

}  // namespace

void float_gram(const float* x, const float* y, int64_t rows, int64_t width, double* gram) {
  if (rows == 0) return;
  kernels().gram(x, y, rows, width, gram);
}
void float_row_norms(const float* x, int64_t rows, int64_t width, const float* w, float* out) {
  kernels().row_norms(x, rows, width, w, out);
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

}  // namespace limbeck
