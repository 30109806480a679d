#include "limbeck/text/tokenizer.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/fingerprint_writer.h"
#include "limbeck/text/tokenizer_impl.h"
#include "limbeck/text/utf8.h"

#include <algorithm>

namespace limbeck {
namespace {

void check_utf8(std::string_view text, size_t offset) {
  if (const auto at = find_invalid_utf8(text)) {
    throw InvalidArgument("[tokenize] invalid UTF-8 at byte {}", offset + *at);
  }
}

// Highest id + 1 over both kinds of tokens.
size_t id_count(const Vocabulary& vocabulary, const std::vector<AddedToken>& added) {
  int64_t count = vocabulary.size();
  for (const AddedToken& token : added) count = std::max<int64_t>(count, token.id + 1);
  return static_cast<size_t>(count);
}

void check_added(const Vocabulary& vocabulary, const AddedToken& token, size_t tokens,
                 std::string_view name) {
  check_token_id(token.id, tokens, token.content, name);
  const auto known = vocabulary.find(token.content);
  if (known && *known != token.id) {
    throw FormatError(
        "[tokenizer] {}: added token {} must keep its id of the vocabulary; found {} and {}", name,
        quote(token.content), token.id, *known);
  }
  if (!known && vocabulary.contains(token.id)) {
    throw FormatError(
        "[tokenizer] {}: added token {} must have an id of its own; found {}, which is {}", name,
        quote(token.content), token.id, quote(vocabulary.text(token.id)));
  }
}

}  // namespace

Tokenizer::Impl::Impl(TokenizerDefinition definition)
    : name(std::move(definition.name)),
      model(std::move(definition.model)),
      normalizer(std::move(definition.normalizer)),
      added(std::move(definition.added), normalizer, name),
      pre_tokenizer(std::move(definition.pre_tokenizer)),
      decoder(std::move(definition.decoder)),
      prefix(std::move(definition.prefix)),
      suffix(std::move(definition.suffix)),
      eos(std::move(definition.eos)) {
  const Vocabulary& vocabulary = model->vocabulary();
  const size_t tokens = vocabulary.count() + added.tokens().size();
  for (const AddedToken& token : added.tokens()) check_added(vocabulary, token, tokens, name);
  added_by_id.assign(id_count(vocabulary, added.tokens()), -1);
  for (size_t i = 0; i < added.tokens().size(); ++i) {
    int32_t& index = added_by_id[static_cast<size_t>(added.tokens()[i].id)];
    if (index >= 0) {
      throw FormatError("[tokenizer] {}: added tokens must have ids of their own; found {} twice",
                        name, added.tokens()[i].id);
    }
    index = static_cast<int32_t>(i);
  }
  for (const auto* ids : {&prefix, &suffix, &eos}) {
    for (TokenId id : *ids) {
      if (id < 0 || static_cast<size_t>(id) >= added_by_id.size()) {
        throw FormatError("[tokenizer] {}: special ids must be in [0, {}); found {}", name,
                          added_by_id.size(), id);
      }
    }
  }
  FingerprintWriter writer;
  model->fingerprint(writer);
  added.fingerprint(writer);
  normalizer.fingerprint(writer);
  pre_tokenizer.fingerprint(writer);
  decoder.fingerprint(writer);
  for (const auto* ids : {&prefix, &suffix}) {
    writer.number(ids->size());
    for (TokenId id : *ids) writer.number(static_cast<uint64_t>(id));
  }
  fingerprint = writer.hex();
}

void Tokenizer::Impl::check_id(TokenId id) const {
  if (id < 0 || static_cast<size_t>(id) >= added_by_id.size()) {
    throw InvalidArgument("[tokenizer] token ids must be in [0, {}); found {}", added_by_id.size(),
                          id);
  }
}

const AddedToken* Tokenizer::Impl::added_token(TokenId id) const {
  check_id(id);
  const int32_t index = added_by_id[static_cast<size_t>(id)];
  return index < 0 ? nullptr : &added.tokens()[static_cast<size_t>(index)];
}

std::string Tokenizer::Impl::decode(TokenId id, bool skip_special, DecodeState& state) const {
  const AddedToken* token = added_token(id);
  if (token != nullptr) {
    return skip_special && token->special ? std::string() : decoder.decode(token->content, state);
  }
  if (!model->vocabulary().contains(id)) return {};
  return decoder.decode(model->vocabulary().text(id), state);
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Tokenizer Tokenizer::from_folder(const std::filesystem::path& folder, std::string_view family) {
  return Tokenizer(std::make_shared<const Impl>(define_from_folder(folder, family)));
}

Tokenizer Tokenizer::from_gguf(const GgufFile& file) {
  return Tokenizer(std::make_shared<const Impl>(define_from_gguf(file)));
}

Tokenizer Tokenizer::from_json(std::string_view json, std::string name) {
  return Tokenizer(std::make_shared<const Impl>(define_from_json(json, std::move(name))));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  check_utf8(text, 0);
  const TextRegion region{text.size(), options.parse_special};
  std::vector<TokenId> ids = impl_->encode(text, {&region, 1});
  if (options.add_special) {
    ids.insert(ids.begin(), impl_->prefix.begin(), impl_->prefix.end());
    ids.insert(ids.end(), impl_->suffix.begin(), impl_->suffix.end());
  }
  return ids;
}

std::vector<TokenId> Tokenizer::encode(std::span<const TextPart> parts, bool add_special) const {
  std::string text;
  std::vector<TextRegion> regions;
  for (const TextPart& part : parts) {
    check_utf8(part.text, text.size());
    if (part.text.empty()) continue;
    text += part.text;
    if (regions.empty() || regions.back().parse_special != part.parse_special) {
      regions.push_back({0, part.parse_special});
    }
    regions.back().end = text.size();
  }
  std::vector<TokenId> ids = impl_->encode(text, regions);
  if (add_special) {
    // A chat template may have written the BOS itself; models are not trained on two.
    const auto& prefix = impl_->prefix;
    const bool present =
        ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
    if (!present) ids.insert(ids.begin(), prefix.begin(), prefix.end());
    ids.insert(ids.end(), impl_->suffix.begin(), impl_->suffix.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  DecodeState state;
  std::string bytes;
  for (TokenId id : ids) bytes += impl_->decode(id, skip_special, state);
  return replace_invalid_utf8(bytes);
}

std::string Tokenizer::token_bytes(TokenId id, bool skip_special) const {
  DecodeState state = TokenDecoder::middle();
  return impl_->decode(id, skip_special, state);
}

int64_t Tokenizer::vocabulary_size() const {
  return static_cast<int64_t>(impl_->added_by_id.size());
}

std::optional<TokenId> Tokenizer::find_token(std::string_view text) const {
  for (const AddedToken& token : impl_->added.tokens()) {
    if (token.content == text) return token.id;
  }
  return impl_->model->vocabulary().find(text);
}

std::string_view Tokenizer::token_text(TokenId id) const {
  if (const AddedToken* token = impl_->added_token(id)) return token->content;
  const Vocabulary& vocabulary = impl_->model->vocabulary();
  return vocabulary.contains(id) ? vocabulary.text(id) : std::string_view();
}

bool Tokenizer::is_special(TokenId id) const {
  const AddedToken* token = impl_->added_token(id);
  return token != nullptr && token->special;
}

std::optional<TokenId> Tokenizer::bos() const {
  return impl_->prefix.empty() ? std::nullopt : std::optional(impl_->prefix.front());
}

const std::vector<TokenId>& Tokenizer::eos() const { return impl_->eos; }

std::string Tokenizer::fingerprint() const { return impl_->fingerprint; }

}  // namespace limbeck
