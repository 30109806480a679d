// Stands in for the *_avx512.cpp files where the compiler or the processor family has no AVX-512.
#include "limbeck/model/kernels/attention_slice.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/kernels/float_products.h"
#include "limbeck/model/kernels/linear_range.h"
#include "limbeck/model/kernels/rowwise_rows.h"
#include "limbeck/model/kernels/softmax_block.h"
#include "limbeck/model/kernels/tile_product.h"

namespace limbeck {

bool cpu_has_avx512() { return false; }  // so the tables below are never looked at
bool cpu_has_bf16_dot() { return false; }

const SliceKernels kSliceAvx512{};
const FloatProductKernels kFloatProductsAvx512{};
const LinearKernels kLinearAvx512{};
const RowwiseKernels kRowwiseAvx512Bf16{}, kRowwiseAvx512F32{};
const TileKernel kTileAvx512 = nullptr, kTileBf16Dot = nullptr;
void softmax_block_avx512(const SoftmaxBlock& block) { softmax_block_portable(block); }

}  // namespace limbeck
