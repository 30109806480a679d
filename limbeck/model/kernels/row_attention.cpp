#include "limbeck/model/kernels/row_attention.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/line_space.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace limbeck {

bool row_attention_serves(int64_t dim) {
  return cpu_path() == CpuPath::amx && dim >= 32 && dim % 32 == 0 && dim <= kRowAttentionDimMax;
}

void row_attention(const RowAttention& a) {
  LIMBECK_CHECK(row_attention_serves(a.dim) && a.slots > 0 && a.scale > 0,
                "a head that this kernel does not serve");
  kRowAttentionAmx.run(a, LineSpace(kRowAttentionAmx.space(a)).data());
}

void row_attention_reference(const RowAttention& a) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < a.slots; ++j) {
    a.best[j] = 0;
    a.best_row[j] = 0;
  }
  std::vector<double> logit(a.slots), y(a.dim);
  for (int64_t i = 0; i < a.rows; ++i) {
    double top = kNothing, mass = 0;
    for (int64_t j = 0; j < a.slots; ++j) {
      double dot = 0;
      for (int64_t d = 0; d < a.dim; ++d)
        dot += double{to_float(a.queries[i * a.dim + d])} * to_float(a.keys[j * a.dim + d]);
      logit[j] = dot * a.scale + (a.bias != nullptr ? a.bias[j] : 0.0);
      top = std::max(top, logit[j]);
    }
    std::fill(y.begin(), y.end(), 0.0);
    for (int64_t j = 0; j < a.slots && top > kNothing; ++j) {
      const double w = std::exp(logit[j] - top);
      mass += w;
      for (int64_t d = 0; d < a.dim; ++d) y[d] += w * to_float(a.values[j * a.dim + d]);
    }
    for (int64_t d = 0; d < a.dim; ++d)
      a.outputs[i * a.dim + d] = mass > 0 ? static_cast<float>(y[d] / mass) : 0.0F;
    const double lse = mass > 0 ? top + std::log(mass) : kNothing;
    a.lse[i] = static_cast<float>(lse);
    if (mass == 0) continue;
    const double elsewhere = a.elsewhere != nullptr ? a.elsewhere[i] : kNothing;
    const double total = lse + std::log1p(std::exp(elsewhere - lse));
    for (int64_t j = 0; j < a.slots; ++j) {
      const auto p = static_cast<float>(std::exp(logit[j] - total));
      if (p > a.best[j]) {
        a.best[j] = p;
        a.best_row[j] = static_cast<int32_t>(i);
      }
    }
  }
}

}  // namespace limbeck
