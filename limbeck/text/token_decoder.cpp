#include "limbeck/text/token_decoder.h"

#include "limbeck/text/byte_level.h"
#include "limbeck/text/byte_tokens.h"
#include "limbeck/text/fingerprint_writer.h"

namespace limbeck {
namespace {

// Counts the characters equal to `content` at the front, at most `limit`.
int64_t leading(std::string_view text, std::string_view content, int64_t limit) {
  int64_t count = 0;
  while (count < limit && text.starts_with(content)) {
    text.remove_prefix(content.size());
    ++count;
  }
  return count;
}

struct ApplyStep {
  std::string_view text;
  bool first;

  std::string operator()(const DecodeReplace& step) const {
    return step.pattern.replace_all(text, step.content);
  }
  std::string operator()(const DecodeStrip& step) const {
    std::string_view rest = text;
    rest.remove_prefix(step.content.size() *
                       static_cast<size_t>(leading(rest, step.content, step.start)));
    for (int64_t i = 0; i < step.stop && rest.ends_with(step.content); ++i) {
      rest.remove_suffix(step.content.size());
    }
    return std::string(rest);
  }
  std::string operator()(const DecodeMetaspace& step) const {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t next = std::min(text.find(step.replacement, at), text.size());
      out.append(text.substr(at, next - at));
      if (next < text.size() && !(first && step.drop_in_first)) out.push_back(' ');
      at = next + step.replacement.size();
    }
    return out;
  }
};

}  // namespace

std::string TokenDecoder::bytes_of(std::string_view token, bool first) const {
  if (settings_.byte_level) {
    // A token outside the alphabet (an added one) is its own text.
    auto bytes = byte_level_bytes(token);
    return bytes ? std::move(*bytes) : std::string(token);
  }
  std::string text(token);
  for (const DecodeStep& step : settings_.steps) text = std::visit(ApplyStep{text, first}, step);
  if (settings_.byte_fallback) {
    if (const auto byte = byte_token_value(text)) return {static_cast<char>(*byte)};
  }
  return text;
}

std::string TokenDecoder::decode(std::string_view token, DecodeState& state) const {
  std::string bytes = bytes_of(token, !state.started);
  if (settings_.join_with_spaces && state.started) bytes.insert(bytes.begin(), ' ');
  state.started = true;
  const DecodeStrip& strip = settings_.strip_text;
  if (!state.strip_done && !bytes.empty()) {
    const int64_t count = leading(bytes, strip.content, strip.start - state.stripped);
    bytes.erase(0, static_cast<size_t>(count) * strip.content.size());
    state.stripped += count;
    state.strip_done = !bytes.empty() || state.stripped == strip.start;
  }
  return bytes;
}

void TokenDecoder::fingerprint(FingerprintWriter& writer) const {
  writer.number(settings_.byte_level);
  writer.number(settings_.byte_fallback);
  writer.number(settings_.join_with_spaces);
  writer.number(settings_.steps.size());
  const auto strip = [&](const DecodeStrip& step) {
    writer.text(step.content);
    writer.number(static_cast<uint64_t>(step.start));
    writer.number(static_cast<uint64_t>(step.stop));
  };
  for (const DecodeStep& step : settings_.steps) {
    writer.number(step.index());
    if (const auto* replace = std::get_if<DecodeReplace>(&step)) {
      writer.number(replace->pattern.is_regex());
      writer.text(replace->pattern.source());
      writer.text(replace->content);
    } else if (const auto* each = std::get_if<DecodeStrip>(&step)) {
      strip(*each);
    } else if (const auto* metaspace = std::get_if<DecodeMetaspace>(&step)) {
      writer.text(metaspace->replacement);
      writer.number(metaspace->drop_in_first);
    }
  }
  strip(settings_.strip_text);
}

}  // namespace limbeck
