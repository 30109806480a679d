/// Small tokenizers for tests, written by hand.
#pragma once

#include "limbeck/text/byte_level.h"
#include "limbeck/text/tokenizer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace limbeck::test {

/// All 256 byte characters as ids 0-255 by byte, then the results of the merges from 256 on.
inline nlohmann::json byte_level_json(
    const std::vector<std::pair<std::string, std::string>>& merges) {
  nlohmann::json vocab = nlohmann::json::object(), list = nlohmann::json::array();
  for (size_t byte = 0; byte < 256; ++byte) vocab[byte_level_chars()[byte]] = byte;
  for (const auto& [left, right] : merges) {
    if (!vocab.contains(left + right)) vocab[left + right] = vocab.size();
    list.push_back(left + " " + right);
  }
  return {
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"added_tokens", nlohmann::json::array()}};
}

/// he 256, ll 257, hell 258, hello 259, Ġhello 260, then <|im_end|> 261 (special), <think> 262
/// (not).
inline nlohmann::json sample_json() {
  nlohmann::json json =
      byte_level_json({{"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {"\xC4\xA0", "hello"}});
  json["added_tokens"] = {
      {{"id", 261}, {"content", "<|im_end|>"}, {"special", true}, {"normalized", false}},
      {{"id", 262}, {"content", "<think>"}, {"special", false}, {"normalized", false}}};
  return json;
}

inline Tokenizer load(const nlohmann::json& json) {
  return Tokenizer::from_json(json.dump(), "sample.json");
}

/// Gemma's kind: characters, byte fallback, U+2581 for spaces. <unk> 0, bytes 1-256, then the rest.
inline nlohmann::json character_json() {
  nlohmann::json vocab = {{"<unk>", 0}};
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = byte + 1;
  for (const char* text : {"\xE2\x96\x81", "a", "b", "ab",
                           "\xE2\x96\x81"
                           "ab",
                           "\n"}) {
    vocab[text] = vocab.size();
  }
  return {{"normalizer",
           {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\xE2\x96\x81"}}},
          {"pre_tokenizer",
           {{"type", "Split"},
            {"pattern", {{"String", " "}}},
            {"behavior", "MergedWithPrevious"},
            {"invert", false}}},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", "\xE2\x96\x81"}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}}}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"byte_fallback", true},
            {"fuse_unk", true},
            {"vocab", vocab},
            {"merges", {"a b", "\xE2\x96\x81 ab"}}}}};
}

}  // namespace limbeck::test
