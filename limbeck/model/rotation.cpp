#include "limbeck/model/rotation.h"

#include "limbeck/base/error.h"

#include <ATen/ATen.h>

namespace limbeck {

at::Tensor rotate_keys(const at::Tensor& keys, const at::Tensor& offsets,
                       const std::vector<float>& frequencies) {
  const auto half = static_cast<int64_t>(frequencies.size());
  LIMBECK_CHECK(keys.dim() == 2 && keys.size(1) == 2 * half && offsets.size(0) == keys.size(0),
                "keys [{}, {}] for {} offsets and {} frequencies", keys.size(0), keys.size(1),
                offsets.size(0), half);
  const at::Tensor f = at::tensor(frequencies, at::kFloat).to(at::kDouble);
  const at::Tensor angle = offsets.to(at::kDouble).unsqueeze(1) * f.unsqueeze(0);
  const at::Tensor cos = angle.cos().to(at::kFloat), sin = angle.sin().to(at::kFloat);
  const at::Tensor k = keys.to(at::kFloat), a = k.narrow(1, 0, half), b = k.narrow(1, half, half);
  return at::cat({a * cos - b * sin, b * cos + a * sin}, 1).to(keys.scalar_type());
}

}  // namespace limbeck
