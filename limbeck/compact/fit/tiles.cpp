#include "limbeck/compact/fit/tiles.h"

#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/tile_product.h"

#include <ATen/ATen.h>
#include <ATen/native/CPUBlas.h>

namespace limbeck {
namespace {

/// Columns of a panel: as many as the packing of tile products allows.
constexpr int64_t kPanel = 64;

/// torch's kernels need AMX and a build with oneDNN.
bool tile_units() {
  static const bool have = at::native::cpublas::could_pack(at::kBFloat16);
  return have && cpu_path() == CpuPath::amx;
}

const Bf16* as_bf16(const at::BFloat16* x) { return reinterpret_cast<const Bf16*>(x); }

}  // namespace

bool tiles_available() { return cpu_path() >= CpuPath::avx2; }
void tiles_release() {
  if (tile_units()) at::native::cpublas::brgemm_release();
}

PackedMatrix pack_matrix(const at::Tensor& b) {
  PackedMatrix out{b.size(0), b.size(1), {}};
  if (!tile_units()) {
    out.panels.push_back(at::empty({tile_pack_size(out.k, out.n)}, at::kBFloat16));
    tile_pack(as_bf16(b.const_data_ptr<at::BFloat16>()), out.k, out.n, b.stride(0), b.stride(1),
              reinterpret_cast<Bf16*>(out.panels[0].mutable_data_ptr<at::BFloat16>()));
    return out;
  }
  for (int64_t j = 0; j < out.n; j += kPanel) {
    const at::Tensor panel = b.narrow(1, j, std::min(kPanel, out.n - j)).contiguous();
    const int64_t n = panel.size(1);
    out.panels.push_back(at::empty_like(panel));
    at::native::cpublas::pack(out.k, n, n, n, at::kBFloat16, at::kBFloat16, panel.const_data_ptr(),
                              out.panels.back().mutable_data_ptr());
  }
  return out;
}

void multiply_tiles(const at::BFloat16* a, int64_t m, const PackedMatrix& b, float* c,
                    int64_t stride) {
  if (!tile_units()) {
    tile_product({as_bf16(a), m, b.k, b.k, as_bf16(b.panels[0].const_data_ptr<at::BFloat16>()), b.k,
                  b.n, c, stride});
    return;
  }
  for (size_t i = 0; i < b.panels.size(); ++i) {
    const int64_t n = b.panels[i].size(1);
    at::native::cpublas::brgemm(m, n, b.k, b.k, n, stride, false, a,
                                b.panels[i].const_data_ptr<at::BFloat16>(),
                                c + static_cast<int64_t>(i) * kPanel);
  }
}

}  // namespace limbeck
