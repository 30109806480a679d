#include "limbeck/base/error.h"
#include "limbeck/io/json.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/json_components.h"
#include "limbeck/text/tokenizer_families.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>

namespace limbeck {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uintmax_t kMaxFileBytes = 512'000'000;
constexpr int64_t kLlama3Tokens = 128'000;

std::optional<fs::path> first_existing(const fs::path& folder,
                                       std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    std::error_code ignored;
    if (fs::is_regular_file(folder / name, ignored)) return folder / name;
  }
  return std::nullopt;
}

// A JSON file of the folder together with the name that errors give it.
struct Document {
  std::string name;
  json value = json::object();
  JsonNode root() const { return {value, "", name}; }
};

Document read_document(const fs::path& path) {
  Document document{path.string(), {}};
  JsonLimits limits;
  limits.max_bytes = static_cast<int64_t>(kMaxFileBytes);
  document.value =
      parse_json(read_text_file(path), fmt::format("[tokenizer] {}", document.name), limits);
  document.root().object();
  return document;
}

Document read_optional(const fs::path& folder, std::string_view name) {
  const auto path = first_existing(folder, {name});
  return path ? read_document(*path) : Document{(folder / name).string(), json::object()};
}

// Configurations write a token as its text or as an object with `content`.
std::optional<std::string> token_field(const JsonNode& root, std::string_view key) {
  if (!root.has(key)) return std::nullopt;
  const JsonNode node = root.at(key);
  return node.is_text() ? node.text() : node.at("content").text();
}

std::vector<Vocabulary::Entry> read_entries(const JsonNode& root) {
  std::vector<Vocabulary::Entry> entries;
  for (const auto& [text, id] : root.object().items()) {
    entries.emplace_back(text, JsonNode(id, quote(text), root.file()).integer());
  }
  return entries;
}

std::vector<MergeRule> read_merges(const fs::path& path, const Vocabulary& vocabulary) {
  const std::string text = read_text_file(path);
  const std::string name = path.string();
  MergeResolver resolver(vocabulary, name);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    // Only the first line is a heading; "#version" could be a merge further down.
    const bool heading = begin == 0 && line.starts_with("#version");
    if (!line.empty() && !heading) resolver.add_line(line);
    begin = end + 1;
  }
  return resolver.take();
}

// Texts that the configuration files call special, for added tokens listed without flags.
std::set<std::string> special_texts(const Document& config, const Document& map) {
  std::set<std::string> texts;
  for (const Document* document : {&config, &map}) {
    const JsonNode root = document->root();
    for (std::string_view key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
      if (const auto text = token_field(root, key)) texts.insert(*text);
    }
    if (!root.has("additional_special_tokens")) continue;
    const JsonNode list = root.at("additional_special_tokens");
    for (size_t i = 0; i < list.size(); ++i) {
      const JsonNode item = list.at(i);
      texts.insert(item.is_text() ? item.text() : item.at("content").text());
    }
  }
  return texts;
}

int64_t parse_id(const JsonNode& node, const std::string& key) {
  int64_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size()) {
    node.fail("must have ids as keys", quote(key));
  }
  return id;
}

std::vector<AddedToken> read_added(const fs::path& folder, const Document& config,
                                   const Document& map) {
  std::vector<AddedToken> tokens;
  if (config.root().has("added_tokens_decoder")) {
    const JsonNode table = config.root().at("added_tokens_decoder");
    for (const auto& [key, value] : table.object().items()) {
      tokens.push_back(read_added_token(table.at(key), parse_id(table, key)));
    }
  }
  const Document listed = read_optional(folder, "added_tokens.json");
  const std::set<std::string> special = special_texts(config, map);
  for (const auto& [text, id] : listed.value.items()) {
    const bool known =
        std::any_of(tokens.begin(), tokens.end(),
                    [&, &content = text](const auto& t) { return t.content == content; });
    if (known) continue;
    AddedToken token;
    token.content = text;
    token.id = read_id(JsonNode(id, quote(text), listed.name));
    token.special = special.contains(text);
    tokens.push_back(std::move(token));
  }
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return tokens;
}

// "llama" is the model_type of models with very different tokenizers.
FamilyRules rules_for(std::string_view family, const Vocabulary& vocabulary,
                      const std::string& name) {
  if (family == "llama" && vocabulary.size() == kLlama3Tokens) family = "llama3";
  auto rules = family_rules(family);
  if (!rules) {
    throw FormatError(
        "[tokenizer] {}: without tokenizer.json the family must be gpt2, smollm, qwen2, "
        "qwen3 or llama3; found {} with {} tokens",
        name, quote(family), vocabulary.size());
  }
  return std::move(*rules);
}

std::optional<TokenId> find_text(const TokenizerDefinition& definition, std::string_view text) {
  for (const AddedToken& token : definition.added) {
    if (token.content == text) return token.id;
  }
  return definition.model->vocabulary().find(text);
}

void add_eos(TokenizerDefinition& definition, const Document& config, const Document& map) {
  for (const Document* document : {&config, &map}) {
    const auto text = token_field(document->root(), "eos_token");
    const auto id = text ? find_text(definition, *text) : std::nullopt;
    if (id &&
        std::find(definition.eos.begin(), definition.eos.end(), *id) == definition.eos.end()) {
      definition.eos.push_back(*id);
    }
  }
}

TokenizerDefinition define_from_lists(const fs::path& folder, std::string_view family,
                                      const Document& config, const Document& map) {
  const auto vocab_path = first_existing(folder, {"vocab.json", "encoder.json"});
  const auto merges_path = first_existing(folder, {"merges.txt", "vocab.bpe"});
  if (!vocab_path || !merges_path) {
    throw ResourceError(
        "[tokenizer] {}: needs tokenizer.json, or vocab.json with merges.txt; found {}",
        folder.string(),
        vocab_path    ? "no merges.txt"
        : merges_path ? "no vocab.json"
                      : "none of them");
  }
  TokenizerDefinition definition;
  definition.name = vocab_path->string();
  const Document entries = read_document(*vocab_path);
  Vocabulary vocabulary(read_entries(entries.root()), definition.name);
  FamilyRules rules = rules_for(family, vocabulary, definition.name);
  auto merges = read_merges(*merges_path, vocabulary);
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = rules.ignore_merges;
  definition.model = std::make_unique<BpeModel>(std::move(vocabulary), std::move(merges), options);
  definition.normalizer = Normalizer(std::move(rules.normalizer));
  definition.pre_tokenizer = PreTokenizer(std::move(rules.pre_tokenizer));
  definition.decoder.byte_level = true;
  definition.added = read_added(folder, config, map);
  const JsonNode root = config.root();
  const auto bos = token_field(root, "bos_token");
  if (bos && root.flag("add_bos_token", rules.adds_bos)) {
    const auto id = find_text(definition, *bos);
    if (!id) root.at("bos_token").fail("must be a token", quote(*bos));
    definition.prefix.push_back(*id);
  }
  return definition;
}

}  // namespace

std::string read_text_file(const fs::path& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) {
    throw ResourceError("[tokenizer] {}: must be readable; found {}", path.string(),
                        error.message());
  }
  if (size > kMaxFileBytes) {
    throw ResourceError("[tokenizer] {}: must have at most {} bytes; found {}", path.string(),
                        kMaxFileBytes, size);
  }
  std::string text(static_cast<size_t>(size), '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), static_cast<std::streamsize>(size))) {
    throw ResourceError("[tokenizer] {}: must be readable; found an error after {} of {} bytes",
                        path.string(), file.gcount(), size);
  }
  return text;
}

TokenizerDefinition define_from_folder(const fs::path& folder, std::string_view family) {
  const Document config = read_optional(folder, "tokenizer_config.json");
  const Document map = read_optional(folder, "special_tokens_map.json");
  const auto path = first_existing(folder, {"tokenizer.json"});
  TokenizerDefinition definition = path ? define_from_json(read_text_file(*path), path->string())
                                        : define_from_lists(folder, family, config, map);
  add_eos(definition, config, map);
  return definition;
}

}  // namespace limbeck
