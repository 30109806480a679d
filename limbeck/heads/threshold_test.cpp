#include "limbeck/heads/threshold.h"

#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/heads/head_tsv.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace limbeck {
namespace {

HeadTable gates_of(int64_t layers, int64_t kv_heads, std::vector<double> values,
                   std::string kind = "gates") {
  HeadTable t;
  t.kind = std::move(kind);
  t.layers = layers;
  t.kv_heads = kv_heads;
  t.values = std::move(values);
  return t;
}

PatternOptions at(double sparsity) {
  PatternOptions o;
  o.sparsity = sparsity;
  return o;
}

std::vector<int64_t> full_of(const HeadPattern& p) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < p.streaming.size(); ++i)
    if (p.streaming[i] == 0) out.push_back(static_cast<int64_t>(i));
  return out;
}

TEST(ThresholdTest, CountsOfFullHeads) {
  const std::vector<int64_t> counts = {230, 204, 179, 153, 128, 102, 76, 51, 25};
  for (size_t i = 0; i < counts.size(); ++i)
    EXPECT_EQ(full_heads(256, 0.1 * static_cast<double>(i + 1)), counts[i]);
  EXPECT_EQ(full_heads(10, 0.9), 1);
  EXPECT_EQ(full_heads(10, 0.0), 10);
  EXPECT_EQ(full_heads(10, 1.0), 0);
}

TEST(ThresholdTest, EqualGatesAreChosenByTheirHash) {
  EXPECT_EQ(splitmix64_at(0, 0), 0xe220a8397b1dcdafULL);
  const HeadTable equal = gates_of(2, 4, std::vector<double>(8, 0.5));
  EXPECT_EQ(full_of(pattern_from_gates(equal, at(1.0 - 3.0 / 8))), (std::vector<int64_t>{3, 5, 7}));
  PatternOptions by_index = at(1.0 - 3.0 / 8);
  by_index.ties_by_index = true;
  EXPECT_EQ(full_of(pattern_from_gates(equal, by_index)), (std::vector<int64_t>{0, 1, 2}));
}

TEST(ThresholdTest, TheHighestGatesStayFull) {
  Random random(3);
  for (int round = 0; round < 20; ++round) {
    std::vector<double> values(24);
    for (double& v : values) v = random.uniform();
    const double sparsity = random.uniform();
    const HeadPattern p = pattern_from_gates(gates_of(4, 6, values), at(sparsity));
    double lowest_full = 2, highest_streaming = -1;
    for (size_t i = 0; i < values.size(); ++i) {
      if (p.streaming[i] != 0)
        highest_streaming = std::max(highest_streaming, values[i]);
      else
        lowest_full = std::min(lowest_full, values[i]);
    }
    EXPECT_LT(highest_streaming, lowest_full);
    EXPECT_EQ(static_cast<int64_t>(full_of(p).size()), full_heads(24, sparsity));
    EXPECT_NEAR(p.sparsity(), 1.0 - static_cast<double>(full_of(p).size()) / 24, 1e-12);
  }
}

TEST(ThresholdTest, BinaryPatternsAreUsedAsTheyAre) {
  const HeadPattern p = pattern_from_gates(gates_of(1, 4, {1, 0, 0, 1}, "binary"));
  EXPECT_EQ(full_of(p), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(p.sinks, 128);
  EXPECT_EQ(p.window, 1024);
  EXPECT_EQ(p.mask, ChunkMask::full);
}

TEST(ThresholdTest, TheTableSaysSinksWindowAndMaskUnlessTheCallerDoes) {
  const HeadTable t = parse_head_table(
      R"({"format":"kv-head-pattern","version":1,"kind":"gates","method":"prulong","sinks":4,
          "window":32,"chunk_mask":"window","values":[[0.2,0.9],[0.1,0.8]]})",
      "t", 2, 2);
  const HeadPattern p = pattern_from_gates(t, at(0.5));
  EXPECT_EQ(p.sinks, 4);
  EXPECT_EQ(p.window, 32);
  EXPECT_EQ(p.mask, ChunkMask::window);
  EXPECT_EQ(p.method, "prulong");
  EXPECT_EQ(full_of(p), (std::vector<int64_t>{1, 3}));
  PatternOptions o = at(0.5);
  o.sinks = 0;
  o.window = 7;
  o.mask = ChunkMask::full;
  EXPECT_EQ(pattern_from_gates(t, o).window, 7);
  EXPECT_EQ(pattern_from_gates(t, o).sinks, 0);
  const HeadTable back = parse_head_table(head_table_json(t), "t", 2, 2);
  EXPECT_EQ(back.sinks, 4);
  EXPECT_EQ(back.chunk_mask, "window");
}

TEST(ThresholdTest, RefusesTablesThatAreNoGates) {
  EXPECT_THROW(pattern_from_gates(gates_of(1, 2, {1, 2}, "weights"), at(0.5)), InvalidArgument);
  EXPECT_THROW(pattern_from_gates(gates_of(1, 2, {0.1, 0.2})), InvalidArgument);
  EXPECT_THROW(pattern_from_gates(gates_of(1, 2, {0.1, 0.2}), at(1.5)), InvalidArgument);
  PatternOptions o = at(0.5);
  o.window = 0;
  EXPECT_THROW(pattern_from_gates(gates_of(1, 2, {0.1, 0.2}), o), InvalidArgument);
}

// ---- the exchange format

std::string error_of(const std::string& text) {
  try {
    parse_head_table(text, "t", 2, 2);
  } catch (const FormatError& e) {
    return e.what();
  }
  return "no error";
}

TEST(HeadTsvTest, ReadsGatesWithCommentsAndBothLineEnds) {
  const HeadTable t = parse_head_table("# gates\r\n0.25\t-3e-9\r\n\r\n1.0\t9.5e-1\r\n", "t", 2, 2);
  EXPECT_EQ(t.kind, "gates");
  EXPECT_EQ(t.values, (std::vector<double>{0.25, 0.0, 1.0, 0.95}));
  EXPECT_EQ(parse_head_table("1\t0\n0.0\t1.0", "t", 2, 2).kind, "binary");
}

TEST(HeadTsvTest, RoundTripsWithJson) {
  Random random(5);
  std::vector<double> values(12);
  for (double& v : values) v = random.uniform();
  const HeadTable t = gates_of(3, 4, values);
  const HeadTable tsv = parse_head_table(head_table_tsv(t), "t", 3, 4);
  const HeadTable json = parse_head_table(head_table_json(tsv), "t", 3, 4);
  EXPECT_EQ(json.values, values);
}

TEST(HeadTsvTest, ErrorsNameTheRowAndTheColumn) {
  EXPECT_EQ(error_of("0.5\t0.5\n0.5\tx\n"),
            "t: row 1, column 1 must be a finite number; found \"x\"");
  EXPECT_EQ(error_of("0.5\t1.5\n0\t0\n"),
            "t: row 0, column 1 must be a gate in [-0.01, 1.01]; found 1.5");
  EXPECT_EQ(error_of("nan\t0\n0\t0\n"),
            "t: row 0, column 0 must be a finite number; found \"nan\"");
  EXPECT_EQ(error_of("0\t0\n"), "t: the table must have 2 rows, one a layer; found 1");
  EXPECT_EQ(error_of("0\t0\t0\n0\t0\t0\n"), "t: row 0 must have 2 columns, one a KV head; found 3");
}

TEST(HeadTsvTest, ColumnsOfQueryHeadsAreReducedOnlyWhenAsked) {
  const std::string text = "0.1\t0.3\t0.2\t0.0\n0.9\t0.1\t0.5\t0.6\n";
  EXPECT_NE(error_of(text).find("reduce groups by max"), std::string::npos);
  EXPECT_EQ(parse_head_tsv(text, "t", 2, 2, true).values,
            (std::vector<double>{0.3, 0.2, 0.9, 0.6}));
}

}  // namespace
}  // namespace limbeck
