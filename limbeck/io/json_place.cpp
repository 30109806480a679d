#include "limbeck/io/json_place.h"

#include <algorithm>
#include <charconv>

namespace limbeck {
namespace {

/// Reads a well-formed text from its beginning; stays at its end in any other.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) { blanks(); }

  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  int64_t line() const { return line_; }

  void blanks() {
    while (next() == ' ' || next() == '\t' || next() == '\n' || next() == '\r') step();
  }
  /// Past a bracket, comma or colon and what is blank behind it.
  void mark() {
    step();
    blanks();
  }
  /// A key or a text, without its quotes.
  std::string_view quoted() {
    step();
    const size_t begin = at_;
    while (at_ < text_.size() && next() != '"') {
      if (next() == '\\') step();
      step();
    }
    const std::string_view out = text_.substr(begin, at_ - begin);
    mark();
    return out;
  }
  /// Past the value that begins here.
  void value() {
    int64_t depth = 0;
    do {
      const char c = next();
      if (c == '"') {
        quoted();
        continue;
      }
      if (depth == 0 && (c == ',' || c == ']' || c == '}')) return;
      if (c == '[' || c == '{') ++depth;
      if (c == ']' || c == '}') --depth;
      mark();
      // A number or a word goes on up to the next mark.
    } while (at_ < text_.size() && (depth > 0 || !is_end()));
  }

 private:
  bool is_end() const { return next() == ',' || next() == ']' || next() == '}'; }
  void step() {
    if (at_ >= text_.size()) return;
    if (text_[at_] == '\n') ++line_;
    ++at_;
  }

  std::string_view text_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

/// To the member of that name of the object that begins here; false where there is none.
bool enter_member(Walker& at, std::string_view name) {
  if (at.next() != '{') return false;
  at.mark();
  while (at.next() == '"') {
    const bool found = at.quoted() == name;
    at.mark();  // the colon
    if (found) return true;
    at.value();
    if (at.next() == ',') at.mark();
  }
  return false;
}

bool enter_item(Walker& at, int64_t index) {
  if (at.next() != '[') return false;
  at.mark();
  for (; index > 0 && at.next() != ']' && at.next() != '\0'; --index) {
    at.value();
    if (at.next() == ',') at.mark();
  }
  return at.next() != ']' && at.next() != '\0';
}

}  // namespace

int64_t json_line_of(std::string_view text, std::string_view path) {
  Walker at(text);
  while (!path.empty()) {
    const int64_t line = at.line();
    const bool is_index = path[0] == '[';
    const size_t end = std::min(is_index ? path.find(']') : path.find_first_of(".["), path.size());
    const std::string_view part = path.substr(is_index ? 1 : 0, end - (is_index ? 1 : 0));
    int64_t index = 0;
    if (is_index) std::from_chars(part.data(), part.data() + part.size(), index);
    if (!(is_index ? enter_item(at, index) : enter_member(at, part))) return line;
    path.remove_prefix(std::min(end + (is_index ? 1 : 0), path.size()));
    if (path.starts_with('.')) path.remove_prefix(1);
  }
  return at.line();
}

}  // namespace limbeck
