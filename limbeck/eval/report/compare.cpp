#include "limbeck/eval/report/compare.h"

#include "limbeck/eval/report/escape.h"
#include "limbeck/eval/report/markdown.h"
#include "limbeck/eval/report/record_fields.h"
#include "limbeck/eval/report/summary_groups.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

namespace limbeck {
namespace {

std::string key_text(const CellKey& key) {
  std::string out = key.task;
  if (key.length > 0) out += fmt::format(", {} tokens", key.length);
  if (key.mode != "agnostic") out += ", mode " + key.mode;
  out += ", " + method_title(key.method);
  if (!is_bound(key.method)) out += " " + budget_text(key.budget);
  return out;
}

ComparedCell compare_cells(const CellRows& a, const CellRows& b, const PairedScores& pairs) {
  ComparedCell out;
  out.key = b.key;
  out.group = b.group;
  out.a = mean_of(pairs.first);
  out.b = mean_of(pairs.second);
  const std::vector<double> differences = pairs.differences();
  out.difference = mean_of(differences);
  out.ci = bootstrap_scores(differences, b.key.text() + "|comparison");
  out.documents = static_cast<int64_t>(differences.size());
  out.questions = pairs.questions;
  out.significant = out.documents >= kFewestForSignificance && out.ci.excludes(0);
  return out;
}

const char* verdict(const ComparedCell& c) {
  return !c.significant ? "" : c.difference > 0 ? "better" : "worse";
}

nlohmann::ordered_json to_json(const CellKey& key) {
  return {{"task", valid_utf8(key.task)},
          {"length", key.length},
          {"mode", valid_utf8(key.mode)},
          {"method", valid_utf8(key.method)},
          {"budget", number_or_null(key.budget)}};
}

nlohmann::ordered_json to_json(const std::vector<CellKey>& keys) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const CellKey& key : keys) out.push_back(to_json(key));
  return out;
}

}  // namespace

RunComparison compare_runs(std::span<const SampleRow> a, std::span<const SampleRow> b) {
  const std::vector<CellRows> cells_a = cells_of(a), cells_b = cells_of(b);
  std::map<CellKey, size_t> places;
  for (size_t i = 0; i < cells_a.size(); ++i) places[cells_a[i].key] = i;
  RunComparison out;
  for (size_t i = 0; i < cells_b.size(); ++i) {
    const auto at = places.find(cells_b[i].key);
    if (at == places.end()) {
      out.only_b.push_back(cells_b[i].key);
      continue;
    }
    const size_t k = at->second;
    places.erase(at);
    const PairedScores pairs = paired_scores(cells_a[k], cells_b[i]);
    out.others += pairs.others;
    if (pairs.first.empty()) {
      out.without_common.push_back(cells_b[i].key);
      continue;
    }
    ComparedCell cell = compare_cells(cells_a[k], cells_b[i], pairs);
    const SummaryCell measured_a = measured_cell(cells_a[k]),
                      measured_b = measured_cell(cells_b[i]);
    cell.kv_bytes_a = measured_a.kv_bytes;
    cell.kv_bytes_b = measured_b.kv_bytes;
    cell.seconds_a = measured_a.timing.compaction.median;
    cell.seconds_b = measured_b.timing.compaction.median;
    out.better += cell.significant && cell.difference > 0 ? 1 : 0;
    out.worse += cell.significant && cell.difference < 0 ? 1 : 0;
    out.cells.push_back(std::move(cell));
  }
  for (const CellRows& cell : cells_a)
    if (places.contains(cell.key)) out.only_a.push_back(cell.key);
  return out;
}

Table comparison_table(const RunComparison& comparison, const std::string& name_a,
                       const std::string& name_b) {
  Table out;
  out.title = fmt::format("{} against {}", name_b, name_a);
  out.columns = {"task",  "length", "method",    "asked",     name_a,      name_b,   "difference",
                 "MiB A", "MiB B",  "seconds A", "seconds B", "documents", "changed"};
  for (const ComparedCell& c : comparison.cells) {
    std::string task = c.key.task;
    if (c.key.mode != "agnostic") task += " (" + c.key.mode + ")";
    const bool bound = is_bound(c.key.method);
    out.rows.push_back({{task},
                        {c.key.length > 0 ? std::to_string(c.key.length) : "-"},
                        {method_title(c.key.method)},
                        {bound ? "-" : budget_text(c.key.budget)},
                        {percent_text(c.a)},
                        {percent_text(c.b)},
                        {signed_percent_text(c.difference, c.ci), c.significant},
                        {mib_text(c.kv_bytes_a)},
                        {mib_text(c.kv_bytes_b)},
                        {bound ? "-" : three_digits(c.seconds_a)},
                        {bound ? "-" : three_digits(c.seconds_b)},
                        {std::to_string(c.documents)},
                        {verdict(c)}});
  }
  const size_t n = comparison.cells.size();
  out.notes.push_back(fmt::format(
      "{} common cells: {} significantly better, {} worse (the 95 % interval of the paired "
      "difference excludes 0, over {} documents or more). About {:.2g} would be by chance.",
      n, comparison.better, comparison.worse, kFewestForSignificance,
      (1 - kConfidence) * static_cast<double>(n)));
  if (comparison.others > 0)
    out.notes.push_back(
        fmt::format("{} questions have the same number in both and expect something else (another "
                    "seed, text or option): they are left out.",
                    comparison.others));
  const auto list = [&](const std::vector<CellKey>& keys, const std::string& name) {
    for (const CellKey& key : keys)
      out.notes.push_back(fmt::format("{}: {}.", name, key_text(key)));
  };
  list(comparison.only_a, "Only in " + name_a);
  list(comparison.only_b, "Only in " + name_b);
  list(comparison.without_common, "Without a common question");
  return out;
}

std::string comparison_markdown(const RunComparison& comparison, const std::string& name_a,
                                const std::string& name_b) {
  return table_markdown(comparison_table(comparison, name_a, name_b));
}

nlohmann::ordered_json comparison_to_json(const RunComparison& comparison,
                                          const std::string& name_a, const std::string& name_b) {
  nlohmann::ordered_json cells = nlohmann::ordered_json::array();
  for (const ComparedCell& c : comparison.cells) {
    nlohmann::ordered_json j = to_json(c.key);
    j["group"] = valid_utf8(c.group);
    j["a"] = number_or_null(c.a);
    j["b"] = number_or_null(c.b);
    j["difference"] = number_or_null(c.difference);
    j["ci"] = {number_or_null(c.ci.low), number_or_null(c.ci.high)};
    j["n_docs"] = c.documents;
    j["n_questions"] = c.questions;
    j["significant"] = c.significant;
    j["kv_bytes_a"] = number_or_null(c.kv_bytes_a);
    j["kv_bytes_b"] = number_or_null(c.kv_bytes_b);
    j["timing"] = {{"compaction_seconds_a", number_or_null(c.seconds_a)},
                   {"compaction_seconds_b", number_or_null(c.seconds_b)}};
    cells.push_back(std::move(j));
  }
  return {{"limbeck_comparison", 1},
          {"a", valid_utf8(name_a)},
          {"b", valid_utf8(name_b)},
          {"resamples", kResamples},
          {"confidence", kConfidence},
          {"better", comparison.better},
          {"worse", comparison.worse},
          {"other_questions", comparison.others},
          {"cells", std::move(cells)},
          {"only_a", to_json(comparison.only_a)},
          {"only_b", to_json(comparison.only_b)},
          {"without_common", to_json(comparison.without_common)}};
}

}  // namespace limbeck
