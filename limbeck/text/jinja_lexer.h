/// Lexer of the template language: the source cut into output text and the tokens inside tags.
///
/// Does what transformers sets in Jinja: trim_blocks, lstrip_blocks, one trailing newline dropped,
/// line ends unified. White space marks (-, +) are resolved here, so the parser never sees them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace limbeck::jinja {

struct Position {
  int line = 1, column = 1;  ///< column in characters
};

enum class TokenKind {
  text,          ///< output outside tags
  output_begin,  ///< {{
  output_end,    ///< }}
  block_begin,   ///< {%
  block_end,     ///< %}
  name,
  string,   ///< escapes resolved
  integer,  ///< digits as written, underscores removed
  real,
  op,
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  Position at;
};

/// Ends with one token of kind end. Throws FormatError `[template] NAME line L column C: ...`.
std::vector<Token> lex(std::string_view source, std::string_view name);

/// Throws the FormatError of that form.
[[noreturn]] void fail_at(std::string_view name, Position at, std::string_view rule);

}  // namespace limbeck::jinja
