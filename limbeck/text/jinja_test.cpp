#include "limbeck/base/error.h"
#include "limbeck/text/chat_template.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include <string>

namespace limbeck {
namespace {

/// Renders over one message of the user, "hi", with further variables.
std::string rendered(const std::string& source, const std::string& variables = "{}") {
  ChatOptions options;
  options.variables = variables;
  return joined_text(ChatTemplate::compile(source, "t").render({{"user", "hi"}}, options));
}

std::string error_of(const std::string& source, const std::string& variables = "{}") {
  try {
    return "no error, but " + rendered(source, variables);
  } catch (const FormatError& error) {
    return error.what();
  }
}

TEST(JinjaTest, BlocksTakeTheirLineWithThem) {
  EXPECT_EQ(rendered("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
}

TEST(JinjaTest, MinusTakesAllWhiteSpaceAndPlusNone) {
  EXPECT_EQ(rendered("a \n {%- if true -%} \n b \n {%- endif %}\nc"), "abc");
  EXPECT_EQ(rendered("  {%+ if true +%}\nx{% endif %}"), "  \nx");
  EXPECT_EQ(rendered("a {{- ' b ' -}} c"), "a b c");
}

TEST(JinjaTest, OutputKeepsTheNewlineThatFollows) {
  EXPECT_EQ(rendered("{{ 1 }}\n{{ 2 }}\n"), "1\n2");
}

TEST(JinjaTest, CommentsAndRawBlocksAreNotEvaluated) {
  EXPECT_EQ(rendered("a{# {{ x( }} #}b{% raw %}{{ y }}{% endraw %}"), "ab{{ y }}");
}

TEST(JinjaTest, EscapesAreThoseOfPython) {
  EXPECT_EQ(rendered(R"({{ 'a\n\t\'\x41\u00e9\U0001F600\q' }})"), "a\n\t'A\u00e9\U0001F600\\q");
}

TEST(JinjaTest, ArithmeticFloorsLikePython) {
  EXPECT_EQ(rendered("{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 1 + 2 * 3 - 4 }} {{ 2 ** 10 }}"),
            "-4 2 3.5 3 1024");
}

TEST(JinjaTest, IntegersBeyond64BitsAreRefused) {
  EXPECT_EQ(error_of("{{ 9223372036854775807 + 1 }}"),
            "[template] t line 1 column 4: integers have 64 bits with sign; found a larger result");
  EXPECT_NE(error_of("{{ (-9223372036854775807 - 1) // -1 }}").find("64 bits"), std::string::npos);
  EXPECT_NE(error_of("{{ 9223372036854775808 }}").find("64 bits"), std::string::npos);
}

TEST(JinjaTest, ComparisonsChain) {
  EXPECT_EQ(rendered("{{ 1 < 2 < 3 }}{{ 3 > 2 > 2 }}"), "TrueFalse");
}

TEST(JinjaTest, SlicesCountCharactersAndMayRunBackwards) {
  EXPECT_EQ(
      rendered("{{ 'h\u00e9llo'[1:3] }} {{ 'abc'[::-1] }} {{ [1, 2, 3][-2:] }} {{ 'abc'[-1] }}"),
      "\u00e9l cba [2, 3] c");
}

TEST(JinjaTest, MethodsWinOverKeysByDotAndKeysBySubscript) {
  EXPECT_EQ(rendered("{{ d['items'] }}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}",
                     R"({"d":{"items":5}})"),
            "5items5");
}

TEST(JinjaTest, UndefinedPrintsNothingButHasNoMembers) {
  EXPECT_EQ(rendered("[{{ nothing }}{{ messages[0].nothing }}{{ messages[7] }}]"), "[]");
  EXPECT_EQ(error_of("{{ nothing.more }}"),
            "[template] t line 1 column 11: only defined values have members; found 'nothing' "
            "undefined when "
            "looking up 'more'");
}

TEST(JinjaTest, LoopsKnowTheirPlace) {
  EXPECT_EQ(
      rendered(
          "{% for x in [7, 8, 9] %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}"
          "{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}"),
      "10TrueFalse38;21FalseFalse379;32FalseTrue38;");
}

TEST(JinjaTest, LoopsFilterUnpackAndFallBack) {
  EXPECT_EQ(
      rendered(
          "{% for a, b in [(1, 2), (3, 4)] if a > 1 %}{{ a }}{{ b }}{{ loop.length }}{% endfor %}"
          "{% for x in [] %}x{% else %}none{% endfor %}"),
      "341none");
  EXPECT_EQ(rendered("{% for x in range(9) %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}"
                     "{% if x == 3 %}{% break %}{% endif %}{% endfor %}"),
            "023");
}

TEST(JinjaTest, SettingInsideALoopNeedsANamespace) {
  EXPECT_EQ(
      rendered("{% set x = 1 %}{% set ns = namespace(x=1) %}{% for i in [5, 6] %}{% set x = i %}"
               "{% set ns.x = i %}{% endfor %}{{ x }}{{ ns.x }}"),
      "16");
}

TEST(JinjaTest, BlocksCanBeSetAndFiltered) {
  EXPECT_EQ(
      rendered("{% set x | upper %}ab{{ 1 }}{% endset %}{{ x }}{% filter upper %}c{% endfilter %}"),
      "AB1C");
}

TEST(JinjaTest, MacrosTakeDefaultsKeywordsAndCallers) {
  EXPECT_EQ(
      rendered("{% macro m(a, b='B') %}{{ a }}{{ b }};{% endmacro %}{{ m(1) }}{{ m(b=2, a=3) }}"),
      "1B;32;");
  EXPECT_EQ(
      rendered(
          "{% macro m() %}<{{ caller(4) }}>{% endmacro %}{% call(x) m() %}x{{ x }}{% endcall %}"),
      "<x4>");
  EXPECT_EQ(
      rendered("{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}"),
      "1(2,){'k': 3}");
}

TEST(JinjaTest, GenerationBlocksAreTransparent) {
  EXPECT_EQ(rendered("a{% generation %}b{{ messages[0].content }}{% endgeneration %}c"), "abhic");
}

TEST(JinjaTest, TestsAfterIsTellKindsApart) {
  EXPECT_EQ(rendered("{{ 'a' is string }}{{ {} is mapping }}{{ 1 is number }}{{ true is integer "
                     "}}{{ [] is iterable }}"
                     "{{ none is none }}{{ x is defined }}{{ 3 is odd }}{{ 1 is not equalto 2 }}"),
            "TrueTrueTrueFalseTrueTrueFalseTrueTrue");
}

TEST(JinjaTest, TojsonEscapesNeitherHtmlNorNonAscii) {
  EXPECT_EQ(rendered("{{ v | tojson }}", R"({"v":{"b":"<\u00e9>&'","a":[1,2.0,null,true]}})"),
            "{\"b\": \"<\u00e9>&'\", \"a\": [1, 2.0, null, true]}");
  EXPECT_EQ(rendered("{{ v | tojson(indent=2) }}", R"({"v":{"b":[1],"a":{}}})"),
            "{\n  \"b\": [\n    1\n  ],\n  \"a\": {}\n}");
}

TEST(JinjaTest, FiltersOverItemsAreLazy) {
  EXPECT_EQ(rendered("{{ [1, 2, 3] | reject('equalto', 2) | join(',') }} {{ [{'a': 1}] | "
                     "map(attribute='a') | list }}"
                     " {{ messages | selectattr('role', 'equalto', 'user') | list | length }}"),
            "1,3 [1] 1");
  EXPECT_NE(error_of("{{ [1] | select | length }}").find("length takes"), std::string::npos);
}

TEST(JinjaTest, FiltersOverItemsLetNonePass) {
  EXPECT_EQ(rendered("{{ none | selectattr('a') | list }}{{ none | map('upper') | list }}"),
            "[][]");
}

TEST(JinjaTest, IndentLeavesTheFirstLineAndEmptyLines) {
  EXPECT_EQ(rendered("{{ 'a\nb\n\nc' | indent(2) }}"), "a\n  b\n\n  c");
}

TEST(JinjaTest, SortingIsStableAndIgnoresCase) {
  EXPECT_EQ(rendered("{{ ['b', 'A', 'a'] | sort }}{{ {'b': 1, 'a': 2} | dictsort }}{{ ['a', 'A', "
                     "'b'] | unique | list }}"),
            "['A', 'a', 'b'][('a', 2), ('b', 1)]['a', 'b']");
}

TEST(JinjaTest, StringsSplitStripAndReplace) {
  EXPECT_EQ(
      rendered(
          "{{ 'a</t>b'.split('</t>')[-1] }}{{ ' x '.strip() }}{{ 'xxa'.lstrip('x') }}"
          "{{ 'aXb'.replace('X', '-') }}{{ 'ab'.startswith('a') }}{{ '{}:{}'.format(1, 'z') }}"),
      "bxaa-bTrue1:z");
}

TEST(JinjaTest, ListsGrowByAppendOnlyWhileNothingHoldsThem) {
  EXPECT_EQ(rendered("{% set l = [1] %}{% set _ = l.append('a') %}{{ l }}"), "[1, 'a']");
  EXPECT_NE(error_of("{% set l = [] %}{{ l.append(l) }}").find("appended to itself"),
            std::string::npos);
  EXPECT_NE(error_of("{% set l = [] %}{% set k = [l] %}{{ l.append(1) }}").find("inside another"),
            std::string::npos);
}

TEST(JinjaTest, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of("a\n  {{ 'x' | nosuch }}"),
            "[template] t line 2 column 12: filters must be known; found 'nosuch'");
  EXPECT_EQ(error_of("{% include 'x' %}"),
            "[template] t line 1 column 4: tags are if, for, set, macro, call, filter, with, raw, "
            "generation, break "
            "and continue; found 'include'");
  EXPECT_EQ(error_of("{% if x %}"),
            "[template] t line 1 column 11: expected {% endif %}; found the end of the template");
  EXPECT_EQ(error_of("\u00e9{{ (1 }}").substr(0, 38), "[template] t line 1 column 8: brackets");
  EXPECT_EQ(error_of("{{ 'a' + 1 }}"),
            "[template] t line 1 column 4: + takes two operands that fit together; found string "
            "and integer");
  EXPECT_EQ(
      error_of("x{{ raise_exception('no ' + messages[0].role) }}"),
      "[template] t line 1 column 20: the template refuses this conversation; found 'no user'");
}

TEST(JinjaTest, DatesAreFixedByTheCaller) {
  ChatOptions options;
  options.now = 951782400;  // 29 February 2000
  const auto date =
      ChatTemplate::compile("{{ strftime_now('%d %b %Y %A %j %-m') }}").render({}, options);
  EXPECT_EQ(joined_text(date), "29 Feb 2000 Tuesday 060 2");
  options.now = -1;
  const auto before = ChatTemplate::compile("{{ strftime_now('%F %T') }}").render({}, options);
  EXPECT_EQ(joined_text(before), "1969-12-31 23:59:59");
}

}  // namespace
}  // namespace limbeck
