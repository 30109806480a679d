// The same source as rowwise_portable.cpp, compiled with AVX-512 flags.
#include "limbeck/model/kernels/rowwise_rows.h"

namespace limbeck {

const RowwiseKernels kRowwiseAvx512Bf16 = kRowwiseOf<Bf16>;
const RowwiseKernels kRowwiseAvx512F32 = kRowwiseOf<float>;

}  // namespace limbeck
