#include "cli/commands.h"

#include "limbeck/base/error.h"

#include <nlohmann/json.hpp>

#include <iterator>
#include <map>

namespace limbeck::cli {
namespace {

/// Entries with their head tables. What several methods share is read once.
std::vector<MethodEntry> read_methods(const LanguageModel& lm, const EvalArgs& args) {
  std::map<std::string, HeadTable> weights;
  std::vector<MethodEntry> out;
  for (const std::string& text : args.methods) {
    MethodEntry m = parse_method_entry(text);
    const std::string& file = m.head_weights.empty() ? args.head_weights : m.head_weights;
    if (!weights.contains(file)) weights[file] = head_weights(lm, file);
    m.options.head_weights = weights[file];
    if (!m.head_shares.empty())
      m.options.head_shares =
          read_head_table(m.head_shares, lm.model.spec().layer_count(), lm.model.spec().kv_heads);
    out.push_back(std::move(m));
  }
  return out;
}

}  // namespace

int run_eval(const Globals& globals, const EvalArgs& args) {
  EvalPlan plan;
  // Mistakes in texts and methods are found before the model is loaded.
  for (const std::string& text : args.methods) parse_method_entry(text);
  for (const std::string& path : args.texts) {
    auto texts = read_source_texts(path);
    std::move(texts.begin(), texts.end(), std::back_inserter(plan.texts));
  }
  const LanguageModel lm = load(globals);
  plan.methods = read_methods(lm, args);
  plan.ratios = args.ratios;
  plan.lengths = args.lengths;
  plan.contexts = args.contexts;
  plan.needles = args.needles;
  plan.log = args.output;
  plan.progress = progress(globals);
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

}  // namespace limbeck::cli
