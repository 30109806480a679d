#include "limbeck/io/gguf_types.h"

#include <array>

namespace limbeck {
namespace {

struct TypeFacts {
  GgufType type;
  std::string_view name;
  int64_t elements;  // a block
  int64_t bytes;     // a block
};

constexpr std::array<TypeFacts, 11> kTypes{{
    {GgufType::f32, "F32", 1, 4},
    {GgufType::f16, "F16", 1, 2},
    {GgufType::q4_0, "Q4_0", 32, 18},
    {GgufType::q4_1, "Q4_1", 32, 20},
    {GgufType::q5_0, "Q5_0", 32, 22},
    {GgufType::q5_1, "Q5_1", 32, 24},
    {GgufType::q8_0, "Q8_0", 32, 34},
    {GgufType::q4_k, "Q4_K", 256, 144},
    {GgufType::q5_k, "Q5_K", 256, 176},
    {GgufType::q6_k, "Q6_K", 256, 210},
    {GgufType::bf16, "BF16", 1, 2},
}};

const TypeFacts* find_facts(GgufType type) {
  for (const TypeFacts& facts : kTypes) {
    if (facts.type == type) return &facts;
  }
  return nullptr;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  const TypeFacts* facts = find_facts(type);
  return facts != nullptr ? facts->name : "?";
}

int64_t gguf_block_elements(GgufType type) {
  const TypeFacts* facts = find_facts(type);
  return facts != nullptr ? facts->elements : 0;
}

int64_t gguf_block_bytes(GgufType type) {
  const TypeFacts* facts = find_facts(type);
  return facts != nullptr ? facts->bytes : 0;
}

std::optional<GgufType> gguf_type_from_number(uint32_t number) {
  const TypeFacts* facts = find_facts(static_cast<GgufType>(number));
  return facts != nullptr ? std::optional(facts->type) : std::nullopt;
}

std::string_view gguf_unsupported_type_name(uint32_t number) {
  switch (number) {
    case 9: return "Q8_1";
    case 10: return "Q2_K";
    case 11: return "Q3_K";
    case 15: return "Q8_K";
    case 16: return "IQ2_XXS";
    case 17: return "IQ2_XS";
    case 18: return "IQ3_XXS";
    case 19: return "IQ1_S";
    case 20: return "IQ4_NL";
    case 21: return "IQ3_S";
    case 22: return "IQ2_S";
    case 23: return "IQ4_XS";
    case 24: return "I8";
    case 25: return "I16";
    case 26: return "I32";
    case 27: return "I64";
    case 28: return "F64";
    case 29: return "IQ1_M";
    case 34: return "TQ1_0";
    case 35: return "TQ2_0";
    case 39: return "MXFP4";
    case 40: return "NVFP4";
    case 41: return "Q1_0";
    default: return "unknown";
  }
}

}  // namespace limbeck
