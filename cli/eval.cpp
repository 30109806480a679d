#include "cli/commands.h"
#include "cli/kv_flags.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/quality.h"
#include "limbeck/eval/run/build_facts.h"

#include <nlohmann/json.hpp>

#include <iterator>
#include <map>

namespace limbeck::cli {

// "full" and "none" are rows of every table; named alone they ask for no others.
void check_methods(const EvalArgs& args) {
  for (const std::string& text : args.methods)
    if (text != kFullLabel && text != kNoneLabel) parse_method_entry(text);
}

// What several methods share is read once.
std::vector<MethodEntry> read_methods(const LanguageModel& lm, const EvalArgs& args) {
  std::map<std::string, HeadTable> weights;
  std::vector<MethodEntry> out;
  for (const std::string& text : args.methods) {
    if (text == kFullLabel || text == kNoneLabel) continue;
    MethodEntry m = parse_method_entry(text);
    const std::string& file = m.head_weights.empty() ? args.head_weights : m.head_weights;
    if (!weights.contains(file)) weights[file] = head_weights(lm, file);
    m.options.head_weights = weights[file];
    if (!m.head_shares.empty()) m.options.head_shares = read_head_shares(lm, m.head_shares);
    if (!m.heads.empty()) m.gates = read_gates(lm, m.heads);
    out.push_back(std::move(m));
  }
  return out;
}

namespace {

/// Mistakes in texts and methods are found before the model is loaded.
EvalPlan check_plan(const EvalArgs& args) {
  EvalPlan plan;
  if (args.texts.empty()) throw InvalidArgument("[cli] need texts to measure on; give --texts");
  check_methods(args);
  for (const std::string& path : args.texts) {
    auto texts = read_source_texts(path);
    std::move(texts.begin(), texts.end(), std::back_inserter(plan.texts));
  }
  plan.ratios = args.ratios;
  plan.lengths = args.lengths;
  plan.contexts = args.contexts;
  plan.needles = args.needles;
  plan.log = args.output;
  plan.engine = engine_commit();
  return plan;
}

}  // namespace

int run_eval(const Globals& globals, const EvalArgs& args) {
  EvalPlan plan = check_plan(args);
  const LanguageModel lm = load(globals);
  plan.methods = read_methods(lm, args);
  plan.progress = cancellable(progress(globals));
  const EvalResult result = evaluate_compaction(lm, plan);
  if (!globals.json) {
    fmt::print("{}", summary_markdown(result.summary));
    for (const EvalCritical& c : critical_footprints(result.summary))
      fmt::print("critical footprint of {} at {} tokens (90 % of the full cache's needles): {}\n",
                 c.method, c.length, c.critical.text());
    return 0;
  }
  nlohmann::ordered_json j;
  j["settings"] = eval_settings(lm, plan);
  j["summary"] = nlohmann::ordered_json::array();
  j["rows"] = nlohmann::ordered_json::array();
  for (const EvalSummary& s : result.summary) j["summary"].push_back(summary_to_json(s));
  for (const EvalCritical& c : critical_footprints(result.summary))
    j["critical_footprint"].push_back(critical_to_json(c));
  for (const EvalRow& r : result.rows) j["rows"].push_back(row_to_json(r));
  fmt::print("{}\n", j.dump(2));
  return 0;
}

int run_calibrate_quality(const Globals& globals, const EvalArgs& args, const std::string& output) {
  EvalPlan plan = check_plan(args);
  const LanguageModel lm = load(globals);
  plan.methods = read_methods(lm, args);
  if (plan.methods.empty())
    throw InvalidArgument("[cli] need a method whose quality to calibrate; found none");
  plan.progress = cancellable(progress(globals));
  const std::string path = output.empty() ? lm.path.string() + ".quality.json" : output;
  QualityFile file{lm.model.spec().family, lm.model.fingerprint(), {}};
  if (std::filesystem::exists(path)) {
    file = read_quality_file(path);  // curves of other methods stay
    if (file.model_fingerprint != lm.model.fingerprint())
      throw Mismatch("[cli] {} was calibrated on another model ({})", path, file.architecture);
  }
  const std::vector<MethodQuality> fitted = fit_methods(plan, evaluate_compaction(lm, plan));
  for (const MethodQuality& m : fitted) {
    std::erase_if(file.methods, [&](const auto& old) { return old.fingerprint == m.fingerprint; });
    file.methods.push_back(m);
  }
  write_quality_file(file, path);
  if (globals.json) {
    nlohmann::ordered_json j{{"file", path}, {"methods", nlohmann::ordered_json::array()}};
    for (const MethodQuality& m : fitted)
      j["methods"].push_back({{"method", m.method},
                              {"alpha", m.fit.curve.alpha},
                              {"beta", m.fit.curve.beta},
                              {"samples", m.samples},
                              {"error_50", m.fit.error_50},
                              {"error_90", m.fit.error_90}});
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  for (const MethodQuality& m : fitted)
    fmt::print(
        "{:<24} b = {:.3f} NLL {:+.3f} from {} samples of {} texts; promised too much: median "
        "{:+.3f}, 90 % below {:+.3f}\n",
        m.method, m.fit.curve.alpha, m.fit.curve.beta, m.samples, m.contexts, m.fit.error_50,
        m.fit.error_90);
  fmt::print("wrote     {}\n", path);
  return 0;
}

}  // namespace limbeck::cli
