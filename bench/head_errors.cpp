// Which choice of slots leaves the smallest error, head by head, on queries that neither the choice
// nor the fit has seen.
//
// Contexts are those of `limbeck eval`. Reference queries are one repeat of the text, of which runs
// of 32 tokens are held out of everything; the queries of the book's continuation and of the
// questions about the needles come from the model reading them behind the full cache. Errors are of
// the span alone (arXiv 2602.16284, its two conditions): rms ||y - y'|| / rms ||y|| of the output
// and rms of log m' - log m of the mass, over the queries of a KV head's group.
#include "bench/measure.h"
#include "limbeck/base/error.h"
#include "limbeck/base/progress.h"
#include "limbeck/compact/score/head_problem.h"
#include "limbeck/eval/method_entry.h"
#include "limbeck/eval/needle_context.h"
#include "limbeck/model/generate.h"
#include "limbeck/model/language_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace limbeck;

struct Args {
  std::string model = "smollm2-135m", model_directory, texts;
  std::vector<std::string> methods{"wpc:allocator=uniform", "am-omp-gram:builder=fit",
                                   "am-hak:builder=fit"};
  std::vector<double> ratios{0.1, 0.05, 0.02};
  int64_t length = 1024, contexts = 4;
  int threads = 0;
};

constexpr const char* kSets[] = {"repeat, held out", "continuation", "questions"};
constexpr int kSetCount = 3;

/// The rows of these tokens, counted over all chunks.
LayerQueries rows_where(const LayerQueries& q, const std::vector<uint8_t>& held, bool wanted) {
  LayerQueries out{q.layer, q.scale, {}};
  int64_t token = 0;
  for (const QueryChunk& c : q.chunks) {
    std::vector<int64_t> index;
    std::vector<int32_t> rows;
    for (int64_t i = 0; i < c.queries.size(1); ++i, ++token)
      if ((held[token] != 0) == wanted) {
        index.push_back(i);
        rows.push_back(c.rows.empty() ? static_cast<int32_t>(i) : c.rows[i]);
      }
    if (index.empty()) continue;
    const at::Tensor at_rows = at::tensor(index, at::kLong);
    out.chunks.push_back(
        {c.chunk, c.weight, c.queries.index_select(1, at_rows),
         c.elsewhere.defined() ? c.elsewhere.index_select(1, at_rows) : at::Tensor(),
         std::move(rows)});
  }
  return out;
}

/// The full cache of one context, the queries that methods see, and those that judge.
struct Judged {
  Judged(const LanguageModel& lm, const NeedleContext& context) : cache(lm.model.new_cache()) {
    cache.keep_timeline();
    PrefillOptions o;
    o.logits = LogitsWanted::none;
    prefill(lm.model, cache, context.prefix, o);
    cache.seal();
    span = {cache.logical_length(),
            cache.logical_length() + static_cast<int64_t>(context.span.size())};
    prefill(lm.model, cache, context.span, o);
    cache.seal();
    options.span = span;
    options.repeat = repeat_prompt(lm, chat_frame(lm));
    options.sources = find_preset("am-omp").queries;
    const StoredQueries all = capture_queries(lm.model, cache, options);
    std::vector<ReferenceSuffix> questions;
    for (const NeedleQuestion& q : context.questions) {
      questions.push_back({q.prompt, span});
      questions.back().tokens.insert(questions.back().tokens.end(), q.gold.begin(), q.gold.end());
    }
    judges[1] = store_queries(lm.model, cache, span,
                              std::vector<ReferenceSuffix>{{context.continuation, span}});
    judges[2] = store_queries(lm.model, cache, span, questions);
    for (const LayerQueries& q : all.layers) {
      const std::vector<uint8_t> held = q.held_out(1);
      seen.layers.push_back(rows_where(q, held, false));
      judges[0].layers.push_back(rows_where(q, held, true));
    }
    for (int64_t l = 0; l < cache.shape().layer_count(); ++l)
      if (cache.layer(l).kind.type == LayerKind::Type::full) layers.push_back(l);
    for (const int64_t l : layers)
      for (int set = 0; set < kSetCount; ++set)
        targets[set].push_back(
            layer_attention(cache_gather(cache, l, span), judges[set].layers[l], {}));
  }

  KvCache cache;
  PositionRange span;
  CompactOptions options;  ///< of the text
  StoredQueries seen, judges[kSetCount];
  std::vector<int64_t> layers;
  std::vector<std::vector<HeadAttention>> targets[kSetCount];  ///< [layers][H]
  ScoreStore scores;
};

/// Of one method and ratio, by kind of query: one number a head and context.
struct Errors {
  std::vector<double> output[kSetCount], mass[kSetCount];
};

double rms(const at::Tensor& x) { return x.to(at::kDouble).square().mean().sqrt().item<double>(); }

void judge(const Judged& text, const KvCache& compact, const std::string& method, Errors& out) {
  for (size_t i = 0; i < text.layers.size(); ++i) {
    const LayerSegment slots = cache_gather(compact, text.layers[i], text.span);
    for (int64_t h = 0; h < slots.kv_heads(); ++h)
      if (slots.slots(h) == 0)
        throw InvalidArgument("[head_errors] {} keeps nothing of head {} of layer {}", method, h,
                              text.layers[i]);
    for (int set = 0; set < kSetCount; ++set) {
      const auto found = layer_attention(slots, text.judges[set].layers[text.layers[i]], {});
      for (size_t h = 0; h < found.size(); ++h) {
        const HeadAttention& want = text.targets[set][i][h];
        out.output[set].push_back(rms(found[h].outputs - want.outputs) / rms(want.outputs));
        out.mass[set].push_back(rms(found[h].lse - want.lse));
      }
    }
  }
}

double part_not_above(const std::vector<double>& a, const std::vector<double>& b) {
  double n = 0;
  for (size_t i = 0; i < a.size(); ++i) n += a[i] <= b[i] ? 1 : 0;
  return 100.0 * n / static_cast<double>(a.size());
}

std::string cells(const std::vector<double> (&x)[kSetCount]) {
  std::string out;
  for (const std::vector<double>& errors : x)
    out += fmt::format(" {:.4f} |", bench::median_of(errors));
  return out;
}

/// A column for each kind of query under each of `kinds`.
void print_heading(const std::vector<std::string>& first, const std::vector<std::string>& kinds,
                   const std::vector<std::string>& last) {
  std::vector<std::string> columns = first;
  for (const std::string& kind : kinds)
    for (int set = 0; set < kSetCount; ++set)
      columns.push_back(set == 0 ? fmt::format("{}: {}", kind, kSets[0]) : kSets[set]);
  columns.insert(columns.end(), last.begin(), last.end());
  std::string rule = "|";
  for (const std::string& column : columns) {
    fmt::print("| {} ", column);
    rule += "---|";
  }
  fmt::print("|\n{}\n", rule);
}

int run(const Args& args) {
  if (args.threads > 0) at::set_num_threads(args.threads);
  std::vector<MethodEntry> methods;
  for (const std::string& text : args.methods) methods.push_back(parse_method_entry(text));
  const LanguageModel lm =
      load_language_model(find_model(args.model, model_directory(args.model_directory)));
  NeedleContexts contexts(lm.tokenizer, chat_frame(lm), read_source_texts(args.texts), {});
  std::vector<std::vector<Errors>> errors(args.ratios.size(), std::vector<Errors>(methods.size()));
  ProgressPrinter progress;
  int64_t done = 0;
  const auto total = static_cast<int64_t>(args.ratios.size() * methods.size()) * args.contexts;
  for (int64_t c = 0; c < args.contexts; ++c) {
    Judged text(lm, contexts.context(args.length, c));
    for (size_t m = 0; m < methods.size(); ++m)
      for (size_t r = 0; r < args.ratios.size(); ++r) {
        CompactOptions o = methods[m].options;
        o.span = text.span;
        o.repeat = text.options.repeat;
        o.ratio = args.ratios[r];
        o.queries = &text.seen;
        o.scores = &text.scores;
        KvCache cache = text.cache.clone();
        compact(lm.model, cache, o);
        judge(text, cache, methods[m].label, errors[r][m]);
        progress({"head errors", "compactions", ++done, total});
      }
  }
  print_heading({"kept", "method"}, {"output error", "mass error"}, {"heads"});
  for (size_t r = 0; r < args.ratios.size(); ++r)
    for (size_t m = 0; m < methods.size(); ++m)
      fmt::print("| {} | {} |{}{} {} |\n", args.ratios[r], methods[m].label,
                 cells(errors[r][m].output), cells(errors[r][m].mass),
                 errors[r][m].output[0].size());
  fmt::print("\n");
  print_heading({"kept", "part of the heads, %"}, {"output", "mass"}, {});
  for (size_t r = 0; r < args.ratios.size(); ++r)
    for (size_t a = 0; a < methods.size(); ++a)
      for (size_t b = a + 1; b < methods.size(); ++b) {
        fmt::print("| {} | {} <= {} |", args.ratios[r], methods[a].label, methods[b].label);
        for (const auto which : {&Errors::output, &Errors::mass})
          for (int set = 0; set < kSetCount; ++set)
            fmt::print(" {:.0f} |",
                       part_not_above((errors[r][a].*which)[set], (errors[r][b].*which)[set]));
        fmt::print("\n");
      }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Args a;
  CLI::App app{"head_errors: errors of single heads on queries that no method has seen"};
  const CLI::Range counts(int64_t{1}, int64_t{1} << 20);
  app.add_option("--texts", a.texts, "as for `limbeck eval`")->required();
  app.add_option("--model", a.model, "name in the model directory, or path")->capture_default_str();
  app.add_option("--model-dir", a.model_directory,
                 "default: $LIMBECK_MODELS or ~/.cache/limbeck/models");
  app.add_option("--methods", a.methods, "as `limbeck eval` names methods, comma-separated")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--ratios", a.ratios, "parts that are kept, comma-separated")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--length", a.length, "tokens of a context")->check(counts)->capture_default_str();
  app.add_option("--contexts", a.contexts)->check(counts)->capture_default_str();
  app.add_option("--threads", a.threads, "0 = one per processor")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return run(a);
  } catch (const limbeck::Error& e) {
    fmt::print(stderr, "head_errors: {}\n", e.what());
    return static_cast<int>(e.code());
  } catch (const std::exception& e) {
    fmt::print(stderr, "head_errors: {}\n", e.what());
    return 1;
  }
}
