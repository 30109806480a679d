// The same source as pivoting_portable.cpp, compiled with AVX-512 flags.
#include "limbeck/model/kernels/pivoting_loop.h"

namespace limbeck {

const PivotKernels kPivotAvx512 = kPivot;

}  // namespace limbeck
