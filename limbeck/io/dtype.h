/// Element types of stored tensors, without torch.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace limbeck {

/// Types that our files hold; names are those of safetensors.
enum class DType : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

/// Bytes of one element.
constexpr int64_t dtype_size(DType type) {
  switch (type) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::f16:
    case DType::bf16:
    case DType::i16: return 2;
    case DType::i8:
    case DType::u8:
    case DType::boolean: return 1;
  }
  return 0;
}

/// "F32", "BF16", ...
std::string_view dtype_name(DType type);
/// The inverse; empty when the name is none of ours (FP8 and the like).
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace limbeck
