#include "limbeck/text/added_tokens.h"

#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/fingerprint_writer.h"
#include "limbeck/text/normalize.h"
#include "limbeck/text/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <set>

namespace limbeck {
namespace {

constexpr size_t kMaxContent = 1'024;  // bytes; bounds the work for each byte of the input

// The circled and squared letters: alphabetic, though their category is symbol.
bool is_letter_symbol(char32_t code) {
  return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
         (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
}

bool is_word_char(char32_t code) {
  if (code == 0x200C || code == 0x200D || is_letter_symbol(code)) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return false;
  }
}

size_t previous_char(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is_word_char(read_utf8(text, previous_char(text, begin)).code)) return false;
  return end == text.size() || !is_word_char(read_utf8(text, end).code);
}

size_t begin_of_space_before(std::string_view text, size_t at) {
  while (at > 0) {
    const size_t previous = previous_char(text, at);
    if (!is_unicode_space(read_utf8(text, previous).code)) break;
    at = previous;
  }
  return at;
}

size_t end_of_space_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Char c = read_utf8(text, at);
    if (!is_unicode_space(c.code)) break;
    at += c.length;
  }
  return at;
}

}  // namespace

uint32_t AddedTokenMatcher::child(uint32_t node, uint8_t byte) const {
  for (const auto& [label, next] : nodes_[node].next) {
    if (label == byte) return next;
  }
  return 0;
}

void AddedTokenMatcher::add(const AddedToken& token, std::string_view pattern) {
  if (pattern.empty()) return;  // a normaliser may leave nothing
  if (nodes_.empty()) nodes_.emplace_back();
  uint32_t node = 0;
  for (char c : pattern) {
    const auto byte = static_cast<uint8_t>(c);
    uint32_t next = node == 0 ? roots_[byte] : child(node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      if (node == 0) {
        roots_[byte] = next;
      } else {
        nodes_[node].next.emplace_back(byte, next);
      }
    }
    node = next;
  }
  if (nodes_[node].token == nullptr) nodes_[node].token = &token;
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_at(std::string_view text, size_t begin,
                                                       const TextRegion& region) const {
  Match best;
  uint32_t node = roots_[static_cast<uint8_t>(text[begin])];
  for (size_t at = begin + 1; node != 0; ++at) {
    const AddedToken* token = nodes_[node].token;
    if (token != nullptr && (!token->special || at <= region.end)) {
      best = {token, begin, at, !token->special || region.parse_special};
    }
    if (at == text.size()) break;
    node = child(node, static_cast<uint8_t>(text[at]));
  }
  return best;
}

bool AddedTokenMatcher::find(std::string_view text, size_t from,
                             std::span<const TextRegion> regions, Match& match) const {
  size_t region = 0;
  for (size_t at = from; at < text.size(); ++at) {
    if (roots_[static_cast<uint8_t>(text[at])] == 0) continue;
    while (regions[region].end <= at) ++region;
    match = longest_at(text, at, regions[region]);
    if (match.token != nullptr) return true;
  }
  return false;
}

void AddedTokenMatcher::cut(std::string_view text, std::span<const TextRegion> regions,
                            std::vector<Segment>& out) const {
  size_t done = 0, from = 0;
  Match match;
  while (!empty() && find(text, from, regions, match)) {
    from = match.end;
    while (regions.size() > 1 && regions.front().end <= from) regions = regions.subspan(1);
    if (!match.counts) continue;
    if (match.token->single_word && !stands_alone(text, match.begin, match.end)) continue;
    // Space that the token before has taken is gone.
    if (match.token->lstrip) match.begin = std::max(begin_of_space_before(text, match.begin), done);
    if (match.token->rstrip) match.end = end_of_space_after(text, match.end);
    if (done < match.begin) out.push_back({done, match.begin, -1});
    out.push_back({match.begin, match.end, match.token->id});
    done = match.end;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer,
                         std::string_view name)
    : tokens_(std::move(tokens)) {
  std::stable_partition(tokens_.begin(), tokens_.end(), [](const auto& t) { return t.special; });
  std::set<std::string_view> seen;
  std::string storage;
  for (const AddedToken& token : tokens_) {
    if (token.content.empty() || token.content.size() > kMaxContent) {
      throw FormatError("[tokenizer] {}: added tokens must have 1 to {} bytes; found {} for id {}",
                        name, kMaxContent, token.content.size(), token.id);
    }
    if (!seen.insert(token.content).second) {
      throw FormatError("[tokenizer] {}: added tokens must be unique; found {} twice", name,
                        quote(token.content));
    }
    if (!token.normalized) {
      raw_.add(token, token.content);
      continue;
    }
    normalized_.add(token, normalizer.apply(token.content, storage));
  }
}

void AddedTokens::fingerprint(FingerprintWriter& writer) const {
  writer.number(tokens_.size());
  for (const AddedToken& token : tokens_) {
    writer.number(static_cast<uint64_t>(token.id));
    writer.text(token.content);
    for (bool flag :
         {token.single_word, token.lstrip, token.rstrip, token.normalized, token.special}) {
      writer.number(flag);
    }
  }
}

}  // namespace limbeck
