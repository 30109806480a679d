#include "limbeck/compact/fit/tiles.h"

#include <ATen/ATen.h>
#include <ATen/native/CPUBlas.h>

namespace limbeck {
namespace {

/// Columns of a panel: as many as the packing of tile products allows.
constexpr int64_t kPanel = 64;

}  // namespace

bool tiles_available() { return at::native::cpublas::could_pack(at::kBFloat16); }
void tiles_release() { at::native::cpublas::brgemm_release(); }

std::vector<at::Tensor> pack_panels(const at::Tensor& b) {
  std::vector<at::Tensor> out;
  for (int64_t j = 0; j < b.size(1); j += kPanel) {
    const at::Tensor panel = b.narrow(1, j, std::min(kPanel, b.size(1) - j)).contiguous();
    const int64_t n = panel.size(1);
    out.push_back(at::empty_like(panel));
    at::native::cpublas::pack(panel.size(0), n, n, n, at::kBFloat16, at::kBFloat16,
                              panel.const_data_ptr(), out.back().mutable_data_ptr());
  }
  return out;
}

void multiply_tiles(const at::BFloat16* a, int64_t m, int64_t k, const std::vector<at::Tensor>& b,
                    float* c, int64_t stride) {
  for (size_t i = 0; i < b.size(); ++i) {
    const int64_t n = b[i].size(1);
    at::native::cpublas::brgemm(m, n, k, k, n, stride, false, a,
                                b[i].const_data_ptr<at::BFloat16>(),
                                c + static_cast<int64_t>(i) * kPanel);
  }
}

}  // namespace limbeck
