#include "limbeck/text/pretokenize.h"

#include "limbeck/text/fingerprint_writer.h"
#include "limbeck/text/utf8.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

namespace limbeck {
namespace {

// Joins the stream of separators and gaps into pieces as the behaviour says, looking one span back.
template <class Emit>
class SpanJoiner {
 public:
  SpanJoiner(SplitBehaviour behaviour, Emit emit) : behaviour_(behaviour), emit_(emit) {}

  void add(TextRange span, bool separator) {
    if (behaviour_ == SplitBehaviour::isolated) return emit_(span);
    if (behaviour_ == SplitBehaviour::removed) {
      if (!separator) emit_(span);
      return;
    }
    if (held_ && joins(separator)) {
      range_.end = span.end;
    } else {
      finish();
      range_ = span;
      held_ = true;
    }
    separator_ = separator;
  }
  void finish() {
    if (held_) emit_(range_);
    held_ = false;
  }

 private:
  bool joins(bool separator) const {
    switch (behaviour_) {
      case SplitBehaviour::merged_with_previous: return separator && !separator_;
      case SplitBehaviour::merged_with_next: return !separator && separator_;
      default: return separator == separator_;
    }
  }

  SplitBehaviour behaviour_;
  Emit emit_;
  TextRange range_;
  bool held_ = false;
  bool separator_ = false;  // kind of the last span
};

bool is_digit(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

template <class Emit>
void split_digits(std::string_view text, bool individual, Emit emit) {
  size_t begin = 0;
  bool in_digits = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = read_utf8(text, at);
    const bool digit = is_digit(c.code);
    if (at > begin && (digit != in_digits || (digit && individual))) {
      emit(TextRange{begin, at});
      begin = at;
    }
    in_digits = digit;
    at += c.length;
  }
  if (begin < text.size()) emit(TextRange{begin, text.size()});
}

std::string with_replaced_spaces(std::string_view text, std::string_view replacement) {
  std::string out;
  out.reserve(text.size() + text.size() / 4 + replacement.size());
  for (char c : text) {
    if (c == ' ') {
      out += replacement;
    } else {
      out.push_back(c);
    }
  }
  return out;
}

// Cuts before every replacement character.
template <class Emit>
void split_metaspace(std::string_view text, std::string_view replacement, Emit emit) {
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(replacement, begin + 1), text.size());
    emit(TextRange{begin, end});
    begin = end;
  }
}

void write_pattern(FingerprintWriter& writer, const TextPattern& pattern) {
  writer.number(pattern.is_regex());
  writer.text(pattern.source());
}

}  // namespace

struct RunStep {
  const PreTokenizer& owner;
  size_t next;
  const Piece& piece;
  PieceSink& sink;

  auto emitter(std::string_view text) const {
    return [this, text](TextRange span) {
      owner.run(next,
                {text.substr(span.begin, span.end - span.begin), piece.at_start && span.begin == 0},
                sink);
    };
  }

  void operator()(const SplitStep& step) const {
    SpanJoiner joiner(step.behaviour, emitter(piece.text));
    for_each_span(step.pattern, piece.text, [&](TextRange span, bool is_match) {
      joiner.add(span, is_match != step.invert);
    });
    joiner.finish();
  }

  void operator()(const DigitsStep& step) const {
    split_digits(piece.text, step.individual, emitter(piece.text));
  }

  void operator()(const MetaspaceStep& step) const {
    std::string text = with_replaced_spaces(piece.text, step.replacement);
    const bool wanted = step.prepend == MetaspaceStep::Prepend::always ||
                        (step.prepend == MetaspaceStep::Prepend::first && piece.at_start);
    if (wanted && !text.starts_with(step.replacement)) text.insert(0, step.replacement);
    const auto emit = emitter(text);
    if (step.split) {
      split_metaspace(text, step.replacement, emit);
    } else {
      emit(TextRange{0, text.size()});
    }
  }

  void operator()(const ByteLevelStep& step) const {
    std::string storage;
    std::string_view text = piece.text;
    if (step.add_prefix_space && !text.starts_with(' ')) {
      storage = fmt::format(" {}", text);
      text = storage;
    }
    const auto emit = emitter(text);
    if (step.regex.empty()) return emit(TextRange{0, text.size()});
    for_each_span(step.regex.front(), text, [&](TextRange span, bool) { emit(span); });
  }
};

void PreTokenizer::run(size_t step, const Piece& piece, PieceSink& sink) const {
  if (piece.text.empty()) return;
  if (step == steps_.size()) return sink.take(piece.text);
  std::visit(RunStep{*this, step + 1, piece, sink}, steps_[step]);
}

bool PreTokenizer::byte_level() const {
  return !steps_.empty() && std::holds_alternative<ByteLevelStep>(steps_.back());
}

void PreTokenizer::fingerprint(FingerprintWriter& writer) const {
  writer.number(steps_.size());
  for (const PreTokenizeStep& step : steps_) {
    writer.number(step.index());
    if (const auto* split = std::get_if<SplitStep>(&step)) {
      write_pattern(writer, split->pattern);
      writer.number(static_cast<uint64_t>(split->behaviour));
      writer.number(split->invert);
    } else if (const auto* digits = std::get_if<DigitsStep>(&step)) {
      writer.number(digits->individual);
    } else if (const auto* metaspace = std::get_if<MetaspaceStep>(&step)) {
      writer.text(metaspace->replacement);
      writer.number(static_cast<uint64_t>(metaspace->prepend));
      writer.number(metaspace->split);
    } else if (const auto* bytes = std::get_if<ByteLevelStep>(&step)) {
      writer.number(bytes->add_prefix_space);
      writer.number(bytes->regex.size());
      for (const TextPattern& pattern : bytes->regex) write_pattern(writer, pattern);
    }
  }
}

}  // namespace limbeck
