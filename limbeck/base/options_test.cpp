#include "limbeck/base/options.h"

#include <gtest/gtest.h>

namespace limbeck {
namespace {

struct Sample {
  double ratio = 0.25;
  int64_t window = 64;
  bool plus = false;
  std::string norm = "local";
  template <class V>
  void for_each_field(V&& v) {
    v("norm", norm, one_of({"local", "all"}), "which slots the softmax covers");
    v("plus", plus, yes_or_no(), "weigh by the value's norm");
    v("ratio", ratio, open_closed(0.0, 1.0), "fraction kept");
    v("window", window, closed(1, 4096), "last tokens used as queries");
  }
};

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(OptionsTest, TextsSetFieldsAndComeBack) {
  const auto o = options_from_texts<Sample>("snap", {{"ratio", "0.5"}, {"plus", "true"}});
  EXPECT_EQ(o.ratio, 0.5);
  EXPECT_TRUE(o.plus);
  EXPECT_EQ(options_to_texts(o),
            (std::map<std::string, std::string>{
                {"norm", "local"}, {"plus", "true"}, {"ratio", "0.5"}, {"window", "64"}}));
}

TEST(OptionsTest, BadTextsAreRefusedByName) {
  EXPECT_EQ(error_of([] {
              options_from_texts<Sample>("snap", {{"ratoi", "1"}});
            }),
            "[snap] unknown option \"ratoi\"; known: norm, plus, ratio, window");
  EXPECT_EQ(error_of([] {
              options_from_texts<Sample>("snap", {{"ratio", "0"}});
            }),
            "[snap] ratio must be in (0, 1]; found 0");
  EXPECT_EQ(error_of([] {
              options_from_texts<Sample>("snap", {{"window", "4097"}});
            }),
            "[snap] window must be in [1, 4096]; found 4097");
  EXPECT_EQ(error_of([] {
              options_from_texts<Sample>("snap", {{"window", "6x"}});
            }),
            "[options] window must be a whole number; found \"6x\"");
  EXPECT_EQ(error_of([] {
              options_from_texts<Sample>("snap", {{"ratio", "nan"}});
            }),
            "[options] ratio must be a finite number; found \"nan\"");
  EXPECT_EQ(error_of([] {
              options_from_texts<Sample>("snap", {{"norm", "most"}});
            }),
            "[snap] norm must be one of local|all; found most");
}

TEST(OptionsTest, DescriptionListsTypeDefaultAndRule) {
  const auto rows = options_describe<Sample>();
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].name, "norm");
  EXPECT_EQ(rows[0].allowed, "local|all");
  EXPECT_EQ(rows[2].type, "number");
  EXPECT_EQ(rows[3].default_value, "64");
}

}  // namespace
}  // namespace limbeck
