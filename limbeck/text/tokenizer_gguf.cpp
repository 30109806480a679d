#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/score_bpe.h"
#include "limbeck/text/tokenizer_families.h"
#include "limbeck/text/utf8.h"

#include <algorithm>

namespace limbeck {
namespace {

// The format's token types.
enum TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

template <class T>
const T& require(const T* list, std::string_view key, const std::string& name) {
  if (list == nullptr) throw FormatError("[tokenizer] {}: {} is required; found none", name, key);
  return *list;
}

struct TokenTable {
  const std::vector<std::string>& texts;
  std::vector<int64_t> types;
};

TokenTable read_tokens(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.tokens";
  TokenTable table{require(file.texts(kKey), kKey, file.name()), {}};
  const size_t count = table.texts.size();
  if (static_cast<int64_t>(count) > kMaxVocabulary) {
    throw FormatError("[tokenizer] {}: {} must have at most {} tokens; found {}", file.name(), kKey,
                      kMaxVocabulary, count);
  }
  for (size_t id = 0; id < count; ++id) {
    if (find_invalid_utf8(table.texts[id])) {
      throw FormatError("[tokenizer] {}: {} must be UTF-8; found {} at {}", file.name(), kKey,
                        quote(table.texts[id]), id);
    }
  }
  const auto* types = file.integers("tokenizer.ggml.token_type");
  table.types = types != nullptr ? *types : std::vector<int64_t>(count, kNormal);
  if (table.types.size() != count) {
    throw FormatError(
        "[tokenizer] {}: tokenizer.ggml.token_type must have one entry a token; found {} "
        "for {}",
        file.name(), table.types.size(), count);
  }
  return table;
}

bool is_special_type(int64_t type) { return type == kControl || type == kUnknown; }

std::vector<AddedToken> added_tokens(const TokenTable& table) {
  std::vector<AddedToken> tokens;
  for (size_t id = 0; id < table.texts.size(); ++id) {
    const int64_t type = table.types[id];
    if ((!is_special_type(type) && type != kUserDefined) || table.texts[id].empty()) continue;
    AddedToken token;
    token.id = static_cast<TokenId>(id);
    token.content = table.texts[id];
    token.special = is_special_type(type);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// Control tokens stay outside the model's vocabulary, so that plain text can never become one.
// User-defined ones may take part in merges.
Vocabulary model_vocabulary(const TokenTable& table, bool with_special, const std::string& name) {
  std::vector<Vocabulary::Entry> entries;
  for (size_t id = 0; id < table.texts.size(); ++id) {
    if (!with_special && is_special_type(table.types[id])) continue;
    entries.emplace_back(table.texts[id], static_cast<int64_t>(id));
  }
  return Vocabulary(std::move(entries), name);
}

std::optional<TokenId> read_special_id(const GgufFile& file, std::string_view key, size_t count) {
  const auto id = file.integer(key);
  // Some converters write -1, or an id beyond the table, for "none".
  if (!id || *id < 0 || *id >= static_cast<int64_t>(count)) return std::nullopt;
  return static_cast<TokenId>(*id);
}

void read_frame(const GgufFile& file, size_t count, bool adds_bos,
                TokenizerDefinition& definition) {
  const auto add = [&](std::string_view flag, bool fallback, std::string_view key,
                       std::vector<TokenId>& out) {
    if (!file.boolean(flag).value_or(fallback)) return;
    const auto id = read_special_id(file, key, count);
    if (id) out.push_back(*id);
  };
  add("tokenizer.ggml.add_bos_token", adds_bos, "tokenizer.ggml.bos_token_id", definition.prefix);
  add("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id", definition.suffix);
  for (std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                               "tokenizer.ggml.eom_token_id"}) {
    const auto id = read_special_id(file, key, count);
    auto& eos = definition.eos;
    if (id && std::find(eos.begin(), eos.end(), *id) == eos.end()) eos.push_back(*id);
  }
}

TokenizerDefinition define_byte_level(const GgufFile& file) {
  const std::string pre = file.require_text("tokenizer.ggml.pre");
  auto rules = family_rules(pre);
  if (!rules) {
    throw FormatError(
        "[tokenizer] {}: tokenizer.ggml.pre must be gpt-2, smollm, qwen2 or llama-bpe; "
        "found {}",
        file.name(), quote(pre));
  }
  const TokenTable table = read_tokens(file);
  TokenizerDefinition definition;
  definition.name = file.name();
  Vocabulary vocabulary = model_vocabulary(table, false, file.name());
  constexpr std::string_view kMerges = "tokenizer.ggml.merges";
  MergeResolver resolver(vocabulary, definition.name);
  for (const std::string& line : require(file.texts(kMerges), kMerges, file.name())) {
    resolver.add_line(line);
  }
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = rules->ignore_merges;
  definition.model = std::make_unique<BpeModel>(std::move(vocabulary), resolver.take(), options);
  definition.normalizer = Normalizer(std::move(rules->normalizer));
  definition.pre_tokenizer = PreTokenizer(std::move(rules->pre_tokenizer));
  definition.decoder.byte_level = true;
  definition.added = added_tokens(table);
  read_frame(file, table.texts.size(), rules->adds_bos, definition);
  return definition;
}

// The first versions of the format had no types: the special ids and the form <0xNN> tell them.
void infer_types(const GgufFile& file, TokenTable& table) {
  for (size_t id = 0; id < table.types.size(); ++id) {
    if (byte_token_value(table.texts[id])) table.types[id] = kByte;
  }
  const auto mark = [&](std::string_view key, int64_t type, int64_t fallback) {
    const int64_t id = file.integer(key).value_or(fallback);
    if (id >= 0 && id < static_cast<int64_t>(table.types.size())) {
      table.types[static_cast<size_t>(id)] = type;
    }
  };
  mark("tokenizer.ggml.unknown_token_id", kUnknown, 0);
  mark("tokenizer.ggml.bos_token_id", kControl, 1);
  mark("tokenizer.ggml.eos_token_id", kControl, 2);
}

std::unique_ptr<const PieceModel> score_model(const GgufFile& file, const TokenTable& table) {
  constexpr std::string_view kScores = "tokenizer.ggml.scores";
  const auto& numbers = require(file.numbers(kScores), kScores, file.name());
  if (numbers.size() != table.texts.size()) {
    throw FormatError("[tokenizer] {}: {} must have one entry a token; found {} for {}",
                      file.name(), kScores, numbers.size(), table.texts.size());
  }
  const bool finite = std::all_of(numbers.begin(), numbers.end(), [](double v) { return v == v; });
  if (!finite)
    throw FormatError("[tokenizer] {}: {} must be numbers; found NaN", file.name(), kScores);
  std::vector<bool> mergeable;
  std::optional<TokenId> unk;
  for (size_t id = 0; id < table.types.size(); ++id) {
    mergeable.push_back(table.types[id] == kNormal || table.types[id] == kUserDefined);
    if (table.types[id] == kUnknown && !unk) unk = static_cast<TokenId>(id);
  }
  return std::make_unique<ScoreBpeModel>(model_vocabulary(table, true, file.name()),
                                         std::vector<float>(numbers.begin(), numbers.end()),
                                         std::move(mergeable), unk);
}

TokenizerDefinition define_score_bpe(const GgufFile& file) {
  TokenTable table = read_tokens(file);
  if (file.integers("tokenizer.ggml.token_type") == nullptr) infer_types(file, table);
  TokenizerDefinition definition;
  definition.name = file.name();
  definition.model = score_model(file, table);
  const bool prefix_space = file.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  std::vector<NormalizeStep> steps;
  if (prefix_space) steps.emplace_back(PrependStep{std::string(kSpaceMark)});
  steps.emplace_back(ReplaceStep{TextPattern::literal(" ", file.name()), std::string(kSpaceMark)});
  definition.normalizer = Normalizer(std::move(steps));
  definition.decoder.steps.emplace_back(
      DecodeReplace{TextPattern::literal(std::string(kSpaceMark), file.name()), " "});
  definition.decoder.byte_fallback = true;
  if (prefix_space) definition.decoder.strip_text = DecodeStrip{" ", 1, 0};
  definition.added = added_tokens(table);
  read_frame(file, table.texts.size(), true, definition);
  return definition;
}

}  // namespace

TokenizerDefinition define_from_gguf(const GgufFile& file) {
  const std::string model = file.require_text("tokenizer.ggml.model");
  if (model == "gpt2") return define_byte_level(file);
  if (model == "llama") return define_score_bpe(file);
  throw FormatError("[tokenizer] {}: tokenizer.ggml.model must be gpt2 or llama; found {}",
                    file.name(), quote(model));
}

}  // namespace limbeck
