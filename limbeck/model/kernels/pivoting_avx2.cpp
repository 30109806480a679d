// The same source as pivoting_portable.cpp, compiled with AVX2 flags.
#include "limbeck/model/kernels/pivoting_loop.h"

namespace limbeck {

const PivotKernels kPivotAvx2 = kPivot;

}  // namespace limbeck
