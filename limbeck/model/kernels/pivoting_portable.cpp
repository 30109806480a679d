// For processors without AVX2; the other files of this name compile the same source.
#include "limbeck/model/kernels/pivoting_loop.h"

namespace limbeck {

const PivotKernels kPivotPortable = kPivot;

}  // namespace limbeck
