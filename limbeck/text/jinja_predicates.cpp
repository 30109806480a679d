// The tests after `is`.
#include "limbeck/text/jinja_arguments.h"
#include "limbeck/text/jinja_operators.h"
#include "limbeck/text/jinja_parser.h"

#include <algorithm>

namespace limbeck::jinja {
namespace {

using Predicate = bool (*)(const Value&);

template <Predicate kPredicate>
bool plain(Interpreter&, const Value& input, const CallArgs& args) {
  const Bound bound("the test", args, {});
  return kPredicate(input);
}

template <CompareOp kOp>
bool comparison(Interpreter& interpreter, const Value& input, const CallArgs& args) {
  const Bound bound("a comparing test", args, {"other"}, 1);
  return compare(interpreter, kOp, input, bound.at(0));
}

int64_t remainder(const Value& input, int64_t divisor) {
  const int64_t number = input.as_integer("the input of a divisibility test");
  if (divisor == 0) throw Fault("the divisor must not be zero; found 0");
  return divisor == -1 ? 0 : number % divisor;
}

bool divisible(Interpreter&, const Value& input, const CallArgs& args) {
  const Bound bound("divisibleby", args, {"num"}, 1);
  return remainder(input, bound.integer(0, 1)) == 0;
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_string(const Value& v) { return v.as_text(); }
bool is_mapping(const Value& v) { return v.as_dict(); }
bool is_iterable(const Value& v) {
  return v.as_text() || v.as_list() || v.as_dict() || v.as_loop() || v.is_undefined();
}
bool is_sequence(const Value& v) {
  return v.as_text() || (v.as_list() && v.as_list()->kind != ListKind::lazy) || v.as_dict() ||
         v.is_undefined();
}
bool is_number(const Value& v) { return v.is_number(); }
bool is_integer(const Value& v) { return v.is<int64_t>(); }
bool is_float(const Value& v) { return v.is<double>(); }
bool is_boolean(const Value& v) { return v.is<bool>(); }
bool is_true(const Value& v) { return v.is<bool>() && v.truth(); }
bool is_false(const Value& v) { return v.is<bool>() && !v.truth(); }
bool is_callable(const Value& v) { return v.as_function(); }
bool is_odd(const Value& v) { return remainder(v, 2) != 0; }
bool is_even(const Value& v) { return remainder(v, 2) == 0; }

struct NamedTest {
  std::string_view name;
  Test test;
};

constexpr NamedTest kTests[] = {{"defined", plain<is_defined>},
                                {"undefined", plain<is_undefined>},
                                {"none", plain<is_none>},
                                {"string", plain<is_string>},
                                {"mapping", plain<is_mapping>},
                                {"iterable", plain<is_iterable>},
                                {"sequence", plain<is_sequence>},
                                {"number", plain<is_number>},
                                {"integer", plain<is_integer>},
                                {"float", plain<is_float>},
                                {"boolean", plain<is_boolean>},
                                {"true", plain<is_true>},
                                {"false", plain<is_false>},
                                {"callable", plain<is_callable>},
                                {"odd", plain<is_odd>},
                                {"even", plain<is_even>},
                                {"divisibleby", divisible},
                                {"equalto", comparison<CompareOp::equal>},
                                {"eq", comparison<CompareOp::equal>},
                                {"==", comparison<CompareOp::equal>},
                                {"ne", comparison<CompareOp::not_equal>},
                                {"!=", comparison<CompareOp::not_equal>},
                                {"lt", comparison<CompareOp::less>},
                                {"lessthan", comparison<CompareOp::less>},
                                {"<", comparison<CompareOp::less>},
                                {"le", comparison<CompareOp::less_equal>},
                                {"<=", comparison<CompareOp::less_equal>},
                                {"gt", comparison<CompareOp::greater>},
                                {"greaterthan", comparison<CompareOp::greater>},
                                {">", comparison<CompareOp::greater>},
                                {"ge", comparison<CompareOp::greater_equal>},
                                {">=", comparison<CompareOp::greater_equal>},
                                {"in", comparison<CompareOp::in>}};

}  // namespace

Test find_test(std::string_view name) {
  const auto entry = std::find_if(std::begin(kTests), std::end(kTests),
                                  [&](const auto& t) { return t.name == name; });
  return entry == std::end(kTests) ? nullptr : entry->test;
}

}  // namespace limbeck::jinja
