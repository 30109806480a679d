#include "limbeck/text/json_components.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/utf8.h"

#include <map>

namespace limbeck {
namespace {

constexpr size_t kMaxSteps = 64;

// Flattens Sequence; `field` is where its members are.
template <class Visit>
void for_each_component(const JsonNode& node, std::string_view field, Visit&& visit) {
  if (node.type() != "Sequence") return visit(node);
  const JsonNode members = node.at(field);
  if (members.size() > kMaxSteps) {
    members.fail(fmt::format("must have at most {} members", kMaxSteps),
                 std::to_string(members.size()));
  }
  for (size_t i = 0; i < members.size(); ++i) {
    for_each_component(members.at(i), field, visit);
  }
}

std::string read_character(const JsonNode& node) {
  const std::string& text = node.text();
  if (text.empty() || utf8_length(text[0]) != text.size()) {
    node.fail("must be one character", quote(text));
  }
  return text;
}

SplitBehaviour read_behaviour(const JsonNode& node) {
  static const std::map<std::string, SplitBehaviour, std::less<>> kNames = {
      {"Isolated", SplitBehaviour::isolated},
      {"Removed", SplitBehaviour::removed},
      {"MergedWithPrevious", SplitBehaviour::merged_with_previous},
      {"MergedWithNext", SplitBehaviour::merged_with_next},
      {"Contiguous", SplitBehaviour::contiguous}};
  const auto it = kNames.find(node.text());
  if (it == kNames.end()) node.fail("is not supported", quote(node.text()));
  return it->second;
}

// Newer files say prepend_scheme, older ones add_prefix_space.
MetaspaceStep::Prepend read_prepend(const JsonNode& node) {
  using Prepend = MetaspaceStep::Prepend;
  if (!node.has("prepend_scheme")) {
    return node.flag("add_prefix_space", true) ? Prepend::always : Prepend::never;
  }
  const JsonNode scheme = node.at("prepend_scheme");
  if (scheme.text() == "always") return Prepend::always;
  if (scheme.text() == "first") return Prepend::first;
  if (scheme.text() == "never") return Prepend::never;
  scheme.fail("is not supported", quote(scheme.text()));
}

PreTokenizeStep read_pre_tokenize_step(const JsonNode& node) {
  const std::string& type = node.type();
  if (type == "Split") {
    return SplitStep{read_pattern(node.at("pattern")), read_behaviour(node.at("behavior")),
                     node.flag("invert", false)};
  }
  if (type == "ByteLevel") {
    ByteLevelStep step{node.flag("add_prefix_space", true), {}};
    if (node.flag("use_regex", true)) {
      step.regex.push_back(TextPattern::regex(std::string(kGpt2Regex), node.file()));
    }
    return step;
  }
  if (type == "Digits") return DigitsStep{node.flag("individual_digits", false)};
  if (type == "Metaspace") {
    return MetaspaceStep{read_character(node.at("replacement")), read_prepend(node),
                         node.flag("split", true)};
  }
  node.fail("pre-tokenizer is not supported", quote(type));
}

// Decoders act on lists of tokens; what can be done token by token has this order.
class DecoderReader {
 public:
  void read(const JsonNode& node) {
    const std::string& type = node.type();
    if (settings_.byte_level) node.fail("must not follow ByteLevel", quote(type));
    if (type == "ByteLevel") {
      if (!settings_.steps.empty() || settings_.byte_fallback || fused_) {
        node.fail("must stand alone", quote(type));
      }
      settings_.byte_level = true;
    } else if (type == "ByteFallback") {
      if (fused_ || settings_.byte_fallback) node.fail("must come once, before Fuse", quote(type));
      settings_.byte_fallback = true;
    } else if (type == "Fuse") {
      fused_ = true;
    } else if (type == "Strip") {
      read_strip(node);
    } else if (type == "Replace") {
      require_per_token(node);
      settings_.steps.emplace_back(
          DecodeReplace{read_pattern(node.at("pattern")), node.at("content").text()});
    } else if (type == "Metaspace") {
      require_per_token(node);
      settings_.steps.emplace_back(
          DecodeMetaspace{read_character(node.at("replacement")),
                          read_prepend(node) != MetaspaceStep::Prepend::never});
    } else {
      node.fail("decoder is not supported", quote(type));
    }
  }
  DecoderSettings take() { return std::move(settings_); }

 private:
  void require_per_token(const JsonNode& node) const {
    if (fused_ || settings_.byte_fallback) {
      node.fail("decoder is not supported behind ByteFallback or Fuse", quote(node.type()));
    }
  }

  void read_strip(const JsonNode& node) {
    const JsonNode start = node.at("start"), stop = node.at("stop");
    for (const JsonNode* count : {&start, &stop}) {
      if (count->integer() < 0 || count->integer() > 1'000'000) {
        count->fail("must be in [0, 1000000]", std::to_string(count->integer()));
      }
    }
    const DecodeStrip strip{read_character(node.at("content")), start.integer(), stop.integer()};
    if (!fused_) {
      require_per_token(node);
      settings_.steps.emplace_back(strip);
      return;
    }
    if (strip.stop > 0 || settings_.strip_text.start > 0) {
      node.fail("decoder behind Fuse must strip once, at the start only",
                fmt::format("stop {}", strip.stop));
    }
    settings_.strip_text = strip;
  }

  DecoderSettings settings_;
  bool fused_ = false;
};

void read_template(const JsonNode& node, SpecialFrame& frame) {
  const JsonNode single = node.at("single");
  std::vector<TokenId> before, after;
  bool seen = false;
  for (size_t i = 0; i < single.size(); ++i) {
    const JsonNode item = single.at(i);
    if (item.has("Sequence")) {
      const std::string& name = item.at("Sequence").at("id").text();
      if (name != "A" || seen) item.fail("must hold sequence A once", quote(name));
      seen = true;
      continue;
    }
    const std::string& token = item.at("SpecialToken").at("id").text();
    const JsonNode ids = node.at("special_tokens").at(token).at("ids");
    for (size_t k = 0; k < ids.size(); ++k) {
      (seen ? after : before).push_back(read_id(ids.at(k)));
    }
  }
  if (!seen) single.fail("must hold sequence A", "none");
  // A later template of a sequence works on the output of the earlier one.
  frame.prefix.insert(frame.prefix.begin(), before.begin(), before.end());
  frame.suffix.insert(frame.suffix.end(), after.begin(), after.end());
}

}  // namespace

TextPattern read_pattern(const JsonNode& node) {
  if (node.has("String")) return TextPattern::literal(node.at("String").text(), node.file());
  if (node.has("Regex")) return TextPattern::regex(node.at("Regex").text(), node.file());
  node.fail("must be String or Regex", quote(node.value().dump(-1, ' ', true)));
}

std::vector<NormalizeStep> read_normalizer(const JsonNode& node) {
  std::vector<NormalizeStep> steps;
  for_each_component(node, "normalizers", [&](const JsonNode& part) {
    const std::string& type = part.type();
    if (type == "NFC") {
      steps.emplace_back(NfcStep{});
    } else if (type == "Replace") {
      steps.emplace_back(ReplaceStep{read_pattern(part.at("pattern")), part.at("content").text()});
    } else if (type == "Prepend") {
      steps.emplace_back(PrependStep{part.at("prepend").text()});
    } else {
      part.fail("normalizer is not supported", quote(type));
    }
  });
  return steps;
}

std::vector<PreTokenizeStep> read_pre_tokenizer(const JsonNode& node) {
  std::vector<PreTokenizeStep> steps;
  for_each_component(node, "pretokenizers", [&](const JsonNode& part) {
    // ByteLevel changes the alphabet, which the steps behind it would have to know.
    if (!steps.empty() && std::holds_alternative<ByteLevelStep>(steps.back())) {
      part.fail("must not follow ByteLevel", quote(part.type()));
    }
    steps.emplace_back(read_pre_tokenize_step(part));
  });
  return steps;
}

DecoderSettings read_decoder(const JsonNode& node) {
  DecoderReader reader;
  for_each_component(node, "decoders", [&](const JsonNode& part) { reader.read(part); });
  return reader.take();
}

SpecialFrame read_post_processor(const JsonNode& node) {
  SpecialFrame frame;
  for_each_component(node, "processors", [&](const JsonNode& part) {
    const std::string& type = part.type();
    if (type == "TemplateProcessing") {
      read_template(part, frame);
    } else if (type != "ByteLevel") {  // that one only trims offsets
      part.fail("post-processor is not supported", quote(type));
    }
  });
  return frame;
}

TokenId read_id(const JsonNode& node) {
  const int64_t id = node.integer();
  if (id < 0 || id >= kMaxVocabulary) {
    node.fail(fmt::format("must be in [0, {})", kMaxVocabulary), std::to_string(id));
  }
  return static_cast<TokenId>(id);
}

AddedToken read_added_token(const JsonNode& node, int64_t id) {
  if (id < 0 || id >= kMaxVocabulary) {
    node.fail(fmt::format("must have an id in [0, {})", kMaxVocabulary), std::to_string(id));
  }
  AddedToken token;
  token.id = static_cast<TokenId>(id);
  token.content = node.at("content").text();
  token.single_word = node.flag("single_word", false);
  token.lstrip = node.flag("lstrip", false);
  token.rstrip = node.flag("rstrip", false);
  token.special = node.flag("special", false);
  token.normalized = node.flag("normalized", !token.special);
  return token;
}

}  // namespace limbeck
