/// Values of the template interpreter: Python's as far as chat templates can tell.
///
/// Goals: equality, order, truth and printing as in Python; containers of bounded depth without
/// cycles, so that printing and freeing need no guards. Non-goals: classes, integers beyond 64
/// bits.
#pragma once

#include "limbeck/text/jinja_text.h"

#include <fmt/format.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace limbeck::jinja {

class Interpreter;
class Value;
struct MacroDefinition;
struct Scope;

constexpr int kMaxDepth = 64;                       ///< nesting of source, calls and values
constexpr size_t kMaxWeight = size_t{1} << 22;      ///< of any one value, see Value::weight()
constexpr size_t kMaxTextBytes = size_t{16} << 20;  ///< of any one string, output included

/// A rule broken while evaluating; the interpreter adds template name, line and column.
class Fault : public std::runtime_error {
 public:
  template <class... Args>
  explicit Fault(fmt::format_string<Args...> form, Args&&... args)
      : std::runtime_error(fmt::format(form, std::forward<Args>(args)...)) {}
};

struct None {};
struct Undefined {
  std::shared_ptr<const std::string> name;  ///< what was looked up, for error texts; may be null
};

enum class ListKind : uint8_t {
  list,
  tuple,
  lazy,  ///< what Jinja makes a generator: always true, without length or positions
};

struct List {
  ListKind kind = ListKind::list;
  std::vector<Value> items;
  int height = 1;
  size_t weight = 1;
  bool embedded = false;  ///< inside another container: append() would falsify that one's height
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  ///< in order of insertion; keys are scalars
  int height = 1;
  size_t weight = 1;
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> entries;
  Value* find(std::string_view name);
};

struct CallArgs {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

using Builtin = Value (*)(Interpreter&, const CallArgs&);
struct Function;
struct LoopState;

class Value {
 public:
  using Storage =
      std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
                   std::shared_ptr<List>, std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
                   std::shared_ptr<const Function>, std::shared_ptr<const LoopState>>;

  Value() = default;  ///< undefined
  Value(None none) : storage_(none) {}
  Value(bool value) : storage_(value) {}
  Value(int64_t value) : storage_(value) {}
  Value(double value) : storage_(value) {}
  Value(Text text);
  Value(std::shared_ptr<Namespace> value) : storage_(std::move(value)) {}
  Value(std::shared_ptr<const LoopState> value) : storage_(std::move(value)) {}
  Value(Function function);

  static Value undefined(std::string name);
  /// Throw Fault for nesting beyond kMaxDepth and for members that could close a cycle.
  static Value list(std::vector<Value> items, ListKind kind = ListKind::list);
  static Value dict(std::vector<std::pair<Value, Value>> entries);
  static Value text(std::string_view bytes, Origin origin) {
    return Text(std::string(bytes), origin);
  }

  template <class T>
  bool is() const {
    return std::holds_alternative<T>(storage_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_number() const { return is<int64_t>() || is<double>() || is<bool>(); }

  /// Null when the value is of another kind.
  const Text* as_text() const { return pointee<std::shared_ptr<const Text>>(); }
  List* as_list() const { return pointee<std::shared_ptr<List>>(); }
  const Dict* as_dict() const { return pointee<std::shared_ptr<const Dict>>(); }
  Namespace* as_namespace() const { return pointee<std::shared_ptr<Namespace>>(); }
  const Function* as_function() const { return pointee<std::shared_ptr<const Function>>(); }
  const LoopState* as_loop() const { return pointee<std::shared_ptr<const LoopState>>(); }

  /// Booleans count as 0 and 1, as in Python. Throws Fault naming `what` for other kinds.
  int64_t as_integer(std::string_view what) const;
  double as_double(std::string_view what) const;
  bool is_integer_like() const { return is<int64_t>() || is<bool>(); }

  bool truth() const;
  std::string_view type_name() const;
  int height() const;  ///< 0 for scalars
  /// Work of visiting everything inside, shared members counted each time they occur; a string
  /// counts 1 per KiB. A few nested lists of themselves would otherwise take 2^64 steps to print.
  size_t weight() const;
  const Storage& storage() const { return storage_; }

 private:
  template <class Pointer>
  typename Pointer::element_type* pointee() const {
    const auto* pointer = std::get_if<Pointer>(&storage_);
    return pointer ? pointer->get() : nullptr;
  }
  Storage storage_;
};

struct Method {
  Value self;
};
struct MacroClosure {
  const MacroDefinition* definition;
  Scope* scope;  ///< where it was defined; the interpreter owns it
};

struct Function {
  std::string name;
  std::variant<Builtin, Method, MacroClosure> target;
};

struct LoopState {
  std::vector<Value> items;
  size_t index = 0;
};

bool equal(const Value& a, const Value& b);
/// a < b. Throws Fault for kinds without a common order.
bool less(const Value& a, const Value& b);

/// As Python's str(): the text itself for strings. Numbers count as written by the template (digits
/// cannot spell markup); the text of a container counts as input.
Text to_text(const Value& value);
/// As Python's repr().
std::string repr(const Value& value);
std::string repr_double(double value);

/// The items that a loop over `value` visits. Throws Fault for what has none.
std::vector<Value> iterate(const Value& value);

}  // namespace limbeck::jinja
