#include "limbeck/text/regex_translate.h"

#include "limbeck/base/error.h"

#include <cctype>

namespace limbeck {
namespace {

// White_Space and its complement as ranges: exact inside classes and outside, negated or not.
constexpr std::string_view kSpaces =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNonSpaces =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF})"
    R"(\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
// Alphabetic (with the circled and squared letters), marks, decimal digits, connectors.
constexpr std::string_view kWordChars =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169})"
    R"(\x{1F170}-\x{1F189})";
// Outside classes Oniguruma takes Latin-1 from another table, with its superscripts and fractions.
constexpr std::string_view kWordCharsAlone = R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view name) : pattern_(pattern), name_(name) {}

  std::string run() {
    while (!done()) {
      switch (peek()) {
        case '\\': escape(false); break;
        case '[': character_class(); break;
        case '(': group(); break;
        case '{': interval(); break;
        default: copy();
      }
    }
    return std::move(out_);
  }

 private:
  bool done() const { return at_ >= pattern_.size(); }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  void copy() { out_.push_back(pattern_[at_++]); }
  [[noreturn]] void fail(std::string_view rule) const {
    throw FormatError("[tokenizer] {}: regex {} at character {}; found {}", name_, rule, at_,
                      pattern_.substr(0, 300));
  }

  void character_class() {
    copy();
    if (peek() == '^') copy();
    if (peek() == ']') copy();  // literal in first place
    while (peek() != ']') {
      if (done()) fail("class without an end");
      if (peek() == '[') fail("with a class inside a class is not supported");
      if (peek() == '&' && peek(1) == '&') fail("with a class intersection is not supported");
      if (peek() == '\\') {
        // A dash after a class escape is literal; after the ranges written here it would not be.
        if (escape(true) && peek() == '-' && peek(1) != ']') {
          out_ += "\\-";
          ++at_;
        }
      } else {
        copy();
      }
    }
    copy();
  }

  void group() {
    copy();
    if (peek() == '*') fail("verb is not supported");
    if (peek() != '?') return;
    copy();
    for (std::string_view known : {":", "=", "!", ">", "<=", "<!"}) {
      if (pattern_.substr(at_).starts_with(known)) {
        out_ += known;
        at_ += known.size();
        return;
      }
    }
    while (peek() == 'i' || peek() == '-') copy();
    if (peek() != ':' && peek() != ')') fail("group is not supported");
    copy();
  }

  void interval() {
    size_t end = at_ + 1;
    std::string bounds[2];
    int part = 0;
    while (end < pattern_.size() && (std::isdigit(static_cast<unsigned char>(pattern_[end])) ||
                                     (pattern_[end] == ',' && part == 0))) {
      if (pattern_[end] == ',') {
        part = 1;
      } else {
        bounds[part].push_back(pattern_[end]);
      }
      ++end;
    }
    if (end >= pattern_.size() || pattern_[end] != '}' ||
        (bounds[0].empty() && bounds[1].empty())) {
      out_ += "\\{";
      ++at_;
      return;
    }
    out_ += bounds[0].empty() ? "{0" : "{" + bounds[0];
    if (part == 1) out_ += "," + bounds[1];
    out_ += "}";
    at_ = end + 1;
    if (peek() == '+') fail("with a plus after an interval is not supported");
  }

  // Returns whether the escape stands for more than one character.
  bool escape(bool in_class) {
    const char kind = peek(1);
    at_ += 2;
    const auto emit_class = [&](std::string_view members, std::string_view open) {
      out_ += in_class ? std::string(members) : fmt::format("{}{}]", open, members);
      return true;
    };
    switch (kind) {
      case 's': return emit_class(kSpaces, "[");
      case 'S': return in_class ? emit_class(kNonSpaces, "[") : emit_class(kSpaces, "[^");
      case 'w':
        if (in_class) return emit_class(kWordChars, "");
        return emit_class(fmt::format("{}{}", kWordChars, kWordCharsAlone), "[");
      case 'W':
        if (in_class) fail(R"(with \W inside a class is not supported)");
        return emit_class(fmt::format("{}{}", kWordChars, kWordCharsAlone), "[^");
      case 'd': out_ += R"(\p{Nd})"; return true;
      case 'D': out_ += R"(\P{Nd})"; return true;
      case 'p':
      case 'P': property(kind == 'P'); return true;
      case 'v': out_ += R"(\x{B})"; return false;
      case 'x': hex_digits(peek() == '{'); return false;
      case 'u': hex_digits(false, 4); return false;
      case 'n':
      case 'r':
      case 't':
      case 'f': break;
      case 'A':
      case 'z':
      case 'Z':
        if (!in_class) break;
        [[fallthrough]];
      default:
        if (kind == '\0' || std::isalnum(static_cast<unsigned char>(kind))) {
          at_ -= 2;
          fail(fmt::format("escape \\{} is not supported", kind));
        }
    }
    out_.push_back('\\');
    out_.push_back(kind);
    return false;
  }

  void hex_digits(bool braces, size_t count = 2) {
    if (braces) ++at_;
    std::string digits;
    while (std::isxdigit(static_cast<unsigned char>(peek())) && (braces || digits.size() < count)) {
      digits.push_back(pattern_[at_++]);
    }
    if (braces && peek() != '}') fail("with an unfinished hexadecimal escape");
    if (braces) ++at_;
    if (digits.empty() || digits.size() > 8 || (!braces && digits.size() != count)) {
      fail("with a malformed hexadecimal escape");
    }
    // Above ASCII the short form means a byte, not a character.
    if (!braces && count == 2 && digits[0] >= '8') fail("with an escaped byte is not supported");
    out_ += fmt::format("\\x{{{}}}", digits);
  }

  void property(bool negated) {
    const size_t end = pattern_.find('}', at_);
    if (peek() != '{' || end == std::string_view::npos) fail("property without braces");
    std::string_view body = pattern_.substr(at_ + 1, end - at_ - 1);
    if (body.starts_with('^')) {
      negated = !negated;
      body.remove_prefix(1);
    }
    if (body.empty() || body.size() > 40) fail("property without a name");
    for (char c : body) {
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_')
        fail("property with an odd name");
    }
    out_ += fmt::format("\\{}{{{}{}}}", negated ? 'P' : 'p', body.size() > 2 ? "sc:" : "", body);
    at_ = end + 1;
  }

  std::string_view pattern_;
  std::string_view name_;
  std::string out_;
  size_t at_ = 0;
};

}  // namespace

std::string pcre2_pattern(std::string_view pattern, std::string_view name) {
  return Translator(pattern, name).run();
}

}  // namespace limbeck
