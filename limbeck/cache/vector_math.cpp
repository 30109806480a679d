#include "limbeck/cache/vector_math.h"

#include <ATen/ATen.h>

namespace limbeck {

bool settle_vector_math() {
  static const bool done = [] {
    for (const auto type : {at::kFloat, at::kDouble}) {
      const at::Tensor x = at::full({8}, 0.5, at::TensorOptions(type));
      for (const auto& f : {at::exp, at::log, at::log1p, at::expm1, at::sqrt, at::rsqrt, at::sin,
                            at::cos, at::tanh, at::erf})
        static_cast<void>(f(x));
      static_cast<void>(at::pow(x, 2.5));
    }
    return true;
  }();
  return done;
}

}  // namespace limbeck
