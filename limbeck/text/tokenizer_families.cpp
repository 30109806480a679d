#include "limbeck/text/tokenizer_families.h"

#include <map>
#include <string>

namespace limbeck {
namespace {

constexpr std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

TextPattern splitter(std::string_view regex) {
  return TextPattern::regex(std::string(regex), "splitting rules");
}

FamilyRules gpt2_rules() {
  FamilyRules rules;
  rules.pre_tokenizer.emplace_back(ByteLevelStep{false, {splitter(kGpt2Regex)}});
  return rules;
}

FamilyRules smollm_rules() {
  FamilyRules rules;
  rules.pre_tokenizer.emplace_back(DigitsStep{true});
  rules.pre_tokenizer.emplace_back(ByteLevelStep{false, {splitter(kGpt2Regex)}});
  return rules;
}

FamilyRules split_rules(std::string_view regex) {
  FamilyRules rules;
  rules.pre_tokenizer.emplace_back(SplitStep{splitter(regex), SplitBehaviour::isolated, false});
  rules.pre_tokenizer.emplace_back(ByteLevelStep{});
  return rules;
}

FamilyRules qwen2_rules() {
  FamilyRules rules = split_rules(kQwen2Regex);
  rules.normalizer.emplace_back(NfcStep{});
  return rules;
}

FamilyRules llama3_rules() {
  FamilyRules rules = split_rules(kLlama3Regex);
  rules.ignore_merges = true;
  rules.adds_bos = true;
  return rules;
}

}  // namespace

std::optional<FamilyRules> family_rules(std::string_view name) {
  static const std::map<std::string, FamilyRules (*)(), std::less<>> kFamilies = {
      {"gpt-2", gpt2_rules},      {"gpt2", gpt2_rules},        {"smollm", smollm_rules},
      {"qwen2", qwen2_rules},     {"qwen2_moe", qwen2_rules},  {"qwen3", qwen2_rules},
      {"qwen3_moe", qwen2_rules}, {"llama-bpe", llama3_rules}, {"llama3", llama3_rules},
      {"llama-v3", llama3_rules},
  };
  const auto it = kFamilies.find(name);
  if (it == kFamilies.end()) return std::nullopt;
  return it->second();
}

}  // namespace limbeck
