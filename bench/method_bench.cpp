// What one compaction method costs on a model of a given shape with random weights: seconds of each
// stage against the prefill of the same context, bytes, and the high-water mark of the cache.
//
// Random weights cost what trained ones do; quality means nothing here. Fewer layers than the shape
// has give the same ratios, because prefill and scoring are both layer by layer; the result says
// how many were run. One method a process, so that one method's memory does not help the next.
#include "limbeck/base/error.h"
#include "limbeck/base/random.h"
#include "limbeck/base/timing.h"
#include "limbeck/eval/method_entry.h"
#include "limbeck/model/model.h"

#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace limbeck;

constexpr int64_t kLayers = 28;  ///< of Qwen3-0.6B

struct Args {
  std::string method = "leverage", dtype = "BF16";
  int64_t tokens = 8192, layers = kLayers, vocabulary = 8192, chunk = 512, seed = 1;
  std::vector<double> ratios = {0.1};
  int threads = 0;
};

/// Qwen3-0.6B (its config.json); the vocabulary is cut, since no method looks at the head's size.
ModelSpec qwen3_shape(const Args& args) {
  ModelSpec s;
  s.family = "qwen3";
  s.hidden = 1024;
  s.intermediate = 3072;
  s.query_heads = 16;
  s.kv_heads = 8;
  s.head_dim = 128;
  s.vocabulary = args.vocabulary;
  s.softmax_scale = 1.0 / std::sqrt(128.0);
  s.qk_norm = true;
  s.tied_head = true;
  RopeSpec rope;
  rope.theta = 1e6;
  for (int64_t l = 0; l < args.layers; ++l) s.layers.push_back({LayerKind{}, rope});
  // Passes behind the text need room in the window.
  s.context_length = 2 * args.tokens + 8192;
  return s;
}

std::vector<int32_t> random_tokens(int64_t count, int64_t vocabulary, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocabulary))));
  return out;
}

/// As long as the chat frame and instructions of a small model.
RepeatPrompt prompt(const Args& args) {
  RepeatPrompt p;
  p.first = random_tokens(24, args.vocabulary, 11);
  p.before_quote = random_tokens(20, args.vocabulary, 12);
  p.after_quote = random_tokens(12, args.vocabulary, 13);
  return p;
}

nlohmann::ordered_json measure(const Args& args, const Model& model, const KvCache& context,
                               const CompactOptions& method, double ratio, double prefill_seconds) {
  KvCache cache = context.clone();
  CompactOptions o = method;
  o.ratio = ratio;
  o.repeat = prompt(args);
  o.seed = args.seed;
  const Stopwatch watch;
  const CompactReport report = compact(model, cache, o);
  const double total = watch.seconds();
  const FootprintReport footprint = cache.meter().report();
  nlohmann::ordered_json j;
  j["method"] = args.method;
  j["tokens"] = args.tokens;
  j["layers"] = args.layers;
  j["dtype"] = args.dtype;
  j["vocabulary"] = args.vocabulary;
  j["ratio"] = ratio;
  j["threads"] = at::get_num_threads();
  j["achieved_ratio"] = report.achieved_ratio;
  j["prefill_seconds"] = prefill_seconds;
  j["compaction_seconds"] = total;
  j["times_the_prefill"] = total / prefill_seconds;
  for (const auto& [stage, seconds] : report.seconds) j["seconds"][stage] = seconds;
  j["bytes_before"] = report.bytes_before;
  j["bytes_after"] = report.bytes_after;
  j["kv_bytes_peak"] = footprint.kv_bytes_peak;
  j["footprint_total"] = footprint.footprint_total;
  return j;
}

void run(const Args& args) {
  if (args.threads > 0) at::set_num_threads(args.threads);
  const MethodEntry method = parse_method_entry(args.method);
  const DType dtype = dtype_from_name(args.dtype).value();
  const Model model = random_model(qwen3_shape(args), dtype, static_cast<uint64_t>(args.seed));
  KvCache cache = model.new_cache();
  PrefillOptions prefill_options;
  prefill_options.chunk = args.chunk;
  prefill_options.logits = LogitsWanted::last;
  // Prefill spares the last layer's attention where nobody asks for its output. With few layers
  // that would be a large part of all of it, so there somebody asks.
  if (args.layers < kLayers) prefill_options.on_hidden = [](int64_t, const at::Tensor&) {};
  const Stopwatch watch;
  prefill(model, cache, random_tokens(args.tokens, args.vocabulary, 2), prefill_options);
  const double prefill_seconds = watch.seconds();
  cache.seal();
  for (const double ratio : args.ratios) {
    fmt::print("{}\n", measure(args, model, cache, method.options, ratio, prefill_seconds).dump());
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Args a;
  CLI::App app{"method_bench: cost of one compaction method on Qwen3-0.6B's shape, random weights"};
  const CLI::Range counts(int64_t{1}, int64_t{1} << 20);
  app.add_option("--method", a.method, "as `limbeck eval` names methods")->capture_default_str();
  app.add_option("--tokens", a.tokens, "of the context")->check(counts)->capture_default_str();
  app.add_option("--layers", a.layers, "of the model")->check(counts)->capture_default_str();
  app.add_option("--vocabulary", a.vocabulary)->check(counts)->capture_default_str();
  app.add_option("--chunk", a.chunk, "rows a prefill call")->check(counts)->capture_default_str();
  app.add_option("--ratios", a.ratios, "parts that are kept, comma-separated")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--dtype", a.dtype)->check(CLI::IsMember({"BF16", "F32"}))->capture_default_str();
  app.add_option("--seed", a.seed)->capture_default_str();
  app.add_option("--threads", a.threads, "0 = one per processor")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(a);
    return 0;
  } catch (const limbeck::Error& e) {
    fmt::print(stderr, "method_bench: {}\n", e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    fmt::print(stderr, "method_bench: {}\n", e.what());
    return 1;
  }
}
