#include "limbeck/text/normalize.h"

#include "limbeck/base/error.h"
#include "limbeck/text/fingerprint_writer.h"
#include "limbeck/text/utf8.h"

#include <utf8proc.h>

#include <algorithm>

namespace limbeck {
namespace {

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

bool all_ascii(std::string_view text) { return std::all_of(text.begin(), text.end(), is_ascii); }

void append_decomposed(std::string_view text, std::vector<utf8proc_int32_t>& out) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = read_utf8(text, at);
    at += c.length;
    utf8proc_int32_t parts[32];  // no canonical decomposition exceeds 4
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), parts, 32,
                                               UTF8PROC_DECOMPOSE, &boundary);
    LIMBECK_CHECK(count >= 0 && count <= 32, "U+{:04X} gave {}", static_cast<uint32_t>(c.code),
                  count);
    out.insert(out.end(), parts, parts + count);
  }
}

// Canonical order. utf8proc's own ordering is quadratic in the marks of one character.
void sort_marks(std::vector<utf8proc_int32_t>& codes) {
  const auto mark_class = [](utf8proc_int32_t code) {
    return utf8proc_get_property(code)->combining_class;
  };
  for (size_t begin = 0; begin < codes.size();) {
    if (mark_class(codes[begin]) == 0) {
      ++begin;
      continue;
    }
    size_t end = begin + 1;
    while (end < codes.size() && mark_class(codes[end]) != 0) ++end;
    std::stable_sort(codes.begin() + static_cast<ptrdiff_t>(begin),
                     codes.begin() + static_cast<ptrdiff_t>(end),
                     [&](auto a, auto b) { return mark_class(a) < mark_class(b); });
    begin = end;
  }
}

struct Apply {
  std::string_view text;
  std::string operator()(const NfcStep&) const { return nfc(text); }
  std::string operator()(const ReplaceStep& step) const {
    return step.pattern.replace_all(text, step.content);
  }
  std::string operator()(const PrependStep& step) const {
    return text.empty() ? std::string() : step.text + std::string(text);
  }
};

}  // namespace

std::string nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  std::vector<utf8proc_int32_t> codes;
  size_t at = 0;
  while (at < text.size()) {
    size_t run = at;
    while (run < text.size() && is_ascii(text[run])) ++run;
    if (run == text.size()) {
      out.append(text.substr(at));
      break;
    }
    // Marks may compose with the ASCII character before them; nothing composes across the one
    // behind.
    if (run > at) --run;
    out.append(text.substr(at, run - at));
    size_t end = run + 1;
    while (end < text.size() && !is_ascii(text[end])) ++end;
    codes.clear();
    append_decomposed(text.substr(run, end - run), codes);
    sort_marks(codes);
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    const auto count = utf8proc_normalize_utf32(
        codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), options);
    LIMBECK_CHECK(count >= 0, "composition gave {}", count);
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      append_utf8(out, static_cast<char32_t>(codes[static_cast<size_t>(i)]));
    }
    at = end;
  }
  return out;
}

std::string_view Normalizer::apply(std::string_view text, std::string& storage) const {
  for (const NormalizeStep& step : steps_) {
    if (std::holds_alternative<NfcStep>(step) && all_ascii(text)) continue;
    storage = std::visit(Apply{text}, step);
    text = storage;
  }
  return text;
}

void Normalizer::fingerprint(FingerprintWriter& writer) const {
  writer.number(steps_.size());
  for (const NormalizeStep& step : steps_) {
    writer.number(step.index());
    if (const auto* replace = std::get_if<ReplaceStep>(&step)) {
      writer.number(replace->pattern.is_regex());
      writer.text(replace->pattern.source());
      writer.text(replace->content);
    } else if (const auto* prepend = std::get_if<PrependStep>(&step)) {
      writer.text(prepend->text);
    }
  }
}

}  // namespace limbeck
