/// What the kernels' tests share: typed random buffers, norms, all code paths.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/io/dtype.h"
#include "limbeck/model/kernels/bf16.h"
#include "limbeck/model/kernels/cpu_path.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace limbeck {

/// Largest relative error ||x - ref|| / ||ref|| of float32 arithmetic: some hundred roundings of
/// 6e-8 each in sums, and logits of about 10 whose rounding enters through exp.
constexpr double kF32Tolerance = 1e-5;

/// LIMBECK_TEST_SEED, or a fixed seed. Every test reports it on failure.
inline uint64_t test_seed(uint64_t fallback) {
  const char* text = std::getenv("LIMBECK_TEST_SEED");
  return text ? std::strtoull(text, nullptr, 10) : fallback;
}

/// Elements of one dtype, set and read as double.
class Buffer {
 public:
  Buffer(DType type, int64_t n) : type_(type) {
    if (type == DType::f32)
      f32_.resize(static_cast<size_t>(n));
    else
      bf16_.resize(static_cast<size_t>(n));
  }
  static Buffer normal(DType type, int64_t n, Random& random, double deviation = 1.0) {
    Buffer b(type, n);
    for (int64_t i = 0; i < n; ++i) b.set(i, deviation * random.normal());
    return b;
  }
  void set(int64_t i, double x) {
    const auto at = static_cast<size_t>(i);
    if (type_ == DType::f32)
      f32_[at] = static_cast<float>(x);
    else
      bf16_[at] = to_bf16(static_cast<float>(x));
  }
  double operator[](int64_t i) const {
    const auto at = static_cast<size_t>(i);
    return type_ == DType::f32 ? f32_[at] : to_float(bf16_[at]);
  }
  void* data() {
    return type_ == DType::f32 ? static_cast<void*>(f32_.data()) : static_cast<void*>(bf16_.data());
  }
  int64_t size() const { return static_cast<int64_t>(f32_.size() + bf16_.size()); }
  DType type() const { return type_; }

 private:
  DType type_;
  std::vector<float> f32_;
  std::vector<Bf16> bf16_;
};

inline std::vector<float> normal_floats(int64_t n, Random& random, double deviation = 1.0) {
  std::vector<float> x(static_cast<size_t>(n));
  for (float& y : x) y = static_cast<float>(deviation * random.normal());
  return x;
}

/// ||x - ref|| / ||ref||; 0 for two zero vectors, NaN counts as infinite.
inline double relative_error(const float* x, const float* ref, int64_t n) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < n; ++i) {
    difference += (double(x[i]) - ref[i]) * (double(x[i]) - ref[i]);
    norm += double(ref[i]) * ref[i];
  }
  if (difference == 0) return 0;
  const double error = std::sqrt(difference / norm);
  return error >= 0 ? error : INFINITY;
}

/// Steps between two bfloat16 numbers on the number line; +0 and -0 coincide.
inline int64_t bf16_steps(double a, double b) {
  const auto place = [](double x) {
    const int64_t bits = to_bf16(static_cast<float>(x)).bits;
    return bits & 0x8000 ? -(bits & 0x7fff) : bits;
  };
  return std::abs(place(a) - place(b));
}

/// A random size that is often a special one: 0, 1, or next to a multiple of a block size.
inline int64_t special_size(Random& random, int64_t largest) {
  constexpr int64_t kSpecial[] = {0, 1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 512, 513};
  const int64_t n = random.below(2) ? kSpecial[random.below(std::size(kSpecial))]
                                    : static_cast<int64_t>(random.below(largest + 1));
  return n > largest ? largest : n;
}

/// Runs a test on the path its parameter names; skips those that cannot be taken here.
class KernelTest : public testing::TestWithParam<CpuPath> {
 protected:
  void SetUp() override {
    if (GetParam() > cpu_best_path())
      GTEST_SKIP() << "no " << cpu_path_name(GetParam())
                   << " path on this machine or in this build";
    force_ = std::make_unique<ForceCpuPath>(GetParam());
  }

 private:
  std::unique_ptr<ForceCpuPath> force_;
};

inline std::string cpu_path_test_name(const testing::TestParamInfo<CpuPath>& info) {
  constexpr const char* kNames[] = {"Portable", "Avx2", "Avx512", "Avx512Bf16", "Amx"};
  return kNames[static_cast<int>(info.param)];
}

}  // namespace limbeck

/// For kernels without code for bf16 units.
#define LIMBECK_FLOAT_PATHS(suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(FloatPaths, suite,                                                  \
                           testing::Values(CpuPath::portable, CpuPath::avx2, CpuPath::avx512), \
                           cpu_path_test_name)

/// For kernels with code for more.
#define LIMBECK_ALL_PATHS(suite)                                                              \
  INSTANTIATE_TEST_SUITE_P(AllPaths, suite,                                                   \
                           testing::Values(CpuPath::portable, CpuPath::avx2, CpuPath::avx512, \
                                           CpuPath::avx512_bf16, CpuPath::amx),               \
                           cpu_path_test_name)
