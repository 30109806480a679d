#include "limbeck/text/jinja_lexer.h"

#include "limbeck/base/error.h"
#include "limbeck/text/jinja_text.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace limbeck::jinja {
namespace {

std::string unify_newlines(std::string_view source) {
  std::string result;
  result.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else {
      result += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

bool starts_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool continues_name(char c) { return starts_name(c) || is_digit(c); }

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view name)
      : source_(unify_newlines(source)), name_(name) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) lex_outside();
    add(TokenKind::end, at_, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest(size_t at) const { return std::string_view(source_).substr(at); }
  bool has(std::string_view text) const { return rest(at_).starts_with(text); }
  char peek(size_t at) const { return at < source_.size() ? source_[at] : '\0'; }

  /// Offsets come in rising order (a little backwards for errors), so counting goes on from the
  /// last.
  Position position(size_t offset) {
    if (offset < counted_) counted_ = 0, counted_position_ = {};
    for (; counted_ < offset; ++counted_) {
      if (source_[counted_] == '\n') {
        ++counted_position_.line;
        counted_position_.column = 1;
      } else if ((static_cast<unsigned char>(source_[counted_]) & 0xC0) != 0x80) {
        ++counted_position_.column;
      }
    }
    return counted_position_;
  }

  [[noreturn]] void fail(size_t offset, std::string_view rule) {
    fail_at(name_, position(offset), rule);
  }

  void add(TokenKind kind, size_t offset, std::string text) {
    tokens_.push_back({kind, std::move(text), position(offset)});
  }

  void skip_space() {
    while (at_ < source_.size()) {
      const Char c = char_at(source_, at_);
      if (!is_space(c.code)) return;
      at_ += c.size;
    }
  }

  /// First of {{ {% {# from `from` on.
  size_t find_tag(size_t from) const {
    for (size_t at = source_.find('{', from); at != std::string::npos;
         at = source_.find('{', at + 1)) {
      const char next = peek(at + 1);
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return std::string::npos;
  }

  void lex_outside() {
    const size_t tag = find_tag(at_);
    if (tag == std::string::npos) {
      add(TokenKind::text, at_, source_.substr(at_));
      at_ = source_.size();
      return;
    }
    const char kind = source_[tag + 1];
    const char sign = peek(tag + 2);
    add_text(at_, tag, kind, sign);
    at_ = tag + 2 + (sign == '-' || sign == '+' ? 1 : 0);
    if (kind == '#') {
      skip_comment(tag);
    } else if (kind == '{') {
      add(TokenKind::output_begin, tag, "{{");
      lex_inside("}}", TokenKind::output_end, tag);
    } else if (!lex_raw(tag)) {
      add(TokenKind::block_begin, tag, "{%");
      lex_inside("%}", TokenKind::block_end, tag);
    }
    line_start_ = source_[at_ - 1] == '\n';
  }

  /// The text before a tag, without the white space that the tag takes away.
  void add_text(size_t begin, size_t end, char kind, char sign) {
    std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') {
      text = text.substr(0, strip_right(text));
    } else if (sign != '+' && kind != '{') {
      const size_t line = text.rfind('\n') + 1;  // 0 when there is none
      if ((line > 0 || line_start_) && strip_right(text) <= line) text = text.substr(0, line);
    }
    if (!text.empty()) add(TokenKind::text, begin, std::string(text));
  }

  static size_t strip_right(std::string_view text) {
    return strip(Text(std::string(text), Origin::source), std::nullopt, {false, true}).size();
  }

  void skip_comment(size_t tag) {
    const size_t close = source_.find("#}", at_);
    if (close == std::string::npos)
      fail(tag, "a comment ends with #}; found the end of the template");
    const char sign = close > at_ ? source_[close - 1] : ' ';
    at_ = close + 2;
    trim_after(sign);
  }

  /// After the end of a block or comment: trim_blocks, unless a sign says otherwise.
  void trim_after(char sign) {
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && peek(at_) == '\n') {
      ++at_;
    }
  }

  /// Position after a `%}` that closes the bare tag `word` at `at`, or npos.
  size_t match_bare_tag(size_t at, std::string_view word, char& sign) const {
    const auto skip = [&] {
      while (at < source_.size() && is_space(char_at(source_, at).code))
        at += char_at(source_, at).size;
    };
    skip();
    if (!rest(at).starts_with(word)) return std::string::npos;
    at += word.size();
    skip();
    sign = peek(at);
    if (sign == '-' || sign == '+') ++at;
    return rest(at).starts_with("%}") ? at + 2 : std::string::npos;
  }

  bool lex_raw(size_t tag) {
    char sign = ' ';
    const size_t body = match_bare_tag(at_, "raw", sign);
    if (body == std::string::npos) return false;
    at_ = body;
    if (sign == '-') skip_space();
    line_start_ = source_[at_ - 1] == '\n';
    for (size_t end = source_.find("{%", at_); end != std::string::npos;
         end = source_.find("{%", end + 2)) {
      const char before = peek(end + 2);
      const size_t inner = end + 2 + (before == '-' || before == '+' ? 1 : 0);
      const size_t after = match_bare_tag(inner, "endraw", sign);
      if (after == std::string::npos) continue;
      add_text(at_, end, '%', before);
      at_ = after;
      trim_after(sign);
      return true;
    }
    fail(tag, "a raw block ends with {% endraw %}; found the end of the template");
  }

  void lex_inside(std::string_view close, TokenKind close_kind, size_t tag) {
    std::string brackets;
    for (;;) {
      skip_space();
      if (at_ >= source_.size()) {
        fail(tag, fmt::format("a tag ends with {}; found the end of the template", close));
      }
      const size_t signs = has(close) ? 0 : 1;
      const char sign = peek(at_);
      const bool signed_end = sign == '-' || (sign == '+' && close_kind == TokenKind::block_end);
      if (brackets.empty() && (signs == 0 || (signed_end && rest(at_ + 1).starts_with(close)))) {
        add(close_kind, at_, std::string(close));
        at_ += signs + close.size();
        const char mark = signs ? sign : ' ';
        if (close_kind == TokenKind::block_end || mark == '-') trim_after(mark);
        return;
      }
      lex_token(brackets);
    }
  }

  void lex_token(std::string& brackets) {
    const char c = source_[at_];
    if (c == '"' || c == '\'') return lex_string(c);
    if (is_digit(c)) return lex_number();
    const size_t begin = at_;
    if (starts_name(c)) {
      while (continues_name(peek(at_))) ++at_;
      return add(TokenKind::name, begin, source_.substr(begin, at_ - begin));
    }
    static constexpr std::array<std::string_view, 25> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};
    const auto op = std::find_if(kOperators.begin(), kOperators.end(),
                                 [this](std::string_view candidate) { return has(candidate); });
    if (op == kOperators.end()) {
      fail(at_, fmt::format("tags hold names, literals and operators; found '{}'",
                            source_.substr(at_, char_at(source_, at_).size)));
    }
    check_bracket(c, brackets);
    at_ += op->size();
    add(TokenKind::op, begin, std::string(*op));
  }

  void check_bracket(char c, std::string& brackets) {
    if (c == '(' || c == '[' || c == '{') {
      brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) {
        fail(at_, fmt::format("brackets come in pairs; found '{}'", c));
      }
      brackets.pop_back();
    }
  }

  void lex_number() {
    const size_t begin = at_;
    bool real = false;
    const auto digits = [this] {
      while (is_digit(peek(at_)) || (peek(at_) == '_' && is_digit(peek(at_ + 1)))) ++at_;
    };
    const char base = static_cast<char>(std::tolower(peek(at_ + 1)));
    if (source_[at_] == '0' && (base == 'x' || base == 'o' || base == 'b')) {
      at_ += 2;
      while (std::isalnum(static_cast<unsigned char>(peek(at_))) || peek(at_) == '_') ++at_;
    } else {
      digits();
      // "foo.0.1" is two lookups, not a number after a dot.
      const bool after_dot = begin > 0 && source_[begin - 1] == '.';
      if (!after_dot && peek(at_) == '.' && is_digit(peek(at_ + 1))) {
        real = true;
        ++at_;
        digits();
      }
      if (!after_dot && (peek(at_) == 'e' || peek(at_) == 'E')) real |= lex_exponent(digits);
    }
    std::string text = source_.substr(begin, at_ - begin);
    std::erase(text, '_');
    add(real ? TokenKind::real : TokenKind::integer, begin, std::move(text));
  }

  template <class Digits>
  bool lex_exponent(Digits&& digits) {
    const size_t sign = peek(at_ + 1) == '+' || peek(at_ + 1) == '-' ? 1 : 0;
    if (!is_digit(peek(at_ + 1 + sign))) return false;
    at_ += 1 + sign;
    digits();
    return true;
  }

  void lex_string(char quote) {
    const size_t begin = at_++;
    std::string text;
    for (;;) {
      if (at_ >= source_.size())
        fail(begin, "a string ends with its quote; found the end of the template");
      const char c = source_[at_++];
      if (c == quote) break;
      if (c == '\\') {
        lex_escape(text);
      } else {
        text += c;
      }
    }
    add(TokenKind::string, begin, std::move(text));
  }

  /// As in Python: what is no escape stays with its backslash.
  void lex_escape(std::string& text) {
    static constexpr std::string_view kNames = "ntrabfv\\'\"", kBytes = "\n\t\r\a\b\f\v\\'\"";
    const char c = peek(at_);
    if (const size_t simple = kNames.find(c); c != '\0' && simple != std::string_view::npos) {
      text += kBytes[simple];
      ++at_;
    } else if (c == '\n') {
      ++at_;
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      for (int i = 0; i < 3 && peek(at_) >= '0' && peek(at_) <= '7'; ++i) {
        code = code * 8 + static_cast<char32_t>(source_[at_++] - '0');
      }
      append_utf8(text, code);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      append_utf8(text, lex_hex(c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c == 'N') {
      fail(at_ - 1, "characters are not given by name; found \\N");
    } else {
      text += '\\';
    }
  }

  char32_t lex_hex(size_t digits) {
    const size_t begin = at_ - 1;
    const std::string_view text = rest(at_ + 1).substr(0, digits);
    uint64_t code = 0;
    for (const char c : text) {
      if (!std::isxdigit(static_cast<unsigned char>(c))) code = 0x110000;
      const int digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
      code = std::min<uint64_t>(code * 16 + static_cast<uint64_t>(digit), 0x110000);
    }
    if (text.size() < digits || code >= 0x110000 || (code >= 0xD800 && code < 0xE000)) {
      fail(begin, fmt::format("an escape names a character by {} hex digits; found '{}'", digits,
                              source_.substr(begin, digits + 2)));
    }
    at_ += 1 + digits;
    return static_cast<char32_t>(code);
  }

  std::string source_;
  std::string_view name_;
  size_t at_ = 0;
  bool line_start_ = true;  ///< at_ begins a line
  size_t counted_ = 0;
  Position counted_position_;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source, std::string_view name) {
  return Lexer(source, name).run();
}

void fail_at(std::string_view name, Position at, std::string_view rule) {
  throw FormatError("[template] {} line {} column {}: {}", name, at.line, at.column, rule);
}

}  // namespace limbeck::jinja
