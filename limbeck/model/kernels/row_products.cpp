#include "limbeck/model/kernels/row_products.h"

#include "limbeck/base/error.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/line_space.h"

namespace limbeck {

bool row_products_serve() { return cpu_path() == CpuPath::amx; }

void row_products(const RowProducts& p) {
  LIMBECK_CHECK(row_products_serve() && p.depth % 32 == 0, "rows that this kernel does not serve");
  if (p.left.count == 0 || p.right.count == 0) return;
  kRowProductsAmx.run(p, LineSpace(kRowProductsAmx.space(p)).data());
}

void row_products_reference(const RowProducts& p) {
  for (int64_t i = 0; i < p.left.count; ++i)
    for (int64_t j = 0; j < p.right.count; ++j) {
      double sum = 0;
      for (int64_t d = 0; d < p.depth; ++d)
        sum += double{to_float(p.x[p.left[i] * p.depth + d])} *
               to_float(p.x[p.right[j] * p.depth + d]);
      p.out[i * p.right.count + j] = sum;
    }
}

}  // namespace limbeck
