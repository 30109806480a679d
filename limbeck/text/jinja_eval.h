/// Evaluator of the template language: bounded work, bounded depth, output with origins.
#pragma once

#include "limbeck/text/jinja_ast.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limbeck::jinja {

constexpr size_t kMaxSteps =
    1'000'000;  ///< nodes visited, plus the work of operations on long values
constexpr int kMaxEvaluationDepth = 1024;  ///< nodes inside nodes, through macros
constexpr int64_t kMaxRange = 100'000;     ///< items of range()

/// Names of one block. The interpreter owns all scopes, because macros refer to theirs.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string, Value>> names;
  bool captured = false;  ///< a macro refers to it, so it outlives its block

  Value* find(std::string_view name);
  void set(std::string_view name, Value value);
};

/// Renders one template once.
class Interpreter {
 public:
  /// name  the template, for error texts; now  seconds since 1970 for strftime_now
  Interpreter(std::string_view name, int64_t now);

  void define(std::string_view name, Value value) { globals_->set(name, std::move(value)); }
  /// Throws FormatError with line and column.
  Text render(const Block& body);

  // What operators, filters and functions use.
  int64_t now() const { return now_; }
  Value call(const Value& callee, const CallArgs& args);
  /// Counts work; throws Fault beyond kMaxSteps.
  void charge(size_t steps);
  /// Counts the making or reading of a string, before it happens; throws Fault beyond
  /// kMaxTextBytes.
  void charge_bytes(size_t bytes);
  void charge_value(const Value& value) { charge(value.weight() / 8); }

 private:
  enum class Flow { normal, leave_loop, next_item };
  class Depth;

  Value evaluate(const Expression& expression);
  Value evaluate(const Literal& node) { return node.value; }
  Value evaluate(const Name& node);
  Value evaluate(const ListLiteral& node);
  Value evaluate(const DictLiteral& node);
  Value evaluate(const Attribute& node);
  Value evaluate(const Subscript& node);
  Value evaluate(const Slice& node);
  Value evaluate(const Call& node);
  Value evaluate(const FilterCall& node);
  Value evaluate(const TestCall& node);
  Value evaluate(const Unary& node);
  Value evaluate(const BinaryChain& node);
  Value evaluate(const Comparison& node);
  Value evaluate(const Logic& node);
  Value evaluate(const Conditional& node);
  Value evaluate(const BlockText&) { return block_text_; }
  CallArgs evaluate(const Arguments& arguments);

  Flow run(const Block& body);
  Flow run(const Statement& statement);
  Flow run(const TextOutput& node);
  Flow run(const Output& node);
  Flow run(const If& node);
  Flow run(const For& node);
  Flow run(const Set& node);
  Flow run(const SetBlock& node);
  Flow run(const FilterBlock& node);
  Flow run(const DefineMacro& node);
  Flow run(const CallBlock& node);
  Flow run(const ScopedBlock& node);
  Flow run(const LoopExit& node) { return node.is_break ? Flow::leave_loop : Flow::next_item; }

  Flow run_items(const For& node, std::vector<Value> items);
  std::vector<Value> select_items(const For& node, std::vector<Value> items);
  Value filtered_block(const Block& body, const Expression& filters);
  void write(const Text& text);
  Text capture(const Block& body);  ///< in a scope of its own
  void assign(const Target& target, Value value);
  Value closure(const MacroDefinition& definition);
  Value call_macro(const MacroClosure& closure, const CallArgs& args);
  void bind_parameters(const MacroDefinition& macro, const CallArgs& args);
  void bind_surplus(const MacroDefinition& macro, const CallArgs& args);

  Scope& open_scope(Scope* parent);
  void close_scope(Scope& scope);

  std::string_view name_;
  int64_t now_;
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  Scope* globals_;
  Scope* scope_;  ///< current
  Text out_;
  Value block_text_;
  size_t steps_ = 0;
  int depth_ = 0, calls_ = 0;
};

}  // namespace limbeck::jinja
