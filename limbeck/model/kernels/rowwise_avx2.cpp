// The same source as rowwise_portable.cpp, compiled with AVX2 flags.
#include "limbeck/model/kernels/rowwise_rows.h"

namespace limbeck {

const RowwiseKernels kRowwiseAvx2Bf16 = kRowwiseOf<Bf16>;
const RowwiseKernels kRowwiseAvx2F32 = kRowwiseOf<float>;

}  // namespace limbeck
