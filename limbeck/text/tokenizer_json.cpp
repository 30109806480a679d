#include "limbeck/base/error.h"
#include "limbeck/io/json.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/json_components.h"
#include "limbeck/text/tokenizer_definition.h"

#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

using nlohmann::json;

std::vector<Vocabulary::Entry> read_vocabulary(const JsonNode& node) {
  std::vector<Vocabulary::Entry> entries;
  entries.reserve(node.object().size());
  for (const auto& [text, id] : node.object().items()) {
    if (!id.is_number_integer() || id.is_number_float()) {
      node.fail("must map texts to integers", quote(text));
    }
    // An id beyond 63 bits turns negative here and is refused with the rest.
    entries.emplace_back(text, id.get<int64_t>());
  }
  return entries;
}

std::vector<MergeRule> read_merges(const JsonNode& node, const Vocabulary& vocabulary) {
  MergeResolver resolver(vocabulary, node.file());
  for (size_t i = 0; i < node.size(); ++i) {
    const json& merge = node.value()[i];
    if (merge.is_string()) {
      resolver.add_line(merge.get_ref<const std::string&>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      resolver.add(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
    } else {
      node.at(i).fail("must be \"a b\" or [\"a\", \"b\"]", merge.type_name());
    }
  }
  return resolver.take();
}

// Files of before 2020 name no type.
void check_type(const JsonNode& model) {
  if (!model.has("type")) {
    if (!model.has("merges")) model.at("type");
    return;
  }
  if (model.type() != "BPE") model.at("type").fail("is not supported", quote(model.type()));
}

void refuse_unsupported(const JsonNode& model) {
  for (std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.has(key) && !model.at(key).text().empty()) {
      model.at(key).fail("is not supported", quote(model.at(key).text()));
    }
  }
  if (model.has("dropout")) {
    const json& dropout = model.at("dropout").value();
    if (!dropout.is_number() || dropout.get<double>() != 0) {
      model.at("dropout").fail("is not supported", quote(dropout.dump(-1, ' ', true)));
    }
  }
}

std::unique_ptr<const PieceModel> read_model(const JsonNode& model, bool byte_level) {
  check_type(model);
  refuse_unsupported(model);
  Vocabulary vocabulary(read_vocabulary(model.at("vocab")), model.file());
  BpeOptions options;
  options.byte_level = byte_level;
  options.ignore_merges = model.flag("ignore_merges", false);
  options.byte_fallback = model.flag("byte_fallback", false);
  options.fuse_unk = model.flag("fuse_unk", false);
  if (model.has("unk_token")) {
    const std::string& unk = model.at("unk_token").text();
    options.unk = vocabulary.find(unk);
    if (!options.unk) {
      model.at("unk_token").fail("must be a token of the vocabulary", quote(unk));
    }
  }
  auto rules = read_merges(model.at("merges"), vocabulary);
  return std::make_unique<BpeModel>(std::move(vocabulary), std::move(rules), options);
}

TokenizerDefinition define(const JsonNode& root, const std::string& name) {
  TokenizerDefinition definition;
  definition.name = name;
  if (root.has("normalizer")) {
    definition.normalizer = Normalizer(read_normalizer(root.at("normalizer")));
  }
  if (root.has("pre_tokenizer")) {
    definition.pre_tokenizer = PreTokenizer(read_pre_tokenizer(root.at("pre_tokenizer")));
  }
  definition.model = read_model(root.at("model"), definition.pre_tokenizer.byte_level());
  if (root.has("added_tokens")) {
    const JsonNode added = root.at("added_tokens");
    for (size_t i = 0; i < added.size(); ++i) {
      const JsonNode token = added.at(i);
      definition.added.push_back(read_added_token(token, token.at("id").integer()));
    }
  }
  if (root.has("post_processor")) {
    SpecialFrame frame = read_post_processor(root.at("post_processor"));
    definition.prefix = std::move(frame.prefix);
    definition.suffix = std::move(frame.suffix);
  }
  definition.decoder.join_with_spaces = !root.has("decoder");
  if (root.has("decoder")) definition.decoder = read_decoder(root.at("decoder"));
  return definition;
}

}  // namespace

TokenizerDefinition define_from_json(std::string_view text, std::string name) {
  JsonLimits limits;
  limits.max_bytes = 512'000'000;
  limits.max_values = 16'000'000;
  try {
    const json document = parse_json(text, fmt::format("[tokenizer] {}", name), limits);
    return define(JsonNode(document, "", name), name);
  } catch (const json::exception& error) {
    // Every access is checked; this keeps the library's promise should one be forgotten.
    throw FormatError("[tokenizer] {}: must have the form of a tokenizer.json; found error {}",
                      name, error.id);
  }
}

}  // namespace limbeck
