/// Syntax tree of the template language. Chains of one precedence are flat, so that the depth of
/// the tree says how deeply a person nested things, not how long a sum is.
#pragma once

#include "limbeck/text/jinja_lexer.h"
#include "limbeck/text/jinja_value.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace limbeck::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Block = std::vector<Statement>;

/// Filters and tests are resolved when a template is compiled.
using Filter = Value (*)(Interpreter&, const Value& input, const CallArgs&);
using Test = bool (*)(Interpreter&, const Value& input, const CallArgs&);

enum class BinaryOp { add, subtract, multiply, divide, floor_divide, modulo, power, join };
enum class CompareOp { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };
enum class UnaryOp { negate, plus, logical_not };

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListLiteral {
  std::vector<ExpressionPtr> items;
  ListKind kind;
};
struct DictLiteral {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Subscript {
  ExpressionPtr object, index;
};
struct Slice {
  ExpressionPtr object, begin, end, step;  ///< bounds may be null
};
struct Call {
  ExpressionPtr callee;
  Arguments arguments;
};
struct FilterCall {
  ExpressionPtr input;
  Filter filter;
  Arguments arguments;
};
struct TestCall {
  ExpressionPtr input;
  Test test;
  Arguments arguments;
  bool negated;
};
struct Unary {
  UnaryOp op;
  ExpressionPtr operand;
};
struct BinaryChain {
  ExpressionPtr first;
  std::vector<std::pair<BinaryOp, ExpressionPtr>> rest;  ///< applied from left to right
};
struct Comparison {
  ExpressionPtr first;
  std::vector<std::pair<CompareOp, ExpressionPtr>> rest;  ///< a < b < c holds when each link does
};
struct Logic {
  bool is_or;
  std::vector<ExpressionPtr> operands;
};
struct Conditional {
  ExpressionPtr condition, yes, no;  ///< no may be null: undefined
};
/// The text of the block whose filters are being applied ({% set x | trim %}, {% filter trim %}).
struct BlockText {};

struct Expression {
  Position at;
  int height = 1;
  std::variant<Literal, Name, ListLiteral, DictLiteral, Attribute, Subscript, Slice, Call,
               FilterCall, TestCall, Unary, BinaryChain, Comparison, Logic, Conditional, BlockText>
      node;
};

/// A name, an attribute of a namespace, or a tuple of targets.
struct Target {
  Position at;
  std::string name, attribute;
  std::vector<Target> parts;
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  ///< may be null
};

struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
};

struct TextOutput {
  Value text;
};
struct Output {
  ExpressionPtr value;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  Block otherwise;
};
struct For {
  Target target;
  ExpressionPtr items, condition;  ///< condition may be null
  Block body, otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  ExpressionPtr value;  ///< filters over BlockText
  Block body;
};
struct FilterBlock {
  ExpressionPtr value;
  Block body;
};
struct DefineMacro {
  std::unique_ptr<MacroDefinition> definition;
};
struct CallBlock {
  ExpressionPtr call;
  std::unique_ptr<MacroDefinition> caller;
};
/// {% generation %} and {% with %}: a scope of its own.
struct ScopedBlock {
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Block body;
};
struct LoopExit {
  bool is_break;
};

struct Statement {
  Position at;
  std::variant<TextOutput, Output, If, For, Set, SetBlock, FilterBlock, DefineMacro, CallBlock,
               ScopedBlock, LoopExit>
      node;
};

}  // namespace limbeck::jinja
