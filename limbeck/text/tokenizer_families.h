/// Splitting rules by name, for sources that only name them: vocab.json with merges.txt
/// (model_type) and GGUF (`tokenizer.ggml.pre`).
#pragma once

#include "limbeck/text/tokenizer_definition.h"

#include <optional>
#include <string_view>

namespace limbeck {

/// The rules of a family of byte-level tokenizers.
struct FamilyRules {
  std::vector<NormalizeStep> normalizer;
  std::vector<PreTokenizeStep> pre_tokenizer;
  bool ignore_merges = false;
  bool adds_bos = false;  ///< where the file does not say
};

/// Empty for unknown names. Known: gpt-2, smollm, qwen2, llama-bpe, and their aliases.
std::optional<FamilyRules> family_rules(std::string_view name);

}  // namespace limbeck
