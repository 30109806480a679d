// The same source as feature_rows_portable.cpp, compiled with AVX-512 flags.
#include "limbeck/model/kernels/feature_rows_loop.h"

namespace limbeck {

const FeatureKernels kFeaturesAvx512 = kFeatures;

}  // namespace limbeck
