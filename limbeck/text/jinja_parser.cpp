#include "limbeck/text/jinja_parser.h"

#include "limbeck/text/jinja_parse_state.h"

#include <algorithm>

namespace limbeck::jinja {

Block parse(std::string_view source, std::string_view name) {
  return Parser(source, name).parse_template();
}

Parser::Nest::Nest(Parser& parser) : parser_(parser) {
  if (++parser_.depth_ > kMaxDepth) {
    parser_.fail(parser_.current().at,
                 fmt::format("templates nest at most {} deep; found more", kMaxDepth));
  }
}

bool Parser::at_op(std::string_view op) const {
  return current().kind == TokenKind::op && current().text == op;
}

bool Parser::at_name(std::string_view name) const {
  return current().kind == TokenKind::name && current().text == name;
}

bool Parser::skip_op(std::string_view op) {
  if (!at_op(op)) return false;
  take();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  take();
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) unexpected(fmt::format("'{}'", op));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) unexpected(fmt::format("'{}'", name));
}

void Parser::expect_kind(TokenKind kind, std::string_view what) {
  if (current().kind != kind) unexpected(what);
  take();
}

std::string Parser::take_identifier(std::string_view what) {
  if (current().kind != TokenKind::name) unexpected(what);
  return take().text;
}

void Parser::unexpected(std::string_view wanted) const {
  const std::string found = current().kind == TokenKind::end ? "the end of the template"
                                                             : fmt::format("'{}'", current().text);
  fail(current().at, fmt::format("expected {}; found {}", wanted, found));
}

Block Parser::parse_template() {
  Block body = parse_body({});
  if (current().kind != TokenKind::end) unexpected("the end of the template");
  return body;
}

Block Parser::parse_body(Words ends) {
  const Nest nest(*this);
  Block body;
  for (;;) {
    const Position at = current().at;
    switch (current().kind) {
      case TokenKind::text:
        body.push_back({at, TextOutput{Value::text(take().text, Origin::source)}});
        break;
      case TokenKind::output_begin:
        take();
        body.push_back({at, Output{parse_tuple(true)}});
        expect_kind(TokenKind::output_end, "'}}'");
        break;
      case TokenKind::block_begin: {
        take();
        const bool done =
            std::any_of(ends.begin(), ends.end(), [this](auto end) { return at_name(end); });
        if (done) return body;
        body.push_back(parse_statement());
        break;
      }
      default:
        if (ends.size() == 0) return body;
        unexpected(fmt::format("{{% {} %}}", *(ends.end() - 1)));
    }
  }
}

void Parser::finish_block(std::string_view end) {
  if (!end.empty()) expect_name(end);
  expect_kind(TokenKind::block_end, "'%}'");
}

Statement Parser::parse_statement() {
  const Token tag = current();
  const std::string name = take_identifier("the name of a tag");
  if (name == "if") return parse_if(tag.at);
  if (name == "for") return parse_for(tag.at);
  if (name == "set") return parse_set(tag.at);
  if (name == "macro") return parse_macro(tag.at);
  if (name == "call") return parse_call_block(tag.at);
  if (name == "filter") return parse_filter_block(tag.at);
  if (name == "with") return parse_with(tag.at);
  if (name == "generation") return parse_generation(tag.at);
  if (name == "break" || name == "continue") return parse_loop_exit(tag.at, name == "break");
  fail(tag.at,
       fmt::format("tags are if, for, set, macro, call, filter, with, raw, generation, break and "
                   "continue; found '{}'",
                   name));
}

Statement Parser::parse_if(Position at) {
  If node;
  for (;;) {
    ExpressionPtr condition = parse_tuple(false);
    finish_block("");
    Block body = parse_body({"elif", "else", "endif"});
    node.branches.emplace_back(std::move(condition), std::move(body));
    if (!skip_name("elif")) break;
  }
  if (skip_name("else")) {
    finish_block("");
    node.otherwise = parse_body({"endif"});
  }
  finish_block("endif");
  return {at, std::move(node)};
}

Statement Parser::parse_for(Position at) {
  For node;
  node.target = parse_target(false);
  expect_name("in");
  node.items = parse_tuple(false, {"recursive"});
  if (skip_name("if")) node.condition = parse_expression();
  if (at_name("recursive")) fail(current().at, "loops do not call themselves; found 'recursive'");
  finish_block("");
  ++loops_;
  node.body = parse_body({"else", "endfor"});
  --loops_;
  if (skip_name("else")) {
    finish_block("");
    node.otherwise = parse_body({"endfor"});
  }
  finish_block("endfor");
  return {at, std::move(node)};
}

Statement Parser::parse_set(Position at) {
  Target target = parse_target(true);
  if (skip_op("=")) {
    Set node{std::move(target), parse_tuple(true)};
    finish_block("");
    return {at, std::move(node)};
  }
  SetBlock node{std::move(target), make(at, BlockText{}), {}};
  while (skip_op("|")) node.value = parse_filter(std::move(node.value));
  finish_block("");
  node.body = parse_body({"endset"});
  finish_block("endset");
  return {at, std::move(node)};
}

std::vector<Parameter> Parser::parse_parameters() {
  std::vector<Parameter> parameters;
  expect_op("(");
  while (!skip_op(")")) {
    if (!parameters.empty()) expect_op(",");
    if (skip_op(")")) break;
    const Position at = current().at;
    Parameter parameter{take_identifier("the name of a parameter"), nullptr};
    if (skip_op("=")) {
      parameter.fallback = parse_expression();
    } else if (!parameters.empty() && parameters.back().fallback) {
      fail(at, fmt::format("parameters after one with a default have defaults too; found '{}'",
                           parameter.name));
    }
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

Block Parser::parse_macro_body(MacroDefinition& macro, std::string_view end) {
  finish_block("");
  macros_.push_back(&macro);
  const int outer_loops = std::exchange(loops_, 0);
  Block body = parse_body({end});
  loops_ = outer_loops;
  macros_.pop_back();
  finish_block(end);
  return body;
}

Statement Parser::parse_macro(Position at) {
  auto macro = std::make_unique<MacroDefinition>();
  macro->name = take_identifier("the name of the macro");
  macro->parameters = parse_parameters();
  macro->body = parse_macro_body(*macro, "endmacro");
  return {at, DefineMacro{std::move(macro)}};
}

Statement Parser::parse_call_block(Position at) {
  auto caller = std::make_unique<MacroDefinition>();
  caller->name = "caller";
  if (at_op("(")) caller->parameters = parse_parameters();
  const Position call_at = current().at;
  ExpressionPtr call = parse_expression();
  if (!std::holds_alternative<Call>(call->node))
    fail(call_at, "a call block calls something; found no call");
  caller->body = parse_macro_body(*caller, "endcall");
  return {at, CallBlock{std::move(call), std::move(caller)}};
}

Statement Parser::parse_filter_block(Position at) {
  FilterBlock node{make(at, BlockText{}), {}};
  do node.value = parse_filter(std::move(node.value));
  while (skip_op("|"));
  finish_block("");
  node.body = parse_body({"endfilter"});
  finish_block("endfilter");
  return {at, std::move(node)};
}

Statement Parser::parse_with(Position at) {
  ScopedBlock node;
  while (current().kind != TokenKind::block_end) {
    if (!node.assignments.empty()) expect_op(",");
    Target target = parse_single_target(false);
    expect_op("=");
    node.assignments.emplace_back(std::move(target), parse_expression());
  }
  finish_block("");
  node.body = parse_body({"endwith"});
  finish_block("endwith");
  return {at, std::move(node)};
}

Statement Parser::parse_generation(Position at) {
  ScopedBlock node;
  finish_block("");
  node.body = parse_body({"endgeneration"});
  finish_block("endgeneration");
  return {at, std::move(node)};
}

Statement Parser::parse_loop_exit(Position at, bool is_break) {
  if (loops_ == 0) fail(at, "break and continue stand inside a loop; found none around");
  finish_block("");
  return {at, LoopExit{is_break}};
}

Target Parser::parse_target(bool attributes) {
  const Position at = current().at;
  Target first = parse_single_target(attributes);
  if (!at_op(",")) return first;
  Target tuple{at, "", "", {}};
  tuple.parts.push_back(std::move(first));
  while (skip_op(",")) {
    if (current().kind != TokenKind::name && !at_op("(")) break;
    if (at_name("in")) break;
    tuple.parts.push_back(parse_single_target(attributes));
  }
  return tuple;
}

Target Parser::parse_single_target(bool attributes) {
  const Nest nest(*this);
  const Position at = current().at;
  if (skip_op("(")) {
    Target target = parse_target(attributes);
    expect_op(")");
    return target;
  }
  Target target{at, take_identifier("a name to assign to"), "", {}};
  constexpr std::string_view kConstants[] = {"true", "True", "false", "False", "none", "None"};
  if (std::find(std::begin(kConstants), std::end(kConstants), target.name) !=
      std::end(kConstants)) {
    fail(at, fmt::format("constants keep their value; found an assignment to '{}'", target.name));
  }
  if (attributes && skip_op(".")) target.attribute = take_identifier("the name of an attribute");
  return target;
}

}  // namespace limbeck::jinja
