// Stands in for the *_avx2.cpp and *_avx512.cpp files on other processor families.
#include "limbeck/model/kernels/attention_slice.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/feature_rows_loop.h"
#include "limbeck/model/kernels/float_products.h"
#include "limbeck/model/kernels/linear_block.h"
#include "limbeck/model/kernels/linear_range.h"
#include "limbeck/model/kernels/pivoting_loop.h"
#include "limbeck/model/kernels/rowwise_rows.h"
#include "limbeck/model/kernels/softmax_block.h"
#include "limbeck/model/kernels/tile_product.h"

namespace limbeck {

bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }  // so the tables below are never looked at
bool cpu_has_bf16_dot() { return false; }
bool torch_multiplies_bf16() { return true; }

const SliceKernels kSliceAvx2{}, kSliceAvx512{};
const FeatureKernels kFeaturesAvx2{}, kFeaturesAvx512{};
const FloatProductKernels kFloatProductsAvx2{}, kFloatProductsAvx512{};
const LinearBlockKernels kLinearBlockAvx2{};
const LinearKernels kLinearAvx2{}, kLinearAvx512{};
const PivotKernels kPivotAvx2{}, kPivotAvx512{};
const RowwiseKernels kRowwiseAvx2Bf16{}, kRowwiseAvx2F32{}, kRowwiseAvx512Bf16{},
    kRowwiseAvx512F32{};
const TileKernel kTileAvx2 = nullptr, kTileAvx512 = nullptr, kTileBf16Dot = nullptr;
void tile_pack_avx2(const Bf16*, int64_t, int64_t, int64_t, int64_t, float*) {}
void softmax_block_avx2(const SoftmaxBlock& block) { softmax_block_portable(block); }
void softmax_block_avx512(const SoftmaxBlock& block) { softmax_block_portable(block); }

}  // namespace limbeck
