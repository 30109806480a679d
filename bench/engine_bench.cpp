// Speed of a whole model: prefill and decoding at several depths, with the full cache and with
// compacted ones, as a share of what the machine's memory allows.
//
// Decoding one token reads every layer's weights, the head, and the cache once; bytes over read
// bandwidth is the time that no implementation can beat while these exceed the caches. The
// bandwidth is measured in this process before and after everything else; the higher number counts.
#include "bench/bandwidth.h"
#include "bench/engine_report.h"
#include "limbeck/base/error.h"
#include "limbeck/base/progress.h"
#include "limbeck/compact/compact.h"
#include "limbeck/model/generate.h"

#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using namespace limbeck;
using bench::DecodeRow;
using bench::EngineResults;

struct Args {
  std::string model = "smollm2-135m", model_directory, text = LIMBECK_ASSETS "/demo/story.txt";
  std::vector<int64_t> lengths{1024, 4096, 8064}, chunks{512, 1024, 2048};
  int64_t generate = 32;
  double ratio = 0.05;
  int repeats = 7, threads = 0;
  bool json = false, quiet = false;
};

/// Free window that the repeat pass of kvzip gets, so that it takes few passes.
constexpr int64_t kRepeatRoom = 1024;

/// The file's text again and again, at least `count` tokens, cut to that.
std::vector<int32_t> text_tokens(const LanguageModel& lm, const std::string& path, int64_t count) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw ResourceError("[engine_bench] cannot open {}", path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::vector<int32_t> once = lm.tokenizer.encode(text + "\n\n");
  if (text.empty() || once.empty()) throw InvalidArgument("[engine_bench] {} is empty", path);
  std::vector<int32_t> tokens;
  while (static_cast<int64_t>(tokens.size()) < count)
    tokens.insert(tokens.end(), once.begin(), once.end());
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

/// Every layer's tensors and the head; of an embedding apart from the head, one row is read.
double weight_bytes_per_token(const Weights& w) {
  int64_t bytes = w.bytes();
  if (!w.head.is_same(w.embedding))
    bytes -= w.embedding.numel() * static_cast<int64_t>(w.embedding.element_size());
  return static_cast<double>(bytes);
}

class EngineBench {
 public:
  EngineBench(const LanguageModel& lm, const Args& args)
      : lm_(lm), args_(args), window_(lm.model.spec().context_length) {
    std::vector<int64_t> lengths;
    for (int64_t n : args.lengths) lengths.push_back(std::min(n, window_ - args.generate));
    std::sort(lengths.begin(), lengths.end());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
    tokens_ = text_tokens(lm, args.text, lengths.back());
    results_.model = lm.name;
    results_.model_path = lm.path.string();
    results_.dtype = dtype_name(lm.model.dtype());
    results_.lengths = std::move(lengths);
    results_.generate = args.generate;
    results_.ratio = args.ratio;
    results_.weight_bytes = weight_bytes_per_token(lm.model.weights());
  }

  const EngineResults& run() {
    measure_bandwidth();
    for (int64_t n : results_.lengths) {
      KvCache cache = measure_prefill(n);
      measure_decode(cache, "full");
      measure_compacted(std::move(cache));
    }
    measure_bandwidth();
    return results_;
  }

 private:
  void show(std::string_view stage, int64_t done, int64_t total) {
    if (!args_.quiet) printer_({stage, "runs", done, total});
  }

  void measure_bandwidth() {
    EngineResults& r = results_;
    r.bandwidth = std::max(r.bandwidth, bench::read_bandwidth());
    r.bandwidth_weights =
        std::max(r.bandwidth_weights, bench::read_bandwidth(static_cast<int64_t>(r.weight_bytes)));
  }

  KvCache fill(int64_t n, int64_t chunk) const {
    KvCache cache = lm_.model.new_cache();
    PrefillOptions options;
    options.chunk = chunk;
    prefill(lm_.model, cache, std::span(tokens_).first(static_cast<size_t>(n)), options);
    return cache;
  }

  /// Chunk sizes take turns, so that a slow minute of the machine does not fall on one of them.
  KvCache measure_prefill(int64_t n) {
    const std::string stage = fmt::format("prefill {}", n);
    const size_t first = results_.prefill.size();
    bool whole = false;  // chunks beyond the first that holds the whole text are the same work
    for (int64_t chunk : args_.chunks) {
      if (!whole) results_.prefill.push_back({n, chunk, {}});
      whole = whole || chunk >= n;
    }
    KvCache cache = fill(n, args_.chunks.front());  // warm-up
    for (int i = 0; i < args_.repeats; ++i) {
      for (size_t row = first; row < results_.prefill.size(); ++row) {
        Stopwatch watch;
        const KvCache other = fill(n, results_.prefill[row].chunk);
        results_.prefill[row].seconds.push_back(watch.seconds());
      }
      show(stage, i + 1, args_.repeats);
    }
    return cache;
  }

  double cache_bytes(const KvCache& cache) const {
    const CacheBytes b = cache.bytes();
    return static_cast<double>(b.keys_values + b.bias);
  }

  /// Greedy decoding from the end of the cache, `repeats` times over; the cache is as before then.
  void measure_decode(KvCache& cache, const std::string& name) {
    const std::string stage = fmt::format("decode {} {}", cache.logical_length(), name);
    DecodeRow row{cache.logical_length(), name, cache.mean_slots(), cache_bytes(cache), {}, {}};
    const KvCache::Mark mark = cache.mark();
    for (int i = 0; i <= args_.repeats; ++i) {  // the first one is the warm-up
      int32_t token = tokens_.front();
      for (int64_t step = 0; step < args_.generate; ++step) {
        Stopwatch watch;
        const at::Tensor logits = lm_.model.forward(cache, {&token, 1}).logits;
        token = sample_token({logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())},
                             {}, {}, step);
        if (i > 0)
          row.seconds.push_back(watch.seconds());
        else
          row.generated.push_back(token);
      }
      if (i == 0)
        row.bytes = results_.weight_bytes + (row.bytes + cache_bytes(cache)) / 2;
      else
        show(stage, i, args_.repeats);
      cache.rollback(mark);
    }
    results_.decode.push_back(std::move(row));
  }

  CompactOptions compact_options(const std::string& method) const {
    CompactOptions options;
    options.method = method;
    options.ratio = args_.ratio;
    options.repeat = repeat_prompt(lm_, chat_frame(lm_));
    return options;
  }

  /// The repeat pass needs free window, so kvzip may start from a shorter text; the row says so.
  void measure_compacted(KvCache cache) {
    KvCache uniform = cache.clone();
    compact(lm_.model, uniform, compact_options("knorm"));
    measure_decode(uniform, "knorm");
    const int64_t longest = window_ - kRepeatRoom;
    if (longest < 1) return;
    if (cache.logical_length() > longest) cache.truncate(longest);
    compact(lm_.model, cache, compact_options("kvzip"));
    measure_decode(cache, "kvzip");
  }

  const LanguageModel& lm_;
  const Args& args_;
  int64_t window_;
  std::vector<int32_t> tokens_;
  EngineResults results_;
  ProgressPrinter printer_;
};

void add_options(CLI::App& app, Args& a) {
  const CLI::Range counts(int64_t{1}, int64_t{1} << 20);
  app.add_option("--model", a.model, "name in the model directory, or path")->capture_default_str();
  app.add_option("--model-dir", a.model_directory,
                 "default: $LIMBECK_MODELS or ~/.cache/limbeck/models");
  app.add_option("--text", a.text, "English text, repeated as often as needed");
  app.add_option("--lengths", a.lengths, "tokens, cut to what the window leaves")
      ->delimiter(',')
      ->check(counts)
      ->capture_default_str();
  app.add_option("--chunks", a.chunks, "rows a prefill call; the first is used to fill caches")
      ->delimiter(',')
      ->check(counts)
      ->capture_default_str();
  app.add_option("--repeats", a.repeats, "runs of every case")
      ->check(counts)
      ->capture_default_str();
  app.add_option("--generate", a.generate, "tokens decoded in a run")
      ->check(counts)
      ->capture_default_str();
  app.add_option("--ratio", a.ratio, "fraction kept by compaction")->capture_default_str();
  app.add_option("--threads", a.threads, "0 = one per processor")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--json", a.json, "results as JSON, with every sample");
  app.add_flag("--quiet", a.quiet, "no progress");
}

int run(const Args& args) {
  if (args.threads > 0) at::set_num_threads(args.threads);
  const LanguageModel lm = load_language_model(
      find_model(args.model, model_directory(args.model_directory)), LoadOptions{});
  const int64_t window = lm.model.spec().context_length;
  if (args.generate >= window)
    throw InvalidArgument("[engine_bench] --generate must be below the window of {}; found {}",
                          window, args.generate);
  EngineBench bench(lm, args);
  const EngineResults& results = bench.run();
  if (args.json)
    print_json(results);
  else
    print_tables(results);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Args args;
  CLI::App app{"engine_bench: prefill and decoding against the memory bandwidth of the machine"};
  add_options(app, args);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(args);
  } catch (const Error& e) {
    fmt::print(stderr, "engine_bench: {}\n", e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    fmt::print(stderr, "engine_bench: {}\n", e.what());
    return 1;
  }
}
