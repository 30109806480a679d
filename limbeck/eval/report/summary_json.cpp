#include "limbeck/base/error.h"
#include "limbeck/eval/report/escape.h"
#include "limbeck/eval/report/record_fields.h"
#include "limbeck/eval/report/summary.h"
#include "limbeck/eval/report/summary_groups.h"

#include <cmath>

namespace limbeck {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// 2 has needle grids and the means over all tasks.
constexpr int64_t kVersion = 3;
constexpr const char* kKindNames[] = {"not available", "exact", "above", "below"};

ordered_json to_json(const ScoreInterval& i) {
  return ordered_json::array({number_or_null(i.low), number_or_null(i.high)});
}

ordered_json to_json(const std::optional<PairedDifference>& d) {
  if (!d) return nullptr;
  return {{"mean", number_or_null(d->mean)}, {"ci", to_json(d->ci)}, {"documents", d->documents}};
}

ordered_json to_json(const Robust& r) {
  return {{"median", number_or_null(r.median)},
          {"mad", number_or_null(r.mad)},
          {"min", number_or_null(r.min)},
          {"count", r.count}};
}

ordered_json to_json(const CellTiming& t) {
  ordered_json stages = ordered_json::array();
  for (const auto& [stage, seconds] : t.seconds) {
    ordered_json entry{{"stage", valid_utf8(stage)}};
    entry.update(to_json(seconds));
    stages.push_back(std::move(entry));
  }
  return {{"compaction_seconds", to_json(t.compaction)},
          {"seconds", std::move(stages)},
          {"first_token_seconds", to_json(t.first_token)},
          {"decode_tokens_per_second", to_json(t.decode_rate)},
          {"rss_peak", number_or_null(t.rss_peak)},
          {"device_peak", nullptr}};  // caches live in the machine's memory
}

ordered_json to_json(const SummaryCell& c) {
  ordered_json metrics = ordered_json::object();
  for (const auto& [name, value] : c.metrics) metrics[valid_utf8(name)] = number_or_null(value);
  return {{"task", valid_utf8(c.key.task)},
          {"group", valid_utf8(c.group)},
          {"category", valid_utf8(c.category)},
          {"length", c.key.length},
          {"mode", valid_utf8(c.key.mode)},
          {"method", valid_utf8(c.key.method)},
          {"budget", number_or_null(c.key.budget)},
          {"score", number_or_null(c.score.mean)},
          {"ci", to_json(c.score.ci)},
          {"relative", number_or_null(c.relative)},
          {"from_full", to_json(c.from_full)},
          {"kept", number_or_null(c.kept)},
          {"kept_ratio", number_or_null(c.kept_ratio)},
          {"kept_min", c.kept_min},
          {"kept_max", c.kept_max},
          {"kv_bytes", number_or_null(c.kv_bytes)},
          {"bytes_ratio", number_or_null(c.bytes_ratio)},
          {"footprint", number_or_null(c.footprint)},
          {"footprint_total", number_or_null(c.footprint_total)},
          {"footprint_after", number_or_null(c.footprint_after)},
          {"peak", number_or_null(c.peak)},
          {"kv_bytes_peak", number_or_null(c.kv_bytes_peak)},
          {"parse_rate", number_or_null(c.parse_rate)},
          {"truncated", c.truncated},
          {"failed", c.failed},
          {"n_questions", c.questions},
          {"n_docs", c.documents},
          {"metrics", std::move(metrics)},
          {"timing", to_json(c.timing)}};
}

ordered_json texts(const std::vector<std::string>& list) {
  ordered_json out = ordered_json::array();
  for (const std::string& text : list) out.push_back(valid_utf8(text));
  return out;
}

ordered_json to_json(const SummaryGroup& g) {
  return {{"group", valid_utf8(g.group)},
          {"length", g.length},
          {"mode", valid_utf8(g.mode)},
          {"method", valid_utf8(g.method)},
          {"budget", number_or_null(g.budget)},
          {"tasks", texts(g.tasks)},
          {"missing", texts(g.missing)},
          {"score", number_or_null(g.score.mean)},
          {"ci", to_json(g.score.ci)},
          {"relative", number_or_null(g.relative)},
          {"from_full", to_json(g.from_full)},
          {"all_tasks",
           {{"score", number_or_null(g.all.score.mean)},
            {"ci", to_json(g.all.score.ci)},
            {"relative", number_or_null(g.all.relative)},
            {"from_full", to_json(g.all.from_full)}}},
          {"kept_ratio", number_or_null(g.kept_ratio)},
          {"kv_bytes", number_or_null(g.kv_bytes)},
          {"bytes_ratio", number_or_null(g.bytes_ratio)},
          {"footprint_total", number_or_null(g.footprint_total)},
          {"timing", {{"compaction_seconds", number_or_null(g.compaction_seconds)}}}};
}

ordered_json to_json(const SummaryCategory& c) {
  return {{"group", valid_utf8(c.group)},
          {"category", valid_utf8(c.category)},
          {"length", c.length},
          {"mode", valid_utf8(c.mode)},
          {"method", valid_utf8(c.method)},
          {"budget", number_or_null(c.budget)},
          {"tasks", c.tasks},
          {"score", number_or_null(c.score)},
          {"relative", number_or_null(c.relative)}};
}

ordered_json to_json(const LeftOutTask& t) {
  return {{"group", valid_utf8(t.group)},
          {"task", valid_utf8(t.task)},
          {"mode", valid_utf8(t.mode)},
          {"length", t.length},
          {"full_score", number_or_null(t.full_score)}};
}

ordered_json to_json(const CriticalFootprint& c) {
  return {{"text", c.text()},
          {"kind", kKindNames[static_cast<size_t>(c.kind)]},
          {"value", number_or_null(c.value)},
          {"censored", c.censored()},
          {"dropped", c.dropped}};
}

ordered_json to_json(const SummaryCritical& c, double phi, const char* what) {
  ordered_json grid = ordered_json::array();
  for (const FootprintPoint& p : c.grid)
    grid.push_back({{what, number_or_null(p.footprint)}, {"score", number_or_null(p.score)}});
  return {{"group", valid_utf8(c.group)},
          {"task", valid_utf8(c.task)},
          {"length", c.length},
          {"mode", valid_utf8(c.mode)},
          {"method", valid_utf8(c.method)},
          {"phi", phi},
          {"full_score", number_or_null(c.full_score)},
          {"critical", to_json(c.critical)},
          {"critical_any", to_json(c.any)},
          {"grid", std::move(grid)}};
}

ordered_json to_json(const NeedleGrid& g) {
  ordered_json scores = ordered_json::array();
  for (const std::vector<double>& row : g.scores) {
    ordered_json& of_depth = scores.emplace_back(ordered_json::array());
    for (const double x : row) of_depth.push_back(number_or_null(x));
  }
  return {{"task", valid_utf8(g.task)},
          {"mode", valid_utf8(g.mode)},
          {"method", valid_utf8(g.method)},
          {"budget", number_or_null(g.budget)},
          {"depths", g.depths},
          {"lengths", g.lengths},
          {"scores", std::move(scores)},
          {"mean", number_or_null(g.mean)},
          {"worst", number_or_null(g.worst)},
          {"worst_depth", g.worst_depth},
          {"worst_length", g.worst_length}};
}

template <class Values>
ordered_json list_of(const Values& values) {
  ordered_json out = ordered_json::array();
  for (const auto& value : values) out.push_back(to_json(value));
  return out;
}

ScoreInterval read_interval(const json& j, std::string_view what) {
  if (!j.is_array() || j.size() != 2)
    throw FormatError("{}: field ci must be a list of two numbers; found {}", what, j.type_name());
  const json both{{"low", j[0]}, {"high", j[1]}};
  RowFields f(both, fmt::format("{}: ci", what));
  return {f.number("low"), f.number("high")};
}

std::optional<PairedDifference> read_difference(const json& j, std::string_view what) {
  if (j.is_null()) return std::nullopt;
  const std::string place = fmt::format("{}: from_full", what);
  RowFields f(j, place);
  PairedDifference out{f.number("mean"), read_interval(f.at("ci"), place), f.count("documents")};
  f.refuse_others();
  return out;
}

Robust read_robust(RowFields& f) {
  return {f.number("median"), f.number("mad"), f.number("min"), f.count("count")};
}
Robust read_robust(const json& j, const std::string& what) {
  RowFields f(j, what);
  const Robust out = read_robust(f);
  f.refuse_others();
  return out;
}

CellTiming read_timing(const json& j, const std::string& what) {
  RowFields f(j, what);
  CellTiming out;
  out.compaction = read_robust(f.at("compaction_seconds"), what + ": compaction_seconds");
  const json& stages = f.list("seconds");
  for (size_t i = 0; i < stages.size(); ++i) {
    RowFields s(stages[i], f.place("seconds", i));
    std::string stage = s.text("stage");
    out.seconds.emplace_back(std::move(stage), read_robust(s));
    s.refuse_others();
  }
  out.first_token = read_robust(f.at("first_token_seconds"), what + ": first_token_seconds");
  out.rss_peak = f.number("rss_peak");
  out.decode_rate =
      read_robust(f.at("decode_tokens_per_second"), what + ": decode_tokens_per_second");
  f.refuse_others({"device_peak"});
  return out;
}

SummaryCell read_cell(const json& j, const std::string& what) {
  RowFields f(j, what);
  SummaryCell c;
  c.key = {f.name("task"), f.count("length"), f.name("mode"), f.name("method"),
           f.number_within("budget", 0, kHugeNumber)};
  c.group = f.text("group");
  c.category = f.text("category");
  c.score = {f.number("score"), read_interval(f.at("ci"), what)};
  c.relative = f.number("relative");
  c.from_full = read_difference(f.at("from_full"), what);
  c.kept = f.number("kept");
  c.kept_ratio = f.number("kept_ratio");
  c.kept_min = f.count("kept_min");
  c.kept_max = f.count("kept_max");
  c.kv_bytes = f.number("kv_bytes");
  c.bytes_ratio = f.number("bytes_ratio");
  c.footprint = f.number("footprint");
  c.footprint_total = f.number("footprint_total");
  c.footprint_after = f.number("footprint_after");
  c.peak = f.number("peak");
  c.kv_bytes_peak = f.number("kv_bytes_peak");
  c.parse_rate = f.number("parse_rate");
  c.truncated = f.count("truncated");
  c.failed = f.count("failed");
  c.questions = f.count("n_questions");
  c.documents = f.count("n_docs");
  c.metrics = f.numbers("metrics");
  c.timing = read_timing(f.at("timing"), what + ": timing");
  f.refuse_others();
  return c;
}

TasksMean read_mean(RowFields& f, const std::string& what) {
  TasksMean out;
  out.score = {f.number("score"), read_interval(f.at("ci"), what)};
  out.relative = f.number("relative");
  out.from_full = read_difference(f.at("from_full"), what);
  return out;
}

SummaryGroup read_group(const json& j, const std::string& what) {
  RowFields f(j, what);
  SummaryGroup g;
  g.group = f.text("group");
  g.length = f.count("length");
  g.mode = f.name("mode");
  g.method = f.name("method");
  g.budget = f.number_within("budget", 0, kHugeNumber);
  g.tasks = f.texts("tasks");
  g.missing = f.texts("missing");
  static_cast<TasksMean&>(g) = read_mean(f, what);
  if (j.contains("all_tasks")) {  // since version 2
    const std::string place = what + ": all_tasks";
    RowFields all(f.at("all_tasks"), place);
    g.all = read_mean(all, place);
    all.refuse_others();
  }
  g.kept_ratio = f.number("kept_ratio");
  g.kv_bytes = f.number("kv_bytes");
  g.bytes_ratio = f.number("bytes_ratio");
  g.footprint_total = f.number("footprint_total");
  RowFields timing(f.at("timing"), what + ": timing");
  g.compaction_seconds = timing.number("compaction_seconds");
  timing.refuse_others();
  f.refuse_others();
  return g;
}

SummaryCategory read_category(const json& j, const std::string& what) {
  RowFields f(j, what);
  SummaryCategory c;
  c.group = f.text("group");
  c.category = f.name("category");
  c.length = f.count("length");
  c.mode = f.name("mode");
  c.method = f.name("method");
  c.budget = f.number_within("budget", 0, kHugeNumber);
  c.tasks = f.count("tasks");
  c.score = f.number("score");
  c.relative = f.number("relative");
  f.refuse_others();
  return c;
}

LeftOutTask read_left_out(const json& j, const std::string& what) {
  RowFields f(j, what);
  LeftOutTask t{f.text("group"), f.name("task"), f.name("mode"), f.count("length"),
                f.number("full_score")};
  f.refuse_others();
  return t;
}

CriticalFootprint read_footprint(const json& j, const std::string& what) {
  RowFields f(j, what);
  const std::string kind = f.name("kind");
  CriticalFootprint out;
  size_t at = 0;
  while (at < std::size(kKindNames) && kind != kKindNames[at]) ++at;
  if (at == std::size(kKindNames))
    throw FormatError("{}: field kind must be one of not available, exact, above, below; found {}",
                      what, j.at("kind").dump());
  out.kind = static_cast<CriticalFootprint::Kind>(at);
  out.value = f.number("value");
  out.dropped = f.count("dropped");
  f.refuse_others({"text", "censored"});  // follow from the others
  return out;
}

SummaryCritical read_critical(const json& j, const std::string& what) {
  RowFields f(j, what);
  SummaryCritical c;
  c.group = f.text("group");
  c.task = f.name("task");
  c.length = f.count("length");
  c.mode = f.name("mode");
  c.method = f.name("method");
  c.full_score = f.number("full_score");
  c.critical = read_footprint(f.at("critical"), what + ": critical");
  c.any = read_footprint(f.at("critical_any"), what + ": critical_any");
  const json& grid = f.list("grid");
  for (size_t i = 0; i < grid.size(); ++i) {
    RowFields p(grid[i], f.place("grid", i));
    c.grid.push_back({p.number("footprint_total"), p.number("score")});
    p.refuse_others();
  }
  f.refuse_others({"phi"});
  return c;
}

NeedleGrid read_needles(const json& j, const std::string& what) {
  RowFields f(j, what);
  NeedleGrid g;
  g.task = f.name("task");
  g.mode = f.name("mode");
  g.method = f.name("method");
  g.budget = f.number_within("budget", 0, kHugeNumber);
  for (const json& depth : f.list("depths")) {
    if (!depth.is_number())
      throw FormatError("{}: field depths must hold numbers; found {}", what, depth.dump());
    g.depths.push_back(depth.get<double>());
  }
  g.lengths = f.counts("lengths");
  for (const json& row : f.list("scores")) {
    const bool fits = row.is_array() && row.size() == g.lengths.size() &&
                      std::all_of(row.begin(), row.end(),
                                  [](const json& x) { return x.is_number() || x.is_null(); });
    if (!fits || g.scores.size() == g.depths.size())
      throw FormatError("{}: field scores must hold {} lists of {} numbers", what, g.depths.size(),
                        g.lengths.size());
    std::vector<double>& of_depth = g.scores.emplace_back();
    for (const json& x : row)
      of_depth.push_back(x.is_null() ? std::numeric_limits<double>::quiet_NaN() : x.get<double>());
  }
  if (g.scores.size() != g.depths.size())
    throw FormatError("{}: field scores must hold {} lists; found {}", what, g.depths.size(),
                      g.scores.size());
  g.mean = f.number("mean");
  g.worst = f.number("worst");
  g.worst_depth = f.number("worst_depth");
  g.worst_length = f.count("worst_length");
  f.refuse_others();
  return g;
}

template <class Value>
void read_list(RowFields& f, const char* field, std::vector<Value>& out,
               Value (*read)(const json&, const std::string&)) {
  const json& list = f.list(field);
  for (size_t i = 0; i < list.size(); ++i) out.push_back(read(list[i], f.place(field, i)));
}

}  // namespace

ordered_json summary_to_json(const Summary& s) {
  ordered_json critical = ordered_json::array(), kept = ordered_json::array();
  for (const SummaryCritical& c : s.critical)
    critical.push_back(to_json(c, s.options.phi, "footprint_total"));
  for (const SummaryCritical& c : critical_kept(s))
    kept.push_back(to_json(c, s.options.phi, "kept_ratio"));
  return {{"limbeck_summary", kVersion},
          {"options", {{"min_full_score", s.options.min_full_score}, {"phi", s.options.phi}}},
          {"resamples", kResamples},
          {"confidence", kConfidence},
          {"cells", list_of(s.cells)},
          {"groups", list_of(s.groups)},
          {"categories", list_of(s.categories)},
          {"left_out", list_of(s.left_out)},
          {"critical", std::move(critical)},
          {"critical_kept", std::move(kept)},
          {"needles", list_of(s.needles)}};
}

Summary summary_from_json(const json& j, std::string_view what) {
  RowFields f(j, what);
  const int64_t version = f.count("limbeck_summary");
  if (version < 1 || version > kVersion)
    throw FormatError("{}: field limbeck_summary must be 1 to {}; found {}", what, kVersion,
                      j.at("limbeck_summary").dump());
  Summary out;
  RowFields options(f.at("options"), fmt::format("{}: options", what));
  out.options = {options.number_within("min_full_score", 0, 1), options.number_within("phi", 0, 1)};
  options.refuse_others();
  read_list(f, "cells", out.cells, read_cell);
  read_list(f, "groups", out.groups, read_group);
  read_list(f, "categories", out.categories, read_category);
  read_list(f, "left_out", out.left_out, read_left_out);
  read_list(f, "critical", out.critical, read_critical);
  if (version > 1) read_list(f, "needles", out.needles, read_needles);
  // critical_kept follows from the cells.
  f.refuse_others({"resamples", "confidence", "run", "critical_kept"});
  return out;
}

ordered_json without_timing(const ordered_json& j) {
  if (j.is_array()) {
    ordered_json out = ordered_json::array();
    for (const ordered_json& v : j) out.push_back(without_timing(v));
    return out;
  }
  if (!j.is_object()) return j;
  ordered_json out = ordered_json::object();
  for (const auto& [key, value] : j.items())
    if (key != "timing") out[key] = without_timing(value);
  return out;
}

}  // namespace limbeck
