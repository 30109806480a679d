#include "limbeck/text/jinja_operators.h"

#include <algorithm>
#include <cmath>

namespace limbeck::jinja {
namespace {

void refuse_undefined(const Value& value) {
  if (value.is_undefined())
    throw Fault("operands must be defined; found {}", describe_undefined(value));
}

[[noreturn]] void refuse_operands(std::string_view op, const Value& a, const Value& b) {
  throw Fault("{} takes two operands that fit together; found {} and {}", op, a.type_name(),
              b.type_name());
}

[[noreturn]] void refuse_overflow() {
  throw Fault("integers have 64 bits with sign; found a larger result");
}

int64_t checked_multiply(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) refuse_overflow();
  return result;
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) throw Fault("the divisor must not be zero; found {} divided by 0", a);
  if (b == -1) return checked_multiply(a, -1);
  const int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  if (base == 0 || base == 1) return exponent == 0 ? int64_t{1} : base;
  if (base == -1) return exponent % 2 == 0 ? int64_t{1} : int64_t{-1};
  int64_t result = 1;
  for (; exponent > 0; --exponent) result = checked_multiply(result, base);
  return result;
}

Value integer_op(BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOp::add:
      if (__builtin_add_overflow(a, b, &result)) refuse_overflow();
      return result;
    case BinaryOp::subtract:
      if (__builtin_sub_overflow(a, b, &result)) refuse_overflow();
      return result;
    case BinaryOp::multiply: return checked_multiply(a, b);
    case BinaryOp::floor_divide: return floor_divide(a, b);
    case BinaryOp::modulo: return b == -1 ? int64_t{0} : a - floor_divide(a, b) * b;
    case BinaryOp::power: return integer_power(a, b);
    default: break;
  }
  if (b == 0) throw Fault("the divisor must not be zero; found {} divided by 0", a);
  return static_cast<double>(a) / static_cast<double>(b);
}

Value real_op(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add: return a + b;
    case BinaryOp::subtract: return a - b;
    case BinaryOp::multiply: return a * b;
    case BinaryOp::power: return std::pow(a, b);
    default: break;
  }
  if (b == 0) throw Fault("the divisor must not be zero; found {} divided by 0", a);
  if (op == BinaryOp::divide) return a / b;
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  return op == BinaryOp::modulo ? rest : std::round((a - rest) / b);
}

Value concatenate(Interpreter& interpreter, const Text& a, const Text& b) {
  interpreter.charge_bytes(a.size() + b.size());
  Text result = a;
  result.append(b);
  return result;
}

Value concatenate(Interpreter& interpreter, const List& a, const List& b) {
  interpreter.charge((a.items.size() + b.items.size()) / 16);
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return Value::list(std::move(items), a.kind);
}

Value repeated(Interpreter& interpreter, const Value& value, int64_t count) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  if (const Text* text = value.as_text()) {
    if (text->size() > 0 && times > kMaxTextBytes / text->size()) {
      throw Fault("a string has at most {} bytes; found more", kMaxTextBytes);
    }
    interpreter.charge_bytes(text->size() * times);
    Text result;
    for (size_t i = 0; i < times && !text->empty(); ++i) result.append(*text);
    return result;
  }
  const List& list = *value.as_list();
  if (!list.items.empty() && times > kMaxWeight / list.items.size()) {
    throw Fault("a list has at most {} items; found more", kMaxWeight);
  }
  interpreter.charge(list.items.size() * times / 16);
  std::vector<Value> items;
  for (size_t i = 0; i < times && !list.items.empty(); ++i) {
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return Value::list(std::move(items), list.kind);
}

bool is_repeatable(const Value& value) {
  return value.as_text() || (value.as_list() && value.as_list()->kind != ListKind::lazy);
}

std::string_view op_name(BinaryOp op) {
  constexpr std::string_view kNames[] = {"+", "-", "*", "/", "//", "%", "**", "~"};
  return kNames[static_cast<size_t>(op)];
}

/// Start and step of a Python slice over `size` items, and the number of items it picks.
struct Picks {
  int64_t begin, step, count;
};

int64_t bound(const Value& value, int64_t absent, int64_t low, int64_t high, int64_t size) {
  if (value.is_none()) return absent;
  const int64_t at = value.as_integer("the bound of a slice");
  return std::clamp(at < 0 ? (at < -size ? low : at + size) : at, low, high);
}

Picks picks_of(const Value& begin, const Value& end, const Value& step, int64_t size) {
  int64_t stride = step.is_none() ? 1 : step.as_integer("the step of a slice");
  if (stride == 0) throw Fault("the step of a slice must not be zero; found 0");
  stride = std::clamp<int64_t>(stride, -kMaxRange * 1000, kMaxRange * 1000);
  const bool forward = stride > 0;
  const int64_t low = forward ? 0 : -1, high = forward ? size : size - 1;
  const int64_t first = bound(begin, forward ? low : high, low, high, size);
  const int64_t last = bound(end, forward ? high : low, low, high, size);
  const int64_t span = forward ? last - first : first - last;
  const int64_t width = forward ? stride : -stride;
  return {first, stride, span > 0 ? (span - 1) / width + 1 : 0};
}

}  // namespace

std::string describe_undefined(const Value& value) {
  const auto* undefined = std::get_if<Undefined>(&value.storage());
  return undefined && undefined->name ? fmt::format("'{}' undefined", *undefined->name)
                                      : std::string("an undefined value");
}

Value apply(Interpreter& interpreter, BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::join) {
    interpreter.charge_value(a);
    interpreter.charge_value(b);
    return concatenate(interpreter, to_text(a), to_text(b));
  }
  refuse_undefined(a);
  if (op == BinaryOp::modulo && a.as_text()) return format_percent(interpreter, *a.as_text(), b);
  refuse_undefined(b);
  if (a.is_integer_like() && b.is_integer_like())
    return integer_op(op, a.as_integer(""), b.as_integer(""));
  if (a.is_number() && b.is_number()) return real_op(op, a.as_double(""), b.as_double(""));
  if (op == BinaryOp::add) {
    if (a.as_text() && b.as_text()) return concatenate(interpreter, *a.as_text(), *b.as_text());
    const List *left = a.as_list(), *right = b.as_list();
    if (left && right && left->kind == right->kind && left->kind != ListKind::lazy) {
      return concatenate(interpreter, *left, *right);
    }
  }
  if (op == BinaryOp::multiply) {
    if (is_repeatable(a) && b.is_integer_like()) return repeated(interpreter, a, b.as_integer(""));
    if (is_repeatable(b) && a.is_integer_like()) return repeated(interpreter, b, a.as_integer(""));
  }
  refuse_operands(op_name(op), a, b);
}

bool contains(Interpreter& interpreter, const Value& container, const Value& item) {
  interpreter.charge_value(container);
  if (const Text* text = container.as_text()) {
    const Text* part = item.as_text();
    if (!part) throw Fault("only a string can be in a string; found {}", item.type_name());
    return text->bytes().find(part->bytes()) != std::string::npos;
  }
  if (const Dict* dict = container.as_dict()) {
    if (item.height() > 0) throw Fault("mapping keys are scalars; found a {}", item.type_name());
    return dict->find(item) != nullptr;
  }
  const std::vector<Value> items = iterate(container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& other) { return equal(other, item); });
}

bool compare(Interpreter& interpreter, CompareOp op, const Value& a, const Value& b) {
  interpreter.charge(std::min(a.weight(), b.weight()) / 8);
  const bool ordering = op != CompareOp::equal && op != CompareOp::not_equal &&
                        op != CompareOp::in && op != CompareOp::not_in;
  if (ordering) refuse_undefined(a), refuse_undefined(b);
  switch (op) {
    case CompareOp::equal: return equal(a, b);
    case CompareOp::not_equal: return !equal(a, b);
    case CompareOp::less: return less(a, b);
    case CompareOp::greater: return less(b, a);
    // Not as the negation of the opposite order: NaN is neither below nor above.
    case CompareOp::less_equal: return less(a, b) || equal(a, b);
    case CompareOp::greater_equal: return less(b, a) || equal(a, b);
    case CompareOp::in: return contains(interpreter, b, a);
    case CompareOp::not_in: break;
  }
  return !contains(interpreter, b, a);
}

Value negated(const Value& value) {
  refuse_undefined(value);
  if (value.is_integer_like()) return integer_op(BinaryOp::subtract, 0, value.as_integer(""));
  return -value.as_double("the operand of -");
}

Value get_slice(Interpreter& interpreter, const Value& value, const Value& begin, const Value& end,
                const Value& step) {
  refuse_undefined(value);
  if (const Text* text = value.as_text()) {
    interpreter.charge_bytes(text->size());
    const CharIndex index(text->bytes());
    const Picks picks = picks_of(begin, end, step, static_cast<int64_t>(index.count()));
    const auto first = static_cast<size_t>(picks.begin);
    if (picks.count == 0) return Text();
    if (picks.step == 1) {
      return text->slice(index.offset(first),
                         index.offset(first + static_cast<size_t>(picks.count)));
    }
    Text result;
    for (int64_t i = 0; i < picks.count; ++i) {
      const auto at = static_cast<size_t>(picks.begin + i * picks.step);
      result.append_slice(*text, index.offset(at), index.offset(at + 1));
    }
    return result;
  }
  const List* list = value.as_list();
  if (!list || list->kind == ListKind::lazy) {
    throw Fault("slices are taken of lists and strings; found {}", value.type_name());
  }
  interpreter.charge(list->items.size() / 16);
  const Picks picks = picks_of(begin, end, step, static_cast<int64_t>(list->items.size()));
  std::vector<Value> items;
  for (int64_t i = 0; i < picks.count; ++i) {
    items.push_back(list->items[static_cast<size_t>(picks.begin + i * picks.step)]);
  }
  return Value::list(std::move(items), list->kind);
}

}  // namespace limbeck::jinja
