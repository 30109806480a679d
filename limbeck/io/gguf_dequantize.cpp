// The block formats. Every loop has a fixed trip count and no branches, so that the compiler turns
// it into vector code; the order of the operations is the format's, which makes results
// bit-identical to the reference. The build switches contraction off for this file: a fused
// multiply-add rounds once.
#include "limbeck/base/error.h"
#include "limbeck/io/gguf.h"
#include "limbeck/io/quote.h"

#include <bit>
#include <cstring>

namespace limbeck {
namespace {

constexpr int64_t kSmall = 32;   // weights of a plain block
constexpr int64_t kSuper = 256;  // weights of a super-block

/// Branch-free, so that loops over it vectorise; exact for subnormals too. Infinities and NaNs keep
/// their payload.
inline float half_to_float(uint16_t half) {
  constexpr uint32_t kExponent = 0x7C00u << 13;
  constexpr uint32_t kSmallestNormal = 113u << 23;  // 2^-14
  const uint32_t shifted = (half & 0x7FFFu) << 13;
  const uint32_t exponent = shifted & kExponent;
  const uint32_t rebased = shifted + (112u << 23);
  const uint32_t infinite = rebased + (112u << 23);
  const float subnormal =
      std::bit_cast<float>(shifted + kSmallestNormal) - std::bit_cast<float>(kSmallestNormal);
  uint32_t bits = exponent == kExponent ? infinite : rebased;
  bits = exponent == 0 ? std::bit_cast<uint32_t>(subnormal) : bits;
  return std::bit_cast<float>(bits | (half & 0x8000u) << 16);
}

template <class T>
inline T load(const uint8_t* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

inline float load_half(const uint8_t* in) { return half_to_float(load<uint16_t>(in)); }

// --- plain types: `count` values
// -------------------------------------------------------------------

void expand_f32(const uint8_t* in, float* out, int64_t count) {
  std::memcpy(out, in, static_cast<size_t>(count) * sizeof(float));
}

void expand_f16(const uint8_t* in, float* __restrict out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = load_half(in + 2 * i);
}

void expand_bf16(const uint8_t* in, float* __restrict out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(in + 2 * i)) << 16);
  }
}

// --- blocks of 32: `count` blocks
// ------------------------------------------------------------------ Low nibbles are the first 16
// weights, high nibbles the rest.

void expand_q4_0(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 18, out += kSmall) {
    const float d = load_half(in);
    const uint8_t* nibbles = in + 2;
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>((nibbles[i] & 0xF) - 8);
      out[i + 16] = d * static_cast<float>((nibbles[i] >> 4) - 8);
    }
  }
}

void expand_q4_1(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 20, out += kSmall) {
    const float d = load_half(in), m = load_half(in + 2);
    const uint8_t* nibbles = in + 4;
    for (int i = 0; i < 16; ++i) {
      out[i] = d * static_cast<float>(nibbles[i] & 0xF) + m;
      out[i + 16] = d * static_cast<float>(nibbles[i] >> 4) + m;
    }
  }
}

/// Joins nibbles and fifth bits of a Q5_0 or Q5_1 block to values 0..31.
inline void join_fifth_bits(const uint8_t* fifth, const uint8_t* nibbles, int32_t* values) {
  const auto bits = load<uint32_t>(fifth);
  // A multiplication spreads four bits over the lowest bits of four bytes: baseline vector units
  // have no shift whose distance differs between lanes.
  uint8_t high[kSmall];
  for (int i = 0; i < 8; ++i) {
    const uint32_t spread = ((bits >> (4 * i) & 0xF) * 0x00204081u) & 0x01010101u;
    std::memcpy(high + 4 * i, &spread, sizeof spread);
  }
  for (int i = 0; i < 16; ++i) {
    values[i] = (nibbles[i] & 0xF) | high[i] << 4;
    values[i + 16] = (nibbles[i] >> 4) | high[i + 16] << 4;
  }
}

void expand_q5_0(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 22, out += kSmall) {
    const float d = load_half(in);
    int32_t values[kSmall];
    join_fifth_bits(in + 2, in + 6, values);
    for (int i = 0; i < kSmall; ++i) out[i] = d * static_cast<float>(values[i] - 16);
  }
}

void expand_q5_1(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 24, out += kSmall) {
    const float d = load_half(in), m = load_half(in + 2);
    int32_t values[kSmall];
    join_fifth_bits(in + 4, in + 8, values);
    for (int i = 0; i < kSmall; ++i) out[i] = d * static_cast<float>(values[i]) + m;
  }
}

void expand_q8_0(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 34, out += kSmall) {
    const float d = load_half(in);
    for (int i = 0; i < kSmall; ++i) {
      out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
    }
  }
}

// --- super-blocks of 256: `count` blocks
// -----------------------------------------------------------

/// Scale and minimum of eight groups of 32 weights, 6 bits each, as Q4_K and Q5_K pack them: the
/// first four in the low bits of bytes 0-3 and 4-7; the others' low halves in bytes 8-11, their top
/// bits in the top bits of bytes 0-7.
struct GroupScales {
  float scale[8], minimum[8];

  GroupScales(const uint8_t* block) {
    const float d = load_half(block), dmin = load_half(block + 2);
    const uint8_t* packed = block + 4;
    for (int i = 0; i < 4; ++i) {
      const uint8_t a = packed[i], b = packed[i + 4], c = packed[i + 8];
      scale[i] = d * static_cast<float>(a & 0x3F);
      minimum[i] = dmin * static_cast<float>(b & 0x3F);
      scale[i + 4] = d * static_cast<float>((c & 0xF) | (a >> 2 & 0x30));
      minimum[i + 4] = dmin * static_cast<float>((c >> 4) | (b >> 2 & 0x30));
    }
  }
};

void expand_q4_k(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 144, out += kSuper) {
    const GroupScales groups(in);
    for (int g = 0; g < 8; g += 2) {
      const uint8_t* nibbles = in + 16 + 16 * g;
      float* low = out + 32 * g;
      const float d0 = groups.scale[g], m0 = groups.minimum[g];
      const float d1 = groups.scale[g + 1], m1 = groups.minimum[g + 1];
      for (int i = 0; i < 32; ++i) low[i] = d0 * static_cast<float>(nibbles[i] & 0xF) - m0;
      for (int i = 0; i < 32; ++i) low[i + 32] = d1 * static_cast<float>(nibbles[i] >> 4) - m1;
    }
  }
}

/// Bit g of byte i of `fifth` is the top bit of weight i of group g.
void expand_q5_k(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 176, out += kSuper) {
    const GroupScales groups(in);
    const uint8_t* fifth = in + 16;
    for (int g = 0; g < 8; g += 2) {
      const uint8_t* nibbles = in + 48 + 16 * g;
      float* low = out + 32 * g;
      const float d0 = groups.scale[g], m0 = groups.minimum[g];
      const float d1 = groups.scale[g + 1], m1 = groups.minimum[g + 1];
      for (int i = 0; i < 32; ++i) {
        const int value = (nibbles[i] & 0xF) | (fifth[i] >> g & 1) << 4;
        low[i] = d0 * static_cast<float>(value) - m0;
      }
      for (int i = 0; i < 32; ++i) {
        const int value = (nibbles[i] >> 4) | (fifth[i] >> (g + 1) & 1) << 4;
        low[i + 32] = d1 * static_cast<float>(value) - m1;
      }
    }
  }
}

/// Two halves of 128 weights; a half has four groups of 32, whose low four bits sit in the low
/// nibbles of 64 bytes, then in the high ones, and whose top two bits share 32 bytes. A scale
/// covers 16 weights.
void expand_q6_k(const uint8_t* in, float* __restrict out, int64_t count) {
  for (; count > 0; --count, in += 210, out += kSuper) {
    const float d = load_half(in + 208);
    for (int group = 0; group < 8; ++group) {
      const int half = group / 4, part = group % 4;
      const uint8_t* low = in + 64 * half + 32 * (part % 2);
      const uint8_t* high = in + 128 + 32 * half;
      const int low_shift = part / 2 * 4, high_shift = 2 * part;
      for (int s = 0; s < 2; ++s) {
        const auto scale = static_cast<int8_t>(in[192 + 2 * group + s]);
        const float step = d * static_cast<float>(scale);
        float* target = out + 32 * group + 16 * s;
        for (int i = 0; i < 16; ++i) {
          const int value =
              (low[16 * s + i] >> low_shift & 0xF) | (high[16 * s + i] >> high_shift & 3) << 4;
          target[i] = step * static_cast<float>(value - 32);
        }
      }
    }
  }
}

using Expand = void (*)(const uint8_t* in, float* out, int64_t count);

Expand find_expand(GgufType type) {
  switch (type) {
    case GgufType::f32: return expand_f32;
    case GgufType::f16: return expand_f16;
    case GgufType::bf16: return expand_bf16;
    case GgufType::q4_0: return expand_q4_0;
    case GgufType::q4_1: return expand_q4_1;
    case GgufType::q5_0: return expand_q5_0;
    case GgufType::q5_1: return expand_q5_1;
    case GgufType::q8_0: return expand_q8_0;
    case GgufType::q4_k: return expand_q4_k;
    case GgufType::q5_k: return expand_q5_k;
    case GgufType::q6_k: return expand_q6_k;
  }
  return nullptr;
}

}  // namespace

void gguf_dequantize(const GgufTensor& tensor, int64_t begin, int64_t end, std::span<float> out) {
  const Expand expand = find_expand(tensor.type);
  if (expand == nullptr) {
    throw InvalidArgument("[gguf_dequantize] tensor {}: type must be a supported one; found {}",
                          quote(tensor.name), static_cast<uint32_t>(tensor.type));
  }
  const int64_t elements = gguf_block_elements(tensor.type);
  const int64_t bytes = gguf_block_bytes(tensor.type);
  const int64_t stored = static_cast<int64_t>(tensor.data.size()) / bytes * elements;
  if (begin < 0 || begin > end || end > stored || begin % elements != 0 || end % elements != 0) {
    throw InvalidArgument(
        "[gguf_dequantize] tensor {}: range must lie in 0..{} at multiples of {}; found {}..{}",
        quote(tensor.name), stored, elements, begin, end);
  }
  if (static_cast<int64_t>(out.size()) != end - begin) {
    throw InvalidArgument("[gguf_dequantize] tensor {}: output must hold {} values; found {}",
                          quote(tensor.name), end - begin, out.size());
  }
  if (begin == end) return;
  const auto* in = reinterpret_cast<const uint8_t*>(tensor.data.data());
  expand(in + begin / elements * bytes, out.data(), (end - begin) / elements);
}

}  // namespace limbeck
