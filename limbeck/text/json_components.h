/// Readers of the components of a tokenizer.json. Each refuses what it does not know by name.
#pragma once

#include "limbeck/text/added_tokens.h"
#include "limbeck/text/json_node.h"
#include "limbeck/text/normalize.h"
#include "limbeck/text/pretokenize.h"
#include "limbeck/text/token_decoder.h"

#include <vector>

namespace limbeck {

/// {"String": ...} or {"Regex": ...}.
TextPattern read_pattern(const JsonNode& node);
std::vector<NormalizeStep> read_normalizer(const JsonNode& node);
std::vector<PreTokenizeStep> read_pre_tokenizer(const JsonNode& node);
DecoderSettings read_decoder(const JsonNode& node);

/// Ids that a post-processor puts around a single text.
struct SpecialFrame {
  std::vector<TokenId> prefix, suffix;
};
SpecialFrame read_post_processor(const JsonNode& node);

/// One entry of `added_tokens` (or of added_tokens_decoder, whose key is the id).
AddedToken read_added_token(const JsonNode& node, int64_t id);
/// An id as read from a file; FormatError outside [0, kMaxVocabulary).
TokenId read_id(const JsonNode& node);

}  // namespace limbeck
