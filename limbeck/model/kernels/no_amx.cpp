// Stands in for the *_amx.cpp files where the compiler, the processor family or the system has no
// AMX.
#include "limbeck/model/kernels/attention_slice.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/row_attention.h"
#include "limbeck/model/kernels/row_products.h"

namespace limbeck {

bool cpu_has_amx() { return false; }  // so the pointers below are never looked at

const SliceKernel kSliceAmxBf16 = nullptr;
const RowAttentionKernel kRowAttentionAmx = {};
const RowProductsKernel kRowProductsAmx = {};

}  // namespace limbeck
