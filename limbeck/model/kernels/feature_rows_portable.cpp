#include "limbeck/model/kernels/feature_rows_loop.h"

namespace limbeck {

const FeatureKernels kFeaturesPortable = kFeatures;

}  // namespace limbeck
