#include "limbeck/eval/eval_summary.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/sample_row.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

namespace limbeck {
namespace {

using Rows = std::vector<const EvalRow*>;
using Value = std::function<double(const EvalRow&)>;

MeanWithError mean_with_error(const Rows& rows, const Value& value) {
  const auto n = static_cast<double>(rows.size());
  MeanWithError out;
  for (const EvalRow* r : rows) out.mean += value(*r) / n;
  double squares = 0;
  for (const EvalRow* r : rows) squares += std::pow(value(*r) - out.mean, 2);
  out.error =
      rows.size() > 1 ? std::sqrt(squares / (n - 1) / n) : std::numeric_limits<double>::quiet_NaN();
  return out;
}

double mean(const Rows& rows, const Value& value) { return mean_with_error(rows, value).mean; }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/// Medians by stage, over the rows that ran it.
void add_stages(StageSeconds& out, const Rows& rows, StageSeconds EvalRow::*stages,
                const std::string& prefix) {
  StageSeconds names;
  std::map<std::string, std::vector<double>> seconds;
  for (const EvalRow* r : rows)
    for (const auto& [stage, s] : r->*stages) {
      if (seconds[stage].empty()) names.emplace_back(stage, 0.0);
      seconds[stage].push_back(s);
    }
  for (const auto& [stage, unused] : names)
    out.emplace_back(prefix + stage, median(seconds[stage]));
}

EvalSummary summarise(const Rows& rows) {
  EvalSummary s;
  s.length = rows[0]->key.length;
  s.method = rows[0]->key.method;
  s.ratio = rows[0]->key.ratio;
  s.contexts = static_cast<int64_t>(rows.size());
  s.kept = mean(rows, [](const EvalRow& r) { return r.kept; });
  s.kl_answers = mean_with_error(rows, [](const EvalRow& r) { return r.answers.kl; });
  s.kl_continuation = mean_with_error(rows, [](const EvalRow& r) { return r.continuation.kl; });
  s.needles = mean_with_error(rows, [](const EvalRow& r) { return r.needle_accuracy(); });
  s.top1_answers = mean(rows, [](const EvalRow& r) { return r.answers.top1; });
  s.top1_continuation = mean(rows, [](const EvalRow& r) { return r.continuation.top1; });
  s.perplexity_ratio = std::exp(mean(
      rows, [](const EvalRow& r) { return r.continuation.nll_other - r.continuation.nll_full; }));
  s.bytes = mean(rows, [](const EvalRow& r) { return static_cast<double>(r.bytes); });
  s.span_bytes = mean(rows, [](const EvalRow& r) { return static_cast<double>(r.span_bytes); });
  s.footprint = mean(rows, [](const EvalRow& r) { return r.footprint; });
  s.footprint_total = mean(rows, [](const EvalRow& r) { return r.footprint_total; });
  s.footprint_after = mean(rows, [](const EvalRow& r) { return r.footprint_after; });
  s.peak = mean(rows, [](const EvalRow& r) { return r.peak; });
  s.bytes_peak = mean(rows, [](const EvalRow& r) { return static_cast<double>(r.bytes_peak); });
  std::vector<double> seconds;
  for (const EvalRow* r : rows) {
    seconds.push_back(r->compaction_seconds());
    s.engines.insert(r->engine);
  }
  s.compaction_seconds = median(seconds);
  add_stages(s.seconds, rows, &EvalRow::shared, "");
  add_stages(s.seconds, rows, &EvalRow::compaction, "compaction ");
  return s;
}

std::string with_error(const MeanWithError& m, int digits, double factor = 1.0) {
  const std::string text = fmt::format("{:.{}f}", factor * m.mean, digits);
  return std::isnan(m.error) ? text : fmt::format("{} ± {:.{}f}", text, factor * m.error, digits);
}

std::string escape_cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string percent(double fraction) {
  return std::isnan(fraction) ? "-" : fmt::format("{:.1f}", 100 * fraction);
}

std::string table_row(const EvalSummary& s) {
  const bool compacted = s.method != kFullLabel && s.method != kNoneLabel;
  return fmt::format(
      "| {} | {:.4f} | {} | {} | {} | {:.1f} / {:.1f} | {:.4f} | {:.2f} | {} / {} / {} | {} |\n",
      escape_cell(s.method), s.kept, with_error(s.kl_answers, 4), with_error(s.kl_continuation, 4),
      with_error(s.needles, 1, 100), 100 * s.top1_answers, 100 * s.top1_continuation,
      s.perplexity_ratio, s.bytes / (1024.0 * 1024.0), percent(s.footprint_total),
      percent(s.footprint_after), percent(s.peak),
      compacted ? fmt::format("{:.2f}", s.compaction_seconds) : "-");
}

}  // namespace

std::vector<EvalSummary> summarise_rows(std::span<const EvalRow> rows) {
  using Group = std::tuple<int64_t, std::string, double>;
  std::vector<Group> order;
  std::map<Group, Rows> groups;
  for (const EvalRow& r : rows) {
    const Group group{r.key.length, r.key.method, r.key.ratio};
    if (groups[group].empty()) order.push_back(group);
    groups[group].push_back(&r);
  }
  std::vector<EvalSummary> out;
  for (const Group& group : order) out.push_back(summarise(groups[group]));
  return out;
}

std::vector<EvalCritical> critical_footprints(std::span<const EvalSummary> summaries, double phi) {
  std::vector<EvalCritical> out;
  for (const EvalSummary& s : summaries) {
    if (s.method == kFullLabel || s.method == kNoneLabel) continue;
    auto known = std::find_if(out.begin(), out.end(), [&](const EvalCritical& c) {
      return c.length == s.length && c.method == s.method;
    });
    if (known == out.end()) known = out.insert(out.end(), {s.length, s.method, {}, {}});
    known->grid.push_back({s.footprint_total, s.needles.mean});
  }
  for (EvalCritical& c : out)
    for (const EvalSummary& s : summaries)
      if (s.length == c.length && s.method == kFullLabel)
        c.critical = critical_footprint(s.needles.mean, c.grid, phi);
  return out;
}

nlohmann::ordered_json critical_to_json(const EvalCritical& c, double phi) {
  nlohmann::ordered_json grid = nlohmann::ordered_json::array();
  for (const FootprintPoint& p : c.grid)
    grid.push_back({{"footprint_total", p.footprint}, {"needle_accuracy", p.score}});
  return {{"length", c.length},
          {"method", c.method},
          {"phi", phi},
          {"critical", c.critical.text()},
          {"censored", c.critical.censored()},
          {"grid", std::move(grid)}};
}

std::string summary_markdown(std::span<const EvalSummary> summaries) {
  std::string out;
  std::set<std::string> engines;
  int64_t length = -1;
  for (const EvalSummary& s : summaries) {
    if (s.length != length) {
      length = s.length;
      std::string shared;
      // Those of the first row, the full cache: what every method shares.
      for (const auto& [stage, seconds] : s.seconds)
        shared +=
            fmt::format("{} {} {:.2f}", shared.empty() ? "; median seconds:" : ",", stage, seconds);
      out += fmt::format("{}### {} tokens, {} context{}{}\n\n", out.empty() ? "" : "\n", s.length,
                         s.contexts, s.contexts == 1 ? "" : "s", shared);
      out +=
          "| method | kept | KL answers | KL continuation | needles % | same top token %: answers "
          "/ continuation | perplexity ratio | MiB | footprint %: total / after / peak | seconds "
          "|\n"
          "|---|---|---|---|---|---|---|---|---|---|\n";
    }
    out += table_row(s);
    for (const std::string& engine : s.engines)
      engines.insert(engine.empty() ? "an unknown one" : engine);
  }
  if (engines.size() > 1)
    out += fmt::format("\nRows were measured by several versions: {}.\n", fmt::join(engines, ", "));
  return out;
}

nlohmann::ordered_json summary_to_json(const EvalSummary& s) {
  const auto pair = [](const MeanWithError& m) {
    return nlohmann::ordered_json{{"mean", m.mean}, {"standard_error", m.error}};
  };
  nlohmann::ordered_json j;
  j["length"] = s.length;
  j["method"] = s.method;
  j["ratio"] = s.ratio;
  j["contexts"] = s.contexts;
  j["kept"] = s.kept;
  j["kl_answers"] = pair(s.kl_answers);
  j["kl_continuation"] = pair(s.kl_continuation);
  j["needle_accuracy"] = pair(s.needles);
  j["top1_answers"] = s.top1_answers;
  j["top1_continuation"] = s.top1_continuation;
  j["perplexity_ratio"] = s.perplexity_ratio;
  j["bytes"] = s.bytes;
  j["span_bytes"] = s.span_bytes;
  j["footprint"] = s.footprint;
  j["footprint_total"] = s.footprint_total;
  j["footprint_after"] = s.footprint_after;
  j["peak"] = s.peak;
  j["kv_bytes_peak"] = s.bytes_peak;
  j["engines"] = s.engines;
  j["compaction_seconds"] = s.compaction_seconds;
  for (const auto& [stage, seconds] : s.seconds) j["seconds"][stage] = seconds;
  return j;
}

}  // namespace limbeck
