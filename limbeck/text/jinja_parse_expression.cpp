#include "limbeck/text/jinja_parse_state.h"

#include <algorithm>
#include <charconv>

namespace limbeck::jinja {
namespace {

int height_of(const ExpressionPtr& child) { return child ? child->height : 0; }

int height_of(const std::vector<ExpressionPtr>& children) {
  int height = 0;
  for (const auto& child : children) height = std::max(height, height_of(child));
  return height;
}

template <class Key>
int height_of(const std::vector<std::pair<Key, ExpressionPtr>>& children) {
  int height = 0;
  for (const auto& child : children) height = std::max(height, height_of(child.second));
  return height;
}

int height_of(const Arguments& a) { return std::max(height_of(a.positional), height_of(a.named)); }

int inner_height(const Literal&) { return 0; }
int inner_height(const Name&) { return 0; }
int inner_height(const BlockText&) { return 0; }
int inner_height(const ListLiteral& n) { return height_of(n.items); }
int inner_height(const DictLiteral& n) {
  int height = height_of(n.entries);
  for (const auto& entry : n.entries) height = std::max(height, height_of(entry.first));
  return height;
}
int inner_height(const Attribute& n) { return height_of(n.object); }
int inner_height(const Subscript& n) { return std::max(height_of(n.object), height_of(n.index)); }
int inner_height(const Slice& n) {
  return std::max({height_of(n.object), height_of(n.begin), height_of(n.end), height_of(n.step)});
}
int inner_height(const Call& n) { return std::max(height_of(n.callee), height_of(n.arguments)); }
int inner_height(const FilterCall& n) {
  return std::max(height_of(n.input), height_of(n.arguments));
}
int inner_height(const TestCall& n) { return std::max(height_of(n.input), height_of(n.arguments)); }
int inner_height(const Unary& n) { return height_of(n.operand); }
int inner_height(const BinaryChain& n) { return std::max(height_of(n.first), height_of(n.rest)); }
int inner_height(const Comparison& n) { return std::max(height_of(n.first), height_of(n.rest)); }
int inner_height(const Logic& n) { return height_of(n.operands); }
int inner_height(const Conditional& n) {
  return std::max({height_of(n.condition), height_of(n.yes), height_of(n.no)});
}

/// Words that cannot begin an operand, so `x is defined and y` ends its test at `and`.
bool is_operator_word(std::string_view word) {
  constexpr std::string_view kWords[] = {"and", "or", "not", "if", "else", "in", "is"};
  return std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
}

}  // namespace

template <class Node>
ExpressionPtr Parser::make(Position at, Node node) {
  auto expression = std::make_unique<Expression>();
  expression->at = at;
  expression->height = 1 + inner_height(node);
  if (expression->height > kMaxDepth) {
    fail(at, fmt::format("expressions nest at most {} deep; found more", kMaxDepth));
  }
  expression->node = std::move(node);
  return expression;
}

template ExpressionPtr Parser::make(Position at, BlockText node);

ExpressionPtr Parser::parse_expression() {
  const Nest nest(*this);
  ExpressionPtr value = parse_or();
  while (at_name("if")) {
    const Position at = take().at;
    ExpressionPtr condition = parse_or();
    ExpressionPtr otherwise = skip_name("else") ? parse_expression() : nullptr;
    value = make(at, Conditional{std::move(condition), std::move(value), std::move(otherwise)});
  }
  return value;
}

bool Parser::ends_tuple(Words ends) const {
  const TokenKind kind = current().kind;
  return kind == TokenKind::output_end || kind == TokenKind::block_end || at_op(")") ||
         std::any_of(ends.begin(), ends.end(), [this](auto end) { return at_name(end); });
}

ExpressionPtr Parser::parse_tuple(bool conditional, Words ends) {
  const Position at = current().at;
  ExpressionPtr first = conditional ? parse_expression() : parse_or();
  if (!at_op(",")) return first;
  ListLiteral tuple{{}, ListKind::tuple};
  tuple.items.push_back(std::move(first));
  while (skip_op(",")) {
    if (ends_tuple(ends)) break;
    tuple.items.push_back(conditional ? parse_expression() : parse_or());
  }
  return make(at, std::move(tuple));
}

ExpressionPtr Parser::parse_or() {
  const Position at = current().at;
  ExpressionPtr first = parse_and();
  if (!at_name("or")) return first;
  Logic node{true, {}};
  node.operands.push_back(std::move(first));
  while (skip_name("or")) node.operands.push_back(parse_and());
  return make(at, std::move(node));
}

ExpressionPtr Parser::parse_and() {
  const Position at = current().at;
  ExpressionPtr first = parse_not();
  if (!at_name("and")) return first;
  Logic node{false, {}};
  node.operands.push_back(std::move(first));
  while (skip_name("and")) node.operands.push_back(parse_not());
  return make(at, std::move(node));
}

ExpressionPtr Parser::parse_not() {
  const Position at = current().at;
  if (!skip_name("not")) return parse_comparison();
  const Nest nest(*this);
  return make(at, Unary{UnaryOp::logical_not, parse_not()});
}

ExpressionPtr Parser::parse_comparison() {
  constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::equal},  {"!=", CompareOp::not_equal},
      {"<", CompareOp::less},    {"<=", CompareOp::less_equal},
      {">", CompareOp::greater}, {">=", CompareOp::greater_equal}};
  const Position at = current().at;
  Comparison node{parse_sum(), {}};
  for (;;) {
    const auto op =
        std::find_if(std::begin(kOps), std::end(kOps), [this](auto o) { return at_op(o.first); });
    if (op != std::end(kOps)) {
      take();
      node.rest.emplace_back(op->second, parse_sum());
    } else if (skip_name("in")) {
      node.rest.emplace_back(CompareOp::in, parse_sum());
    } else if (at_name("not") && ahead().kind == TokenKind::name && ahead().text == "in") {
      take(), take();
      node.rest.emplace_back(CompareOp::not_in, parse_sum());
    } else {
      break;
    }
  }
  return node.rest.empty() ? std::move(node.first) : make(at, std::move(node));
}

template <class Parse>
ExpressionPtr Parser::parse_chain(std::initializer_list<std::pair<std::string_view, BinaryOp>> ops,
                                  Parse parse) {
  const Position at = current().at;
  BinaryChain node{parse(), {}};
  for (;;) {
    const auto op = std::find_if(ops.begin(), ops.end(), [this](auto o) { return at_op(o.first); });
    if (op == ops.end()) break;
    take();
    node.rest.emplace_back(op->second, parse());
  }
  return node.rest.empty() ? std::move(node.first) : make(at, std::move(node));
}

ExpressionPtr Parser::parse_sum() {
  return parse_chain({{"+", BinaryOp::add}, {"-", BinaryOp::subtract}},
                     [this] { return parse_join(); });
}

ExpressionPtr Parser::parse_join() {
  return parse_chain({{"~", BinaryOp::join}}, [this] { return parse_product(); });
}

ExpressionPtr Parser::parse_product() {
  return parse_chain({{"*", BinaryOp::multiply},
                      {"/", BinaryOp::divide},
                      {"//", BinaryOp::floor_divide},
                      {"%", BinaryOp::modulo}},
                     [this] { return parse_power(); });
}

ExpressionPtr Parser::parse_power() {
  return parse_chain({{"**", BinaryOp::power}}, [this] { return parse_unary(true); });
}

ExpressionPtr Parser::parse_unary(bool with_filters) {
  const Nest nest(*this);
  const Position at = current().at;
  ExpressionPtr value;
  if (at_op("-") || at_op("+")) {
    const UnaryOp op = take().text == "-" ? UnaryOp::negate : UnaryOp::plus;
    value = make(at, Unary{op, parse_unary(false)});
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filters ? parse_filters(std::move(value)) : std::move(value);
}

ExpressionPtr Parser::parse_primary() {
  const Token& token = current();
  switch (token.kind) {
    case TokenKind::name: return parse_name();
    case TokenKind::integer:
    case TokenKind::real: return parse_number();
    case TokenKind::string: {
      const Position at = token.at;
      std::string text;
      while (current().kind == TokenKind::string) text += take().text;
      return make(at, Literal{Value::text(text, Origin::source)});
    }
    default: break;
  }
  if (at_op("[")) return parse_list();
  if (at_op("{")) return parse_dict();
  if (at_op("(")) return parse_parentheses();
  unexpected("an expression");
}

ExpressionPtr Parser::parse_name() {
  if (is_operator_word(current().text)) unexpected("an expression");
  const Token token = take();
  if (token.text == "true" || token.text == "True") return make(token.at, Literal{true});
  if (token.text == "false" || token.text == "False") return make(token.at, Literal{false});
  if (token.text == "none" || token.text == "None") return make(token.at, Literal{None{}});
  if (!macros_.empty()) {
    MacroDefinition& macro = *macros_.back();
    macro.uses_varargs |= token.text == "varargs";
    macro.uses_kwargs |= token.text == "kwargs";
    macro.uses_caller |= token.text == "caller";
  }
  return make(token.at, Name{token.text});
}

ExpressionPtr Parser::parse_number() {
  const Token token = take();
  std::string_view digits = token.text;
  if (token.kind == TokenKind::real) {
    double value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return make(token.at, Literal{value});
  }
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0' &&
      std::isalpha(static_cast<unsigned char>(digits[1]))) {
    base = (digits[1] | 0x20) == 'x' ? 16 : (digits[1] | 0x20) == 'o' ? 8 : 2;
    digits.remove_prefix(2);
  }
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  const bool zeros = base == 10 && digits.size() > 1 && digits[0] == '0' && value != 0;
  if (error != std::errc() || end != digits.data() + digits.size() || zeros) {
    fail(token.at,
         fmt::format("integers are decimal, or 0x, 0o or 0b, of 64 bits; found '{}'", token.text));
  }
  return make(token.at, Literal{value});
}

ExpressionPtr Parser::parse_list() {
  const Position at = take().at;
  ListLiteral node{{}, ListKind::list};
  while (!skip_op("]")) {
    if (!node.items.empty()) expect_op(",");
    if (skip_op("]")) break;
    node.items.push_back(parse_expression());
  }
  return make(at, std::move(node));
}

ExpressionPtr Parser::parse_dict() {
  const Position at = take().at;
  DictLiteral node;
  while (!skip_op("}")) {
    if (!node.entries.empty()) expect_op(",");
    if (skip_op("}")) break;
    ExpressionPtr key = parse_expression();
    expect_op(":");
    node.entries.emplace_back(std::move(key), parse_expression());
  }
  return make(at, std::move(node));
}

ExpressionPtr Parser::parse_parentheses() {
  const Position at = take().at;
  if (skip_op(")")) return make(at, ListLiteral{{}, ListKind::tuple});
  ExpressionPtr value = parse_tuple(true);
  expect_op(")");
  return value;
}

ExpressionPtr Parser::parse_postfix(ExpressionPtr base) {
  for (;;) {
    if (at_op(".")) {
      base = parse_attribute(std::move(base));
    } else if (at_op("[")) {
      base = parse_subscript(std::move(base));
    } else if (at_op("(")) {
      base = parse_call(std::move(base));
    } else {
      return base;
    }
  }
}

ExpressionPtr Parser::parse_attribute(ExpressionPtr base) {
  const Position at = take().at;
  if (current().kind == TokenKind::integer) {
    return make(at, Subscript{std::move(base), parse_number()});
  }
  std::string name = take_identifier("the name of an attribute");
  return make(at, Attribute{std::move(base), std::move(name)});
}

ExpressionPtr Parser::parse_subscript(ExpressionPtr base) {
  const Position at = take().at;
  ExpressionPtr bounds[3];
  int colons = 0;
  for (;;) {
    if (skip_op("]")) break;
    if (at_op(":") && colons < 2) {
      take();
      ++colons;
    } else if (!bounds[colons]) {
      bounds[colons] = parse_expression();
    } else {
      unexpected("']'");
    }
  }
  if (colons > 0) {
    return make(at, Slice{std::move(base), std::move(bounds[0]), std::move(bounds[1]),
                          std::move(bounds[2])});
  }
  if (!bounds[0]) fail(at, "a subscript has an index or a slice; found '[]'");
  return make(at, Subscript{std::move(base), std::move(bounds[0])});
}

ExpressionPtr Parser::parse_call(ExpressionPtr callee) {
  const Position at = current().at;
  return make(at, Call{std::move(callee), parse_arguments()});
}

Arguments Parser::parse_arguments() {
  expect_op("(");
  Arguments arguments;
  bool first = true;
  while (!skip_op(")")) {
    if (!first) expect_op(",");
    first = false;
    if (skip_op(")")) break;
    if (at_op("*") || at_op("**")) {
      fail(current().at, fmt::format("arguments are given one by one; found '{}'", current().text));
    }
    const bool named =
        current().kind == TokenKind::name && ahead().kind == TokenKind::op && ahead().text == "=";
    if (named) {
      std::string name = take().text;
      take();
      arguments.named.emplace_back(std::move(name), parse_expression());
    } else if (!arguments.named.empty()) {
      fail(current().at, "positional arguments come before named ones; found one after");
    } else {
      arguments.positional.push_back(parse_expression());
    }
  }
  return arguments;
}

ExpressionPtr Parser::parse_filters(ExpressionPtr input) {
  for (;;) {
    if (skip_op("|")) {
      input = parse_filter(std::move(input));
    } else if (skip_name("is")) {
      input = parse_test(std::move(input));
    } else if (at_op("(")) {
      input = parse_call(std::move(input));
    } else {
      return input;
    }
  }
}

ExpressionPtr Parser::parse_filter(ExpressionPtr input) {
  const Position at = current().at;
  const std::string name = take_identifier("the name of a filter");
  const Filter filter = find_filter(name);
  if (!filter) fail(at, fmt::format("filters must be known; found '{}'", name));
  Arguments arguments = at_op("(") ? parse_arguments() : Arguments{};
  return make(at, FilterCall{std::move(input), filter, std::move(arguments)});
}

ExpressionPtr Parser::parse_test(ExpressionPtr input) {
  const bool negated = skip_name("not");
  const Position at = current().at;
  const std::string name = take_identifier("the name of a test");
  const Test test = find_test(name);
  if (!test) fail(at, fmt::format("tests must be known; found '{}'", name));
  if (at_name("is")) fail(current().at, "tests are not chained; found 'is' after a test");
  Arguments arguments;
  const TokenKind kind = current().kind;
  const bool operand =
      kind == TokenKind::string || kind == TokenKind::integer || kind == TokenKind::real ||
      (kind == TokenKind::name && !is_operator_word(current().text)) || at_op("[") || at_op("{");
  if (at_op("(")) {
    arguments = parse_arguments();
  } else if (operand) {
    arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  return make(at, TestCall{std::move(input), test, std::move(arguments), negated});
}

}  // namespace limbeck::jinja
