// Hostile templates and inputs: work, depth and size stay bounded, and errors say so.
#include "limbeck/base/error.h"
#include "limbeck/text/chat_template.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace limbeck {
namespace {

std::string outcome(const std::string& source, const std::string& variables = "{}") {
  try {
    ChatOptions options;
    options.variables = variables;
    return joined_text(ChatTemplate::compile(source, "t").render({{"user", "hi"}}, options));
  } catch (const FormatError& error) {
    return error.what();
  }
}

std::string repeat(std::string_view text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

void expect_refused(const std::string& source, std::string_view rule) {
  const std::string text = outcome(source);
  EXPECT_TRUE(text.starts_with("[template] t line ")) << text.substr(0, 200);
  EXPECT_NE(text.find(rule), std::string::npos) << text.substr(0, 200);
}

TEST(JinjaLimitsTest, DeepSourceIsRefused) {
  const std::pair<const char*, const char*> nests[] = {
      {"(", ")"},   {"[", "]"},  {"{1:", "}"}, {"-", ""},
      {"not ", ""}, {"x[", "]"}, {"f(", ")"},  {"1 if 1 else ", ""}};
  for (const auto& [open, close] : nests) {
    expect_refused("{{ " + repeat(open, 100000) + "1" + repeat(close, 100000) + " }}",
                   "nest at most 64 deep");
  }
  expect_refused(repeat("{% if 1 %}", 100000), "nest at most 64 deep");
  expect_refused("{% set " + repeat("(", 100000) + repeat(")", 100000) + " %}",
                 "nest at most 64 deep");
  expect_refused("{{ x" + repeat(".a", 100000) + " }}", "nest at most 64 deep");
  expect_refused("{{ x" + repeat("|trim", 100000) + " }}", "nest at most 64 deep");
}

TEST(JinjaLimitsTest, LongChainsAreFine) {
  EXPECT_EQ(outcome("{{ 0" + repeat(" + 1", 50000) + " }}"), "50000");
  EXPECT_EQ(outcome("{{ ''" + repeat(" ~ 'ab'", 100) + " }}"), repeat("ab", 100));
  EXPECT_EQ(outcome("{% if 0 %}" + repeat("{% elif 0 %}", 5000) + "{% else %}x{% endif %}"), "x");
}

TEST(JinjaLimitsTest, EndlessWorkIsRefused) {
  const std::string loop = "{% for a in range(100000) %}";
  expect_refused(loop + loop + loop + "x", "endfor");
  const std::string end = "{% endfor %}";
  expect_refused(loop + loop + "{% set x = 1 %}" + end + end, "at most 1000000 steps");
  expect_refused(loop + loop + end + end, "at most 1000000 steps");
  expect_refused(
      "{% set a = 'a' * 16000000 %}{% for x in range(100) %}{{ a == a[1:] }}{% endfor %}", "steps");
  expect_refused(
      "{% set ns = namespace(l=[1]) %}{% for x in range(99) %}{% set ns.l = ns.l + ns.l %}{% "
      "endfor %}",
      "found");
}

TEST(JinjaLimitsTest, EndlessRecursionIsRefused) {
  expect_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls nest at most 64 deep");
  const std::string deep = repeat("(0 or ", 30) + "m()" + repeat(")", 30);
  expect_refused("{% macro m() %}{{ " + deep + " }}{% endmacro %}{{ m() }}", "nest at most");
}

TEST(JinjaLimitsTest, HugeOutputIsRefused) {
  expect_refused("{{ 'a' * 999999999999 }}", "at most 16777216 bytes");
  expect_refused("{% set a = 'a' * 10000000 %}{{ a }}{{ a }}",
                 "the output has at most 16777216 bytes");
  expect_refused("{% set a = 'a' * 1000000 %}{{ a.replace('', a) }}", "at most 16777216 bytes");
  expect_refused("{% set a = 'a' * 1000000 %}{{ a | join(a) }}", "found");
  expect_refused(
      "{% set a = 'a' * 1000000 %}{{ '%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s' % "
      "(a,a,a,a,a,a,a,a,a,a,a,a,"
      "a,a,a,a,a,a) }}",
      "at most 16777216 bytes");
  EXPECT_EQ(outcome("{% set a = 'a' * 16777216 %}{{ a }}").size(), 16777216u);
}

TEST(JinjaLimitsTest, RangesAreShort) {
  expect_refused("{{ range(100001) }}", "range has at most 100000 items");
  expect_refused("{{ range(-9223372036854775807, 9223372036854775807) }}",
                 "range has at most 100000 items");
  EXPECT_EQ(outcome("{{ range(100000) | length }}"), "100000");
  EXPECT_EQ(outcome("{{ range(9223372036854775806, 9223372036854775807, 5) | length }}"), "1");
}

TEST(JinjaLimitsTest, DeepAndSelfSimilarValuesAreRefused) {
  const std::string grow = "{% set ns = namespace(l=[1]) %}{% for x in range(1000) %}";
  expect_refused(grow + "{% set ns.l = [ns.l] %}{% endfor %}", "values nest at most 64 deep");
  expect_refused(grow + "{% set ns.l = {'a': ns.l} %}{% endfor %}", "values nest at most 64 deep");
  expect_refused(grow + "{% set ns.l = [ns.l, ns.l] %}{% endfor %}", "a value has at most");
  expect_refused("{% set l = [1] %}{% for x in range(9) %}{% set _ = l.append([l]) %}{% endfor %}",
                 "append");
  expect_refused("{% set n = namespace() %}{% set n.n = n %}", "namespaces hold no namespaces");
  expect_refused("{% set n = namespace() %}{% set n.n = [n] %}", "hold data only");
}

TEST(JinjaLimitsTest, DeepInputsAreRefused) {
  const std::string deep = "{\"v\":" + repeat("[", 5000) + repeat("]", 5000) + "}";
  EXPECT_EQ(outcome("x", deep),
            "[template] t variable v: input values nest at most 64 deep; found more");
  EXPECT_EQ(outcome("x", "{\"v\":18446744073709551615}"),
            "[template] t variable v: integers have 64 bits with sign; found 18446744073709551615");
}

TEST(JinjaLimitsTest, EqualListsOfListsTakeBoundedWork) {
  const std::string pair =
      "{% set ns = namespace(a=[1], b=[1]) %}{% for x in range(18) %}{% set ns.a = [ns.a, ns.a] %}"
      "{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
  EXPECT_EQ(outcome(pair + "{{ ns.a == ns.b }}"), "True");
  expect_refused(pair + "{% for x in range(1000) %}{{ ns.a == ns.b }}{% endfor %}", "steps");
}

/// Any bytes at all: either a result or a FormatError, never a crash.
TEST(JinjaLimitsTest, RandomTokensNeverCrash) {
  const char* words[] = {
      "{{",   "}}",     "{%",     "%}",       "{#",      "#}",       "-",     "+",     "if",
      "else", "endif",  "for",    "in",       "x",       "set",      "=",     "(",     ")",
      "[",    "]",      ":",      "|",        "trim",    "list",     "map",   "'a'",   "1",
      "~",    ".",      "is",     "defined",  "not",     "and",      "macro", "{",     "}",
      ",",    " ",      "\n",     "messages", "join",    "endfor",   "\xff",  "loop",  "%",
      "**",   "endset", "caller", "call",     "endcall", "endmacro", "sort",  "first", "tojson"};
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string source = round % 2 == 0 ? "{{ " : "{% ";
    for (unsigned length = random() % 14; length > 0; --length) {
      source += words[random() % std::size(words)];
      source += ' ';
    }
    source += round % 2 == 0 ? "}}" : "%}{% endif %}";
    outcome(source);
  }
}

}  // namespace
}  // namespace limbeck
