#define PCRE2_CODE_UNIT_WIDTH 8

#include "limbeck/text/text_pattern.h"

#include "limbeck/base/error.h"
#include "limbeck/text/regex_translate.h"

#include <pcre2.h>

namespace limbeck {
namespace {

constexpr uint32_t kMatchLimit = 10'000'000;  // steps; bounds the time of one match
constexpr uint32_t kHeapLimit = 65'536;       // KiB, for the interpreter

struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  MatchState() {
    if (data == nullptr || context == nullptr) {
      throw ResourceError("[tokenize] memory for a regex match; found none");
    }
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimit);
  }
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

MatchState& match_state() {
  thread_local MatchState state;
  return state;
}

std::string error_text(int code) {
  PCRE2_UCHAR buffer[200];
  if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0) return std::to_string(code);
  return reinterpret_cast<const char*>(buffer);
}

std::shared_ptr<pcre2_code> compile(const std::string& pattern, std::string_view source,
                                    std::string_view name) {
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  if (context != nullptr) {
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context.get(), 50);
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, context.get());
  if (code == nullptr) {
    throw FormatError("[tokenizer] {}: regex must compile ({}); found {}", name, error_text(error),
                      source.substr(0, 300));
  }
  return {code, pcre2_code_free};
}

}  // namespace

TextPattern TextPattern::literal(std::string text, std::string_view name) {
  if (text.empty()) {
    throw FormatError("[tokenizer] {}: a text to look for must not be empty; found \"\"", name);
  }
  TextPattern pattern;
  pattern.source_ = std::move(text);
  return pattern;
}

TextPattern TextPattern::regex(std::string pattern, std::string_view name) {
  if (pattern.size() > 65'536) {
    throw FormatError("[tokenizer] {}: a regex has at most 65536 bytes; found {}", name,
                      pattern.size());
  }
  TextPattern result;
  auto code = compile(pcre2_pattern(pattern, name), pattern, name);
  // Without a compiler for this processor the interpreter serves.
  result.jit_ = pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0;
  result.code_ = std::move(code);
  result.source_ = std::move(pattern);
  return result;
}

bool TextPattern::find(std::string_view text, size_t from, TextRange& match) const {
  if (code_ == nullptr) {
    const size_t at = text.find(source_, from);
    match = {at, at + source_.size()};
    return at != std::string_view::npos;
  }
  MatchState& state = match_state();
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int count = PCRE2_ERROR_JIT_STACKLIMIT;
  if (jit_) {
    count = pcre2_jit_match(code, subject, text.size(), from, 0, state.data, state.context);
  }
  if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
    count = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        state.data, state.context);
  }
  if (count == PCRE2_ERROR_NOMATCH) return false;
  if (count < 0) {
    throw ResourceError("[tokenize] a regex match must stay within {} steps; found {} for {}",
                        kMatchLimit, error_text(count), source_.substr(0, 300));
  }
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(state.data);
  match = {bounds[0], bounds[1]};
  return true;
}

std::string TextPattern::replace_all(std::string_view text, std::string_view content) const {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for_each_span(*this, text, [&](TextRange span, bool is_match) {
    out += is_match ? content : text.substr(span.begin, span.end - span.begin);
  });
  return out;
}

}  // namespace limbeck
