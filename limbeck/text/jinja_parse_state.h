/// What the two halves of the parser (statements, expressions) share.
#pragma once

#include "limbeck/text/jinja_parser.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck::jinja {

class Parser {
 public:
  Parser(std::string_view source, std::string_view name)
      : name_(name), tokens_(lex(source, name)) {}

  Block parse_template();

 private:
  using Words = std::initializer_list<std::string_view>;

  /// Counts the nesting of the parser's own calls.
  class Nest {
   public:
    explicit Nest(Parser& parser);
    ~Nest() { --parser_.depth_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    Parser& parser_;
  };

  // Tokens.
  const Token& current() const { return tokens_[next_]; }
  const Token& ahead() const { return tokens_[std::min(next_ + 1, tokens_.size() - 1)]; }
  Token take() { return current().kind == TokenKind::end ? current() : tokens_[next_++]; }
  bool at_op(std::string_view op) const;
  bool at_name(std::string_view name) const;
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  void expect_kind(TokenKind kind, std::string_view what);
  std::string take_identifier(std::string_view what);
  [[noreturn]] void fail(Position at, std::string_view rule) const { fail_at(name_, at, rule); }
  [[noreturn]] void unexpected(std::string_view wanted) const;

  // Statements.
  Block parse_body(Words ends);  ///< up to {% one of ends; that word is the current token then
  void finish_block(std::string_view end);
  Statement parse_statement();
  Statement parse_if(Position at);
  Statement parse_for(Position at);
  Statement parse_set(Position at);
  Statement parse_macro(Position at);
  Statement parse_call_block(Position at);
  Statement parse_filter_block(Position at);
  Statement parse_with(Position at);
  Statement parse_generation(Position at);
  Statement parse_loop_exit(Position at, bool is_break);
  std::vector<Parameter> parse_parameters();
  Block parse_macro_body(MacroDefinition& macro, std::string_view end);
  Target parse_target(bool attributes);
  Target parse_single_target(bool attributes);

  // Expressions, loosest first.
  ExpressionPtr parse_expression();
  ExpressionPtr parse_tuple(bool conditional, Words ends = {});
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_comparison();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_join();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_number();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_parentheses();
  ExpressionPtr parse_postfix(ExpressionPtr base);
  ExpressionPtr parse_attribute(ExpressionPtr base);
  ExpressionPtr parse_subscript(ExpressionPtr base);
  ExpressionPtr parse_call(ExpressionPtr callee);
  ExpressionPtr parse_filters(ExpressionPtr input);  ///< | filters, is tests, calls
  ExpressionPtr parse_filter(ExpressionPtr input);   ///< from the filter's name on
  ExpressionPtr parse_test(ExpressionPtr input);
  Arguments parse_arguments();
  bool ends_tuple(Words ends) const;
  template <class Parse>
  ExpressionPtr parse_chain(std::initializer_list<std::pair<std::string_view, BinaryOp>> ops,
                            Parse parse);

  template <class Node>
  ExpressionPtr make(Position at, Node node);

  std::string_view name_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
  int depth_ = 0;
  int loops_ = 0;                         ///< around the current statement, within its macro
  std::vector<MacroDefinition*> macros_;  ///< being parsed, innermost last
};

}  // namespace limbeck::jinja
