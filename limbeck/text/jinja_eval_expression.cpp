#include "limbeck/text/jinja_eval.h"

#include "limbeck/text/jinja_operators.h"

#include <algorithm>

namespace limbeck::jinja {

Value Interpreter::evaluate(const Name& node) {
  for (Scope* scope = scope_; scope; scope = scope->parent) {
    charge(scope->names.size() / 64);
    if (const Value* value = scope->find(node.name)) return *value;
  }
  if (const Builtin builtin = find_global(node.name)) return Function{node.name, builtin};
  return Value::undefined(node.name);
}

Value Interpreter::evaluate(const ListLiteral& node) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const auto& item : node.items) items.push_back(evaluate(*item));
  return Value::list(std::move(items), node.kind);
}

Value Interpreter::evaluate(const DictLiteral& node) {
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key_node, value_node] : node.entries) {
    Value key = evaluate(*key_node);
    Value value = evaluate(*value_node);
    charge(entries.size() / 64);
    const auto known = std::find_if(entries.begin(), entries.end(),
                                    [&](const auto& entry) { return equal(entry.first, key); });
    if (known == entries.end()) {
      entries.emplace_back(std::move(key), std::move(value));
    } else {
      known->second = std::move(value);
    }
  }
  return Value::dict(std::move(entries));
}

Value Interpreter::evaluate(const Attribute& node) {
  return get_attribute(*this, evaluate(*node.object), node.name);
}

Value Interpreter::evaluate(const Subscript& node) {
  const Value object = evaluate(*node.object);
  return get_item(*this, object, evaluate(*node.index));
}

Value Interpreter::evaluate(const Slice& node) {
  const Value object = evaluate(*node.object);
  const Value begin = node.begin ? evaluate(*node.begin) : None{};
  const Value end = node.end ? evaluate(*node.end) : None{};
  const Value step = node.step ? evaluate(*node.step) : None{};
  return get_slice(*this, object, begin, end, step);
}

CallArgs Interpreter::evaluate(const Arguments& arguments) {
  CallArgs args;
  args.positional.reserve(arguments.positional.size());
  for (const auto& argument : arguments.positional) args.positional.push_back(evaluate(*argument));
  for (const auto& [name, argument] : arguments.named) {
    charge(args.named.size() / 64);
    const bool twice =
        std::any_of(args.named.begin(), args.named.end(),
                    [&name = name](const auto& known) { return known.first == name; });
    if (twice) throw Fault("an argument is given once; found '{}' twice", name);
    args.named.emplace_back(name, evaluate(*argument));
  }
  return args;
}

Value Interpreter::evaluate(const Call& node) {
  const Value callee = evaluate(*node.callee);
  return call(callee, evaluate(node.arguments));
}

Value Interpreter::evaluate(const FilterCall& node) {
  const Value input = evaluate(*node.input);
  return node.filter(*this, input, evaluate(node.arguments));
}

Value Interpreter::evaluate(const TestCall& node) {
  const Value input = evaluate(*node.input);
  return node.test(*this, input, evaluate(node.arguments)) != node.negated;
}

Value Interpreter::evaluate(const Unary& node) {
  const Value value = evaluate(*node.operand);
  switch (node.op) {
    case UnaryOp::logical_not: return !value.truth();
    case UnaryOp::negate: return negated(value);
    case UnaryOp::plus: break;
  }
  if (value.is_integer_like()) return value.as_integer("the operand of +");
  return value.as_double("the operand of +");
}

Value Interpreter::evaluate(const BinaryChain& node) {
  Value value = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) value = apply(*this, op, value, evaluate(*operand));
  return value;
}

Value Interpreter::evaluate(const Comparison& node) {
  Value left = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!compare(*this, op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate(const Logic& node) {
  Value value;
  for (const auto& operand : node.operands) {
    value = evaluate(*operand);
    if (value.truth() == node.is_or) break;
  }
  return value;
}

Value Interpreter::evaluate(const Conditional& node) {
  if (evaluate(*node.condition).truth()) return evaluate(*node.yes);
  return node.no ? evaluate(*node.no) : Value::undefined("the missing else of an inline if");
}

}  // namespace limbeck::jinja
