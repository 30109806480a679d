/// Strings of the template interpreter: UTF-8 bytes that remember who wrote them.
///
/// Goals: every byte is either from the template's source or from its inputs, through
/// concatenation, slicing, stripping, splitting and replacing, so that a message cannot forge a
/// special token. Lengths and positions seen by templates count characters. Non-goals: ropes,
/// normalisation; invalid UTF-8 is carried along, each bad byte as one character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck::jinja {

/// Who wrote a byte.
enum class Origin : uint8_t {
  input,   ///< messages, variables, anything computed from them that is hard to trace
  source,  ///< the template, or a special token that the caller named
};

class Text {
 public:
  /// Bytes up to `end` (from the previous run's end) of one origin; neighbours differ in origin.
  struct Run {
    size_t end;
    Origin origin;
  };

  Text() = default;
  Text(std::string bytes, Origin origin);

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }
  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }  ///< bytes

  /// The origin of all bytes; input when they differ.
  Origin common_origin() const;
  /// Bytes [begin, end) with their origins.
  Text slice(size_t begin, size_t end) const;
  void append(const Text& other) { append_slice(other, 0, other.size()); }
  void append_slice(const Text& other, size_t begin, size_t end);
  void append(std::string_view bytes, Origin origin);

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

/// One character at a byte position.
struct Char {
  char32_t code = 0;  ///< U+FFFD for a bad byte
  size_t size = 1;    ///< bytes
};

Char char_at(std::string_view text, size_t at);
size_t count_chars(std::string_view text);
/// White space as Python's str.isspace() counts it.
bool is_space(char32_t code);
void append_utf8(std::string& text, char32_t code);

/// Byte offsets of characters; free of cost for ASCII.
class CharIndex {
 public:
  explicit CharIndex(std::string_view text);
  size_t count() const { return count_; }
  size_t offset(size_t index) const { return offsets_.empty() ? index : offsets_[index]; }

 private:
  size_t count_;
  std::vector<size_t> offsets_;  ///< count + 1 entries, or none for ASCII
};

/// Which ends to strip.
struct StripEnds {
  bool left = true, right = true;
};

/// Without the characters of `chars` (white space when absent) at the ends.
Text strip(const Text& text, std::optional<std::string_view> chars, StripEnds ends);
/// Parts between occurrences of `separator` (not empty), at most `most` cuts when `most` >= 0.
std::vector<Text> split(const Text& text, std::string_view separator, int64_t most);
/// Words between runs of white space; what follows the last cut keeps its space.
std::vector<Text> split_words(const Text& text, int64_t most);
/// Lines as Python's str.splitlines() cuts them, with their ends when `keep_ends`.
std::vector<Text> split_lines(const Text& text, bool keep_ends);
Text replace(const Text& text, std::string_view from, const Text& to, int64_t most);
/// Refuses growth by `replace` before it happens: bytes of the result.
size_t replaced_size(const Text& text, std::string_view from, const Text& to, int64_t most);

enum class LetterCase : uint8_t { upper, lower, capitalize, title };
/// Simple (one to one) case mapping. Mixed origins become input: letters may change their size.
Text change_case(const Text& text, LetterCase to);

}  // namespace limbeck::jinja
