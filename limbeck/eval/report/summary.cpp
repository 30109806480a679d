#include "limbeck/eval/report/summary.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/summary_groups.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace limbeck {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// These are of each question; the other stages are of the unit that its questions share.
bool is_question_stage(const std::string& stage) {
  return stage == "question" || stage == "decode";
}

/// Rows that each stand for a measured unit: one a document, or one a question where each question
/// has a compaction of its own.
std::vector<const SampleRow*> units(const CellRows& cell) {
  std::vector<const SampleRow*> out;
  for (const CellDocument& d : cell.documents)
    for (const SampleRow* r : d.rows) {
      if (!r->error.empty()) continue;
      out.push_back(r);
      if (cell.key.mode == "agnostic") break;
    }
  return out;
}

/// Mean over documents of the means of their good rows; values that are not finite are left out.
double unit_mean(const CellRows& cell, const std::function<double(const SampleRow&)>& value) {
  std::vector<double> of_documents;
  for (const CellDocument& d : cell.documents) {
    std::vector<double> values;
    for (const SampleRow* r : d.rows)
      if (r->error.empty() && std::isfinite(value(*r))) values.push_back(value(*r));
    if (!values.empty()) of_documents.push_back(mean_of(values));
  }
  return mean_of(of_documents);
}

void add_memory(SummaryCell& out, const CellRows& cell) {
  const auto mean = [&](auto SampleRow::*field) {
    return unit_mean(cell, [field](const SampleRow& r) { return static_cast<double>(r.*field); });
  };
  out.kept = mean(&SampleRow::kept);
  out.kept_ratio = mean(&SampleRow::kept_ratio);
  out.kv_bytes = mean(&SampleRow::kv_bytes);
  out.bytes_ratio = mean(&SampleRow::bytes_ratio);
  out.footprint = mean(&SampleRow::footprint);
  out.footprint_total = mean(&SampleRow::footprint_total);
  out.footprint_after = mean(&SampleRow::footprint_after);
  out.peak = mean(&SampleRow::peak);
  out.kv_bytes_peak = mean(&SampleRow::kv_bytes_peak);
  bool first = true;
  for (const SampleRow* r : units(cell)) {
    out.kept_min = first ? r->kept_min : std::min(out.kept_min, r->kept_min);
    out.kept_max = std::max(out.kept_max, r->kept_max);
    first = false;
  }
}

bool answer_found(const SampleRow& r) {
  const auto it = r.metrics.find("found");
  return r.error.empty() && (it == r.metrics.end() ? !r.parsed.empty() : it->second != 0);
}

void add_counts(SummaryCell& out, const CellRows& cell) {
  out.documents = static_cast<int64_t>(cell.documents.size());
  std::map<std::string, std::vector<double>> metrics;
  int64_t found = 0;
  for (const CellDocument& d : cell.documents) {
    std::map<std::string, std::vector<double>> of_document;
    for (const SampleRow* r : d.rows) {
      ++out.questions;
      found += answer_found(*r) ? 1 : 0;
      out.truncated += r->truncated ? 1 : 0;
      out.failed += r->error.empty() ? 0 : 1;
      for (const auto& [name, value] : r->metrics)
        if (name != "found" && std::isfinite(value)) of_document[name].push_back(value);
    }
    for (const auto& [name, values] : of_document) metrics[name].push_back(mean_of(values));
  }
  for (const auto& [name, values] : metrics) {
    out.metrics[name] = mean_of(values);
    // A mean of perplexities would depend on how the text was cut.
    if (name.starts_with("nll")) out.metrics["ppl" + name.substr(3)] = std::exp(mean_of(values));
  }
  out.parse_rate = static_cast<double>(found) / static_cast<double>(out.questions);
}

CellTiming timing_of(const CellRows& cell) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<double>> seconds;
  const auto add = [&](const SampleRow& r, bool of_question) {
    std::map<std::string, double> sums;  // a stage may run in several pieces
    for (const auto& [stage, s] : r.seconds) {
      if (is_question_stage(stage) != of_question) continue;
      if (!seconds.contains(stage) && !sums.contains(stage)) order.push_back(stage);
      sums[stage] += s;
    }
    for (const auto& [stage, s] : sums) seconds[stage].push_back(s);
  };
  CellTiming out;
  std::vector<double> compaction, rates, first_token;
  out.rss_peak = kNan;
  for (const SampleRow* r : units(cell)) {
    if (r->rss_peak > 0) out.rss_peak = std::fmax(out.rss_peak, static_cast<double>(r->rss_peak));
    compaction.push_back(r->compaction_seconds);
    add(*r, false);
  }
  for (const CellDocument& d : cell.documents)
    for (const SampleRow* r : d.rows) {
      if (!r->error.empty()) continue;
      add(*r, true);
      double decode = 0;
      for (const auto& [stage, s] : r->seconds) {
        decode += stage == "decode" ? s : 0.0;
        if (stage == "question" && r->generated_tokens > 0) first_token.push_back(s);
      }
      // The first token comes from the question's own pass.
      if (decode > 0 && r->generated_tokens > 1)
        rates.push_back(static_cast<double>(r->generated_tokens - 1) / decode);
    }
  out.compaction = robust_of(std::move(compaction));
  out.decode_rate = robust_of(std::move(rates));
  out.first_token = robust_of(std::move(first_token));
  for (const std::string& stage : order) out.seconds.emplace_back(stage, robust_of(seconds[stage]));
  return out;
}

SummaryCell cell_of(const CellRows& cell, const CellRows* full) {
  SummaryCell out = measured_cell(cell);
  const std::vector<double> scores = document_scores(cell);
  out.score = {mean_of(scores), bootstrap_scores(scores, cell.key.text())};
  out.relative = kNan;
  if (full != nullptr) {
    const PairedScores pairs = paired_scores(*full, cell);
    const double full_mean = mean_of(pairs.first);
    // Both of the same questions: a run that was cut short has more of one than of the other.
    if (full_mean > 0) out.relative = 100 * mean_of(pairs.second) / full_mean;
    if (cell.key.method != kFullLabel && !pairs.first.empty()) {
      const std::vector<double> differences = pairs.differences();
      out.from_full = {mean_of(differences),
                       bootstrap_scores(differences, cell.key.text() + "|difference"),
                       static_cast<int64_t>(differences.size())};
    }
  }
  return out;
}

}  // namespace

SummaryCell measured_cell(const CellRows& cell) {
  SummaryCell out;
  out.key = cell.key;
  out.group = cell.group;
  out.category = cell.category;
  add_memory(out, cell);
  add_counts(out, cell);
  out.timing = timing_of(cell);
  return out;
}

const SummaryCell* Summary::find(const CellKey& key) const {
  const auto it =
      std::find_if(cells.begin(), cells.end(), [&](const SummaryCell& c) { return c.key == key; });
  return it == cells.end() ? nullptr : &*it;
}

const CellRows* full_of(std::span<const CellRows> cells, const CellKey& key) {
  for (const CellRows& c : cells)
    if (c.key.task == key.task && c.key.length == key.length && c.key.mode == key.mode &&
        c.key.method == kFullLabel)
      return &c;
  return nullptr;
}

Summary summarise_samples(std::span<const SampleRow> rows, const SummaryOptions& options) {
  options_validate("summary", options);
  const std::vector<CellRows> cells = cells_of(rows);
  Summary out;
  out.options = options;
  for (const CellRows& cell : cells) out.cells.push_back(cell_of(cell, full_of(cells, cell.key)));
  out.left_out = left_out_tasks(out.cells, options);
  out.groups = group_averages(cells, out);
  out.categories = category_means(out.cells);
  out.critical = critical_values(out.cells, &SummaryCell::footprint_total, options.phi);
  out.needles = needle_grids(rows);
  return out;
}

}  // namespace limbeck
