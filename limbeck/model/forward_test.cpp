#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"
#include "limbeck/model/attention.h"
#include "limbeck/model/kernels/cpu_path.h"
#include "limbeck/model/model_testing.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

namespace limbeck {
namespace {

using test::compact_randomly;
using test::error_text;
using test::max_difference;
using test::random_tokens;
using test::small_spec;
using Tokens = std::vector<int32_t>;

// Logits of random_model() are of size 1 to 10; five layers of f32 sums in another order.
constexpr double kTolerance = 3e-5;

ModelSpec gemma_like() {
  ModelSpec s = small_spec({5, 0, 1, 0});
  s.qk_norm = s.norm_plus_one = s.sandwich_norms = s.tied_head = true;
  s.embedding_scale = 6.3;
  s.activation = Activation::gelu_tanh;
  s.softmax_scale = 0.3;
  s.layers[1].rope = {.type = RopeSpec::Type::linear, .theta = 1e6, .factor = 8};
  return s;
}

ModelSpec biased() {
  ModelSpec s = small_spec();
  s.qkv_bias = s.output_bias = s.mlp_bias = s.qk_norm = true;
  return s;
}

std::vector<ModelSpec> specs() {
  return {small_spec(), small_spec({0, 0}), small_spec({9}), biased(), gemma_like()};
}

at::Tensor all_logits(const Model& model, KvCache& cache, std::span<const int32_t> tokens,
                      int64_t chunk) {
  return prefill(model, cache, tokens, {.chunk = chunk, .logits = LogitsWanted::all});
}

/// Other kernels, and other libraries behind them: many rows, few rows, over a compact segment.
TEST(ForwardTest, EveryCpuPathGivesTheSameLogits) {
  const Tokens tokens = random_tokens(60, 8);
  for (const ModelSpec& spec : specs())
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Model model = random_model(spec, dtype, 3);
      const auto logits = [&](CpuPath path) {
        const ForceCpuPath force(path);
        KvCache cache = model.new_cache();
        const at::Tensor read = all_logits(model, cache, tokens, 40);
        compact_randomly(cache, 5);
        const at::Tensor after = all_logits(model, cache, random_tokens(20, 9), 20);
        const at::Tensor decoded = all_logits(model, cache, random_tokens(3, 10), 1);
        return at::cat({read, after, decoded}, 0);
      };
      const at::Tensor want = logits(CpuPath::portable);
      for (const CpuPath path :
           {CpuPath::avx2, CpuPath::avx512, CpuPath::avx512_bf16, CpuPath::amx})
        if (path <= cpu_best_path()) {
          const at::Tensor off = logits(path) - want;
          if (dtype == DType::f32)
            EXPECT_LT(off.abs().max().item<double>(), 3 * kTolerance) << cpu_path_name(path);
          else  // activations are rounded to eight bits between any two products
            EXPECT_LT(off.norm().item<double>(), 0.05 * want.norm().item<double>())
                << cpu_path_name(path);
        }
    }
}

TEST(ForwardTest, ChunkedPrefillIsOneShotPrefill) {
  const Tokens tokens = random_tokens(50, 1);
  for (const ModelSpec& spec : specs()) {
    const Model model = random_model(spec, DType::f32, 3);
    KvCache whole = model.new_cache();
    const at::Tensor want = all_logits(model, whole, tokens, 50);
    for (int64_t chunk : {1, 3, 8, 9, 17}) {
      KvCache cache = model.new_cache();
      EXPECT_LT(max_difference(all_logits(model, cache, tokens, chunk), want), kTolerance)
          << "chunk " << chunk;
      EXPECT_EQ(cache.tokens(), tokens);
      EXPECT_EQ(cache.logical_length(), 50);
    }
  }
}

TEST(ForwardTest, ChunksAgreeBehindACompactedCache) {
  const Tokens tokens = random_tokens(40, 2);
  for (const ModelSpec& spec : specs()) {
    const Model model = random_model(spec, DType::f32, 4);
    KvCache start = model.new_cache();
    prefill(model, start, random_tokens(21, 5));
    compact_randomly(start, 6);
    KvCache whole = start.clone();
    const at::Tensor want = all_logits(model, whole, tokens, 40);
    for (int64_t chunk : {1, 5, 16}) {
      KvCache cache = start.clone();
      EXPECT_LT(max_difference(all_logits(model, cache, tokens, chunk), want), kTolerance)
          << "chunk " << chunk;
    }
    c10::NoGradGuard guard;
    const auto plain = model.forward_differentiable(start, tokens, {.logits = LogitsWanted::all});
    EXPECT_LT(max_difference(plain.logits, want), kTolerance);
  }
}

TEST(ForwardTest, Bfloat16StaysNearFloat32) {
  const Tokens tokens = random_tokens(40, 2);
  for (const ModelSpec& spec : specs()) {
    const Model exact = random_model(spec, DType::f32, 4),
                coarse = random_model(spec, DType::bf16, 4);
    KvCache a = exact.new_cache();
    const at::Tensor want = all_logits(exact, a, tokens, 40);
    for (int64_t chunk : {1, 8, 40}) {
      KvCache b = coarse.new_cache();
      const at::Tensor found = all_logits(coarse, b, tokens, chunk);
      EXPECT_GT(at::cosine_similarity(found, want, 1).min().item<double>(), 0.998)
          << "chunk " << chunk;
    }
  }
}

/// Runs feeds of the given lengths together and apart.
void expect_batch_is_separate(const ModelSpec& spec, const std::vector<int64_t>& lengths) {
  const Model model = random_model(spec, DType::f32, 8);
  std::vector<KvCache> together, apart;
  std::vector<Tokens> tokens;
  for (size_t f = 0; f < lengths.size(); ++f) {
    together.push_back(model.new_cache());
    if (f > 0) prefill(model, together[f], random_tokens(static_cast<int64_t>(10 * f), f));
    if (f % 2 == 1) compact_randomly(together[f], f);
    apart.push_back(together[f].clone());
    tokens.push_back(random_tokens(lengths[f], 20 + f));
  }
  std::vector<Feed> feeds;
  for (size_t f = 0; f < lengths.size(); ++f) feeds.push_back({&together[f], tokens[f]});
  const at::Tensor all = model.forward(feeds, {.logits = LogitsWanted::all}).logits;
  int64_t row = 0;
  for (size_t f = 0; f < lengths.size(); ++f) {
    const at::Tensor own = model.forward(apart[f], tokens[f], {.logits = LogitsWanted::all}).logits;
    EXPECT_LT(max_difference(all.narrow(0, row, lengths[f]), own), kTolerance) << "feed " << f;
    row += lengths[f];
    EXPECT_EQ(together[f].tokens(), apart[f].tokens());
  }
}

TEST(ForwardTest, ABatchOfFeedsIsTheFeedsOneByOne) {
  for (const ModelSpec& spec : specs()) {
    expect_batch_is_separate(spec, {1, 1, 1});
    expect_batch_is_separate(spec, {1, 3, 2});
    expect_batch_is_separate(spec, {1, 20, 9, 1});
  }
}

TEST(ForwardTest, LastRowsAreThoseOfEachFeed) {
  const Model model = random_model(small_spec(), DType::f32, 1);
  KvCache a = model.new_cache(), b = model.new_cache(), c = model.new_cache(),
          d = model.new_cache();
  const Tokens x = random_tokens(4, 1), y = random_tokens(7, 2);
  const std::vector<Feed> first{{&a, x}, {&b, y}}, second{{&c, x}, {&d, y}};
  const at::Tensor all = model.forward(first, {.logits = LogitsWanted::all}).logits;
  const auto last = model.forward(second, {.logits = LogitsWanted::last, .hidden = true});
  EXPECT_LT(max_difference(last.logits, all.index_select(0, at::tensor({3, 10}))), kTolerance);
  EXPECT_LT(max_difference(model.head_logits(last.hidden), last.logits), kTolerance);
}

TEST(ForwardTest, TheCacheIsTheSameWhenNobodyWantsLogits) {
  const Tokens tokens = random_tokens(30, 1);
  for (const ModelSpec& spec : specs()) {
    const Model model = random_model(spec, DType::bf16, 1);
    KvCache a = model.new_cache(), b = model.new_cache();
    EXPECT_FALSE(model.forward(a, tokens, {.logits = LogitsWanted::none}).logits.defined());
    model.forward(b, tokens);
    EXPECT_TRUE(cache_equal(a, b));
  }
}

struct ThrowingProbe : Probe {
  uint32_t needs(int64_t layer) const override { return layer == 2 ? kProbeNothing : kProbeSkip; }
  void on_layer(const LayerSignals&) override { throw Cancelled("[test] stop"); }
};

TEST(ForwardTest, AFailureLeavesEveryCacheAsItWas) {
  const Model model = random_model(small_spec(), DType::bf16, 1);
  KvCache cache = model.new_cache(), other = model.new_cache();
  prefill(model, cache, random_tokens(20, 1));
  compact_randomly(cache, 2);
  prefill(model, cache, random_tokens(15, 3));
  prefill(model, other, random_tokens(5, 4));
  const KvCache before = cache.clone(), other_before = other.clone();
  ThrowingProbe probe;
  const Tokens good = random_tokens(12, 5), few{1, 2}, bad{3, 97}, negative{-1}, many(250, 1);
  EXPECT_EQ(error_text<InvalidArgument>([&] { model.forward(cache, bad); }),
            "[forward] token ids must be in [0, 97); found 97");
  EXPECT_EQ(error_text<InvalidArgument>([&] { model.forward(cache, negative); }),
            "[forward] token ids must be in [0, 97); found -1");
  EXPECT_EQ(error_text<InvalidArgument>([&] { model.forward(cache, {}); }),
            "[forward] a feed needs at least one token; found none");
  EXPECT_EQ(error_text<InvalidArgument>([&] { model.forward(cache, many); }),
            "[forward] the model's window is 256 tokens; found 35 already seen and 250 more");
  for (const Tokens& tokens : {good, few}) {
    const std::vector<Feed> feeds{{&other, tokens}, {&cache, tokens, &probe}};
    EXPECT_EQ(error_text<Cancelled>([&] { model.forward(feeds); }), "[test] stop");
  }
  const std::vector<Feed> shared{{&cache, good}, {&cache, few}};
  EXPECT_EQ(error_text<InvalidArgument>([&] { model.forward(shared); }),
            "[forward] every feed needs a cache of its own; feeds 0 and 1 share one");
  EXPECT_TRUE(cache_equal(cache, before));
  EXPECT_TRUE(cache_equal(other, other_before));
  KvCache again = before.clone();
  EXPECT_TRUE(at::equal(model.forward(cache, good).logits, model.forward(again, good).logits));
}

TEST(ForwardTest, RefusesACacheOfAnotherModel) {
  const Model model = random_model(small_spec(), DType::bf16, 1);
  KvCache cache = random_model(small_spec(), DType::f32, 1).new_cache();
  EXPECT_EQ(error_text<Mismatch>([&] { model.forward(cache, Tokens{1}); }),
            "[forward] the cache has 3 layers of 2 KV heads of 16 (F32); this model needs 3 of 2 "
            "of 16 (BF16)");
}

TEST(PrefillTest, CancellingGivesTheCacheBack) {
  for (const ModelSpec& spec : specs()) {
    const Model model = random_model(spec, DType::bf16, 1);
    KvCache cache = model.new_cache();
    prefill(model, cache, random_tokens(20, 1));
    compact_randomly(cache, 2);
    prefill(model, cache, random_tokens(3, 3));
    const KvCache before = cache.clone();
    PrefillOptions options;
    options.chunk = 8;
    options.progress = [](const ProgressStep& step) {
      if (step.done >= 16) throw Cancelled("[test] enough after {}", step.done);
    };
    EXPECT_EQ(error_text<Cancelled>([&] { prefill(model, cache, random_tokens(40, 4), options); }),
              "[test] enough after 16");
    EXPECT_TRUE(cache_equal(cache, before));
  }
}

TEST(PrefillTest, RefusesImpossibleRequests) {
  const Model model = random_model(small_spec(), DType::bf16, 1);
  KvCache cache = model.new_cache();
  EXPECT_EQ(error_text<InvalidArgument>([&] { prefill(model, cache, {}); }),
            "[prefill] the text is empty; need at least one token");
  EXPECT_EQ(error_text<InvalidArgument>([&] { prefill(model, cache, Tokens{1}, {.chunk = 0}); }),
            "[prefill] chunk must be at least 1; found 0");
  EXPECT_EQ(error_text<InvalidArgument>([&] { prefill(model, cache, Tokens(300, 1)); }),
            "[prefill] the model's window is 256 tokens; found 0 already seen and 300 more");
  // A bad id in the last chunk must not leave the first chunks behind.
  Tokens late(20, 1);
  late.back() = 1000;
  EXPECT_THROW(prefill(model, cache, late, {.chunk = 4}), InvalidArgument);
  EXPECT_TRUE(cache_equal(cache, model.new_cache()));
}

}  // namespace
}  // namespace limbeck
