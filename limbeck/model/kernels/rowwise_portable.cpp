#include "limbeck/model/kernels/rowwise_rows.h"

namespace limbeck {

const RowwiseKernels kRowwisePortableBf16 = kRowwiseOf<Bf16>;
const RowwiseKernels kRowwisePortableF32 = kRowwiseOf<float>;

}  // namespace limbeck
