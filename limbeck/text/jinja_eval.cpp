#include "limbeck/text/jinja_eval.h"

#include "limbeck/text/jinja_operators.h"

#include <algorithm>

namespace limbeck::jinja {

Value* Scope::find(std::string_view name) {
  for (auto& entry : names) {
    if (entry.first == name) return &entry.second;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  if (Value* known = find(name)) {
    *known = std::move(value);
  } else {
    names.emplace_back(name, std::move(value));
  }
}

class Interpreter::Depth {
 public:
  Depth(int& depth, int most, std::string_view what) : depth_(depth) {
    if (depth_ >= most) throw Fault("{} nest at most {} deep; found more", what, most);
    ++depth_;
  }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

Interpreter::Interpreter(std::string_view name, int64_t now)
    : name_(name), now_(now), globals_(&open_scope(nullptr)), scope_(&open_scope(globals_)) {}

Text Interpreter::render(const Block& body) {
  run(body);
  return std::move(out_);
}

void Interpreter::charge(size_t steps) {
  steps_ += steps;
  if (steps_ > kMaxSteps) throw Fault("a template takes at most {} steps; found more", kMaxSteps);
}

void Interpreter::charge_bytes(size_t bytes) {
  if (bytes > kMaxTextBytes) {
    throw Fault("a string has at most {} bytes; found {}", kMaxTextBytes, bytes);
  }
  charge(bytes / 1024);
}

Scope& Interpreter::open_scope(Scope* parent) {
  if (free_scopes_.empty()) {
    scopes_.push_back({parent, {}, false});
    return scopes_.back();
  }
  Scope& scope = *free_scopes_.back();
  free_scopes_.pop_back();
  scope.parent = parent;
  return scope;
}

void Interpreter::close_scope(Scope& scope) {
  if (scope.captured) return;
  scope.names.clear();
  free_scopes_.push_back(&scope);
}

Interpreter::Flow Interpreter::run(const Block& body) {
  for (const Statement& statement : body) {
    const Flow flow = run(statement);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Statement& statement) {
  try {
    const Depth depth(depth_, kMaxEvaluationDepth, "evaluations");
    charge(1);
    return std::visit([this](const auto& node) { return run(node); }, statement.node);
  } catch (const Fault& fault) {
    fail_at(name_, statement.at, fault.what());
  }
}

void Interpreter::write(const Text& text) {
  charge_bytes(text.size());
  if (out_.size() + text.size() > kMaxTextBytes) {
    throw Fault("the output has at most {} bytes; found more", kMaxTextBytes);
  }
  out_.append(text);
}

Interpreter::Flow Interpreter::run(const TextOutput& node) {
  write(*node.text.as_text());
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Output& node) {
  const Value value = evaluate(*node.value);
  charge_value(value);
  if (const Text* text = value.as_text()) {
    write(*text);
  } else {
    write(to_text(value));
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const If& node) {
  for (const auto& [condition, body] : node.branches) {
    if (evaluate(*condition).truth()) return run(body);
  }
  return run(node.otherwise);
}

Interpreter::Flow Interpreter::run(const For& node) {
  const Value container = evaluate(*node.items);
  const Text* text = container.as_text();
  charge(text ? text->size() : container.weight() / 16);
  std::vector<Value> items = iterate(container);
  if (node.condition) items = select_items(node, std::move(items));
  if (!items.empty()) return run_items(node, std::move(items));
  Scope& scope = open_scope(scope_);
  Scope* const outer = std::exchange(scope_, &scope);
  const Flow flow = run(node.otherwise);
  scope_ = outer;
  close_scope(scope);
  return flow;
}

std::vector<Value> Interpreter::select_items(const For& node, std::vector<Value> items) {
  std::vector<Value> selected;
  Scope& scope = open_scope(scope_);
  Scope* const outer = std::exchange(scope_, &scope);
  for (Value& item : items) {
    assign(node.target, item);
    if (evaluate(*node.condition).truth()) selected.push_back(std::move(item));
  }
  scope_ = outer;
  close_scope(scope);
  return selected;
}

Interpreter::Flow Interpreter::run_items(const For& node, std::vector<Value> items) {
  const auto loop = std::make_shared<LoopState>();
  loop->items = std::move(items);
  Scope& scope = open_scope(scope_);
  Scope* const outer = std::exchange(scope_, &scope);
  for (size_t i = 0; i < loop->items.size(); ++i) {
    charge(1);
    loop->index = i;
    scope.names.clear();  // what one pass sets is gone in the next
    scope.set("loop", std::shared_ptr<const LoopState>(loop));
    assign(node.target, loop->items[i]);
    if (run(node.body) == Flow::leave_loop) break;
  }
  scope_ = outer;
  close_scope(scope);
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Set& node) {
  assign(node.target, evaluate(*node.value));
  return Flow::normal;
}

Text Interpreter::capture(const Block& body) {
  Text outside = std::exchange(out_, Text());
  Scope& scope = open_scope(scope_);
  Scope* const outer = std::exchange(scope_, &scope);
  run(body);
  scope_ = outer;
  close_scope(scope);
  return std::exchange(out_, std::move(outside));
}

Value Interpreter::filtered_block(const Block& body, const Expression& filters) {
  Value outer = std::exchange(block_text_, Value(capture(body)));
  Value value = evaluate(filters);
  block_text_ = std::move(outer);
  return value;
}

Interpreter::Flow Interpreter::run(const SetBlock& node) {
  assign(node.target, filtered_block(node.body, *node.value));
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const FilterBlock& node) {
  const Value value = filtered_block(node.body, *node.value);
  charge_value(value);
  write(to_text(value));
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const DefineMacro& node) {
  scope_->set(node.definition->name, closure(*node.definition));
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const CallBlock& node) {
  const auto& call_node = std::get<Call>(node.call->node);
  const Value callee = evaluate(*call_node.callee);
  CallArgs args = evaluate(call_node.arguments);
  args.named.emplace_back("caller", closure(*node.caller));
  write(to_text(call(callee, args)));
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const ScopedBlock& node) {
  std::vector<Value> values;
  for (const auto& assignment : node.assignments) values.push_back(evaluate(*assignment.second));
  Scope& scope = open_scope(scope_);
  Scope* const outer = std::exchange(scope_, &scope);
  for (size_t i = 0; i < values.size(); ++i)
    assign(node.assignments[i].first, std::move(values[i]));
  const Flow flow = run(node.body);
  scope_ = outer;
  close_scope(scope);
  return flow;
}

void Interpreter::assign(const Target& target, Value value) {
  if (!target.parts.empty()) {
    const std::vector<Value> values = iterate(value);
    if (values.size() != target.parts.size()) {
      throw Fault("an unpacked value has as many items as there are names; found {} and {}",
                  values.size(), target.parts.size());
    }
    for (size_t i = 0; i < values.size(); ++i) assign(target.parts[i], values[i]);
    return;
  }
  if (target.attribute.empty()) {
    scope_->set(target.name, std::move(value));
    return;
  }
  const Value holder = evaluate(Name{target.name});
  Namespace* names = holder.as_namespace();
  if (!names) throw Fault("only a namespace's attributes can be set; found {}", holder.type_name());
  if (value.as_namespace())
    throw Fault("namespaces hold no namespaces; found one for '{}'", target.attribute);
  if (Value* known = names->find(target.attribute)) {
    *known = std::move(value);
  } else {
    names->entries.emplace_back(target.attribute, std::move(value));
  }
}

Value Interpreter::closure(const MacroDefinition& definition) {
  for (Scope* scope = scope_; scope && !scope->captured; scope = scope->parent)
    scope->captured = true;
  return Function{definition.name, MacroClosure{&definition, scope_}};
}

Value Interpreter::call(const Value& callee, const CallArgs& args) {
  const Function* function = callee.as_function();
  if (!function) {
    if (callee.is_undefined())
      throw Fault("only functions can be called; found {}", describe_undefined(callee));
    throw Fault("only functions can be called; found {}", callee.type_name());
  }
  const Depth depth(calls_, kMaxDepth, "calls");
  if (const auto* builtin = std::get_if<Builtin>(&function->target)) return (*builtin)(*this, args);
  if (const auto* method = std::get_if<Method>(&function->target)) {
    return call_method(*this, method->self, function->name, args);
  }
  return call_macro(std::get<MacroClosure>(function->target), args);
}

Value Interpreter::call_macro(const MacroClosure& closure, const CallArgs& args) {
  Text outside = std::exchange(out_, Text());
  Scope& scope = open_scope(closure.scope);
  Scope* const outer = std::exchange(scope_, &scope);
  bind_parameters(*closure.definition, args);
  run(closure.definition->body);
  scope_ = outer;
  close_scope(scope);
  return std::exchange(out_, std::move(outside));
}

void Interpreter::bind_parameters(const MacroDefinition& macro, const CallArgs& args) {
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    const auto named = std::find_if(args.named.begin(), args.named.end(),
                                    [&](const auto& arg) { return arg.first == parameter.name; });
    Value value = Value::undefined(parameter.name);
    if (i < args.positional.size()) {
      value = args.positional[i];
    } else if (named != args.named.end()) {
      value = named->second;
    } else if (parameter.fallback) {
      value = evaluate(*parameter.fallback);
    }
    scope_->set(parameter.name, std::move(value));
  }
  bind_surplus(macro, args);
}

void Interpreter::bind_surplus(const MacroDefinition& macro, const CallArgs& args) {
  const size_t count = macro.parameters.size();
  std::vector<Value> positional;
  if (args.positional.size() > count) {
    positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(count),
                      args.positional.end());
  }
  std::vector<std::pair<Value, Value>> named;
  Value caller = Value::undefined("caller");
  for (const auto& [name, value] : args.named) {
    const auto parameter = std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                        [&name = name](const auto& p) { return p.name == name; });
    const auto index = static_cast<size_t>(parameter - macro.parameters.begin());
    if (index < count && index >= args.positional.size()) continue;
    if (name == "caller" && macro.uses_caller) {
      caller = value;
    } else {
      if (!macro.uses_kwargs)
        throw Fault("macro {} takes no argument '{}'; found one", macro.name, name);
      named.emplace_back(Value::text(name, Origin::source), value);
    }
  }
  if (!positional.empty() && !macro.uses_varargs) {
    throw Fault("macro {} takes at most {} arguments; found {}", macro.name, count,
                args.positional.size());
  }
  if (macro.uses_varargs)
    scope_->set("varargs", Value::list(std::move(positional), ListKind::tuple));
  if (macro.uses_kwargs) scope_->set("kwargs", Value::dict(std::move(named)));
  if (macro.uses_caller && !scope_->find("caller")) scope_->set("caller", std::move(caller));
}

Value Interpreter::evaluate(const Expression& expression) {
  try {
    const Depth depth(depth_, kMaxEvaluationDepth, "evaluations");
    charge(1);
    return std::visit([this](const auto& node) { return evaluate(node); }, expression.node);
  } catch (const Fault& fault) {
    fail_at(name_, expression.at, fault.what());
  }
}

}  // namespace limbeck::jinja
