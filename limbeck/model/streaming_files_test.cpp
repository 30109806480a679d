// Caches with streaming heads: saved, loaded, joined.
#include "limbeck/base/error.h"
#include "limbeck/cache/container.h"
#include "limbeck/cache/test_forgery.h"
#include "limbeck/io/test_files.h"
#include "limbeck/model/attach.h"
#include "limbeck/model/model_testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace limbeck {
namespace {

/// Streams in the first and third layer; the second is a ring.
HeadPattern pattern(ChunkMask mask = ChunkMask::full) {
  HeadPattern p;
  p.layers = 3;
  p.kv_heads = 2;
  p.streaming = {0, 1, 1, 0, 1, 1};
  p.sinks = 3;
  p.window = 8;
  p.mask = mask;
  p.method = "manual";
  return p;
}

KvCache read(const Model& model, const std::vector<int32_t>& tokens, const HeadPattern& p,
             int64_t chunk = 7) {
  KvCache cache = model.new_cache();
  cache.set_head_pattern(p);
  PrefillOptions o;
  o.chunk = chunk;
  prefill(model, cache, tokens, o);
  return cache;
}

class StreamingFilesTest : public ::testing::Test {
 protected:
  std::string load_error(const test::Forgery& forged) {
    forged.write(path_);
    return test::error_text<FormatError>([&] { cache_load(path_); });
  }

  Model model_ = random_model(test::small_spec(), DType::bf16, 5);
  test::ScratchFolder folder_;
  std::filesystem::path path_ = folder_.path() / "streams.kvc";
};

TEST_F(StreamingFilesTest, ARestoredCacheGoesOnWithTheSameBits) {
  // Nothing forgotten yet, just full, wrapped; with a tail and without one.
  for (const int64_t n : {2, 9, 11, 40})
    for (const bool sealed : {false, true}) {
      KvCache cache = read(model_, test::random_tokens(n, 2), pattern(ChunkMask::window));
      if (sealed) {
        cache.seal();
        model_.forward(cache, test::random_tokens(5, 3));
      }
      cache_save(cache, {}, path_);
      KvCache loaded = cache_load(path_).cache;
      EXPECT_TRUE(cache_equal(cache, loaded)) << n;
      ASSERT_NE(loaded.head_pattern(), nullptr);
      EXPECT_EQ(*loaded.head_pattern(), *cache.head_pattern());
      EXPECT_EQ(loaded.bytes().keys_values, cache.bytes().keys_values);
      const auto more = test::random_tokens(13, 4);
      EXPECT_TRUE(
          at::equal(model_.forward(cache, more).logits, model_.forward(loaded, more).logits))
          << n;
      EXPECT_TRUE(cache_equal(cache, loaded)) << n;
    }
}

TEST_F(StreamingFilesTest, FilesWithoutStreamingHeadsStayWhatTheyWere) {
  KvCache plain = model_.new_cache();
  model_.forward(plain, test::random_tokens(9, 2));
  cache_save(plain, {}, path_);
  const test::Forgery file(test::read_file(path_));
  EXPECT_EQ(file.metadata.at("version"), "1.0");
  EXPECT_FALSE(file.document.contains("heads"));
  cache_save(read(model_, test::random_tokens(9, 2), pattern()), {}, path_);
  const test::Forgery streaming(test::read_file(path_));
  EXPECT_EQ(streaming.metadata.at("version"), "1.1");
  EXPECT_EQ(streaming.document["features"], nlohmann::json::array({"streaming-heads"}));
}

TEST_F(StreamingFilesTest, LyingFilesAreRefused) {
  cache_save(read(model_, test::random_tokens(30, 2), pattern()), {}, path_);
  const test::Forgery good(test::read_file(path_));
  EXPECT_EQ(load_error(good), "");
  const auto expect = [&](const std::string& part, const std::function<void(test::Forgery&)>& lie) {
    test::Forgery bad = good;
    lie(bad);
    EXPECT_NE(load_error(bad).find(part), std::string::npos) << load_error(bad);
  };
  expect("streaming[1] must hold 2 numbers",
         [](auto& f) { f.document["heads"]["streaming"][1] = {1}; });
  expect("streaming must have 3 rows", [](auto& f) { f.document["heads"]["streaming"] = {1}; });
  expect("chunk_mask must be full or window",
         [](auto& f) { f.document["heads"]["chunk_mask"] = "half"; });
  expect("window must be", [](auto& f) { f.document["heads"]["window"] = 0; });
  expect("stream.0.pos must be", [](auto& f) { f.document["heads"]["window"] = 9; });
  expect("need more than", [](auto& f) { f.document["heads"]["window"] = 2000000000; });
  expect("stream.2.k", [](auto& f) { f.tensors.erase("stream.2.k"); });
  expect("head 0 of seg.0.0.* streams", [](auto& f) {
    f.document["heads"]["streaming"][0] = {1, 0};
  });
  expect("stream.0.pos must be 29 in row", [](auto& f) {
    auto* positions = reinterpret_cast<int32_t*>(f.tensors.at("stream.0.pos").bytes.data());
    for (int i = 0; i < 11; ++i)
      if (positions[i] == 29) positions[i] = 28;
  });
}

/// The entries of a layer's streaming heads by rising position: keys, values, positions.
struct Held {
  Held(const KvCache& cache, int64_t layer) {
    const LayerStream& s = cache.layer(layer).stream;
    positions = stream_positions(s, cache.logical_length());
    std::vector<int64_t> order(positions.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return positions[a] < positions[b]; });
    const at::Tensor index = at::tensor(order, at::kLong);
    keys = s.keys.index_select(1, index);
    values = s.values.index_select(1, index);
    std::sort(positions.begin(), positions.end());
  }
  at::Tensor keys, values;
  std::vector<int64_t> positions;
};

TEST(StreamingAttachTest, HoldsWhatBothTextsInARowWouldLeave) {
  // Layer 0's keys depend on the token and its position alone.
  const Model model = random_model(test::small_spec(), DType::f32, 3);
  for (const auto& [a, b] : {std::pair{20, 15}, {20, 4}, {2, 4}, {1, 30}, {30, 1}, {6, 7}}) {
    const auto first = test::random_tokens(a, 1), second = test::random_tokens(b, 2);
    KvCache joined = read(model, first, pattern()), whole = read(model, first, pattern());
    const KvCache piece = read(model, second, pattern());
    model.forward(whole, second);
    cache_attach(model, joined, piece);
    EXPECT_EQ(joined.logical_length(), a + b);
    const Held x(joined, 0), y(whole, 0);
    EXPECT_EQ(x.positions, y.positions) << a << " and " << b;
    EXPECT_LT(test::max_difference(x.keys, y.keys), 1e-4) << a << " and " << b;
    EXPECT_LT(test::max_difference(x.values, y.values), 1e-4) << a << " and " << b;
    EXPECT_EQ(joined.slots(0, 0), a + b);
    // It goes on like any other cache.
    const at::Tensor logits = model.forward(joined, test::random_tokens(12, 5)).logits;
    EXPECT_TRUE(logits.isfinite().all().item<bool>());
    EXPECT_EQ(joined.slots(2, 0), std::min<int64_t>(11, a + b + 12));
  }
}

TEST(StreamingAttachTest, BehindNothingAPieceIsItself) {
  const Model model = random_model(test::small_spec(), DType::f32, 3);
  const auto tokens = test::random_tokens(25, 1), more = test::random_tokens(6, 2);
  KvCache piece = read(model, tokens, pattern()), cache = model.new_cache();
  cache_attach(model, cache, piece);
  EXPECT_LT(
      test::max_difference(model.forward(cache, more).logits, model.forward(piece, more).logits),
      1e-5);
}

TEST(StreamingAttachTest, RangesThatStreamsNoLongerHoldAreRefused) {
  const Model model = random_model(test::small_spec({0, 0, 0}), DType::f32, 3);
  const KvCache piece = read(model, test::random_tokens(40, 1), pattern());
  KvCache cache = read(model, test::random_tokens(10, 2), pattern());
  const KvCache before = cache.clone();
  EXPECT_THROW(cache_attach(model, cache, piece, PositionRange{0, 30}), InvalidArgument);
  cache_attach(model, cache, piece, PositionRange{20, 40});
  EXPECT_EQ(cache.logical_length(), 30);
  EXPECT_EQ(Held(cache, 0).positions,
            (std::vector<int64_t>{0, 1, 2, 22, 23, 24, 25, 26, 27, 28, 29}));
  // Behind one token the piece's own first positions would have to be sinks.
  KvCache shorter = read(model, test::random_tokens(1, 2), pattern());
  EXPECT_THROW(cache_attach(model, shorter, piece, PositionRange{20, 40}), InvalidArgument);
  EXPECT_EQ(shorter.logical_length(), 1);
}

}  // namespace
}  // namespace limbeck
