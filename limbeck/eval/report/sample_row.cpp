#include "limbeck/eval/report/sample_row.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/escape.h"
#include "limbeck/eval/report/record_fields.h"

#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json texts(const std::vector<std::string>& list) {
  ordered_json out = ordered_json::array();
  for (const std::string& text : list) out.push_back(valid_utf8(text));
  return out;
}

std::vector<HeldPoint> held_points(const json& list, std::string_view what) {
  std::vector<HeldPoint> out;
  for (const json& v : list) {
    const bool fits =
        v.is_array() && v.size() == 2 && v[0].is_number_unsigned() && v[1].is_number();
    if (!fits || v[1].get<double>() < 0 || (!out.empty() && v[0].get<int64_t>() < out.back().step))
      throw FormatError(
          "{}: field timeline must be a list of [step, entries], by step and not below 0; found {}",
          what, v.dump(-1, ' ', false, json::error_handler_t::replace));
    out.push_back({v[0].get<int64_t>(), v[1].get<double>()});
  }
  return out;
}

}  // namespace

ordered_json sample_to_json(const SampleRow& r) {
  ordered_json j;
  j["task"] = valid_utf8(r.task);
  j["group"] = valid_utf8(r.group);
  j["category"] = valid_utf8(r.category);
  j["doc_id"] = valid_utf8(r.doc_id);
  j["q_id"] = valid_utf8(r.q_id);
  if (!r.question.empty()) j["question"] = valid_utf8(r.question);
  if (!r.source.empty()) j["source"] = valid_utf8(r.source);
  j["ordinal"] = r.ordinal;
  j["length"] = r.length;
  j["method"] = valid_utf8(r.method);
  j["budget"] = number_or_null(r.budget);
  j["mode"] = valid_utf8(r.mode);
  j["prediction"] = valid_utf8(r.prediction);
  j["parsed"] = valid_utf8(r.parsed);
  j["outputs"] = texts(r.outputs);
  j["score"] = number_or_null(r.score);
  j["metrics"] = ordered_json::object();
  for (const auto& [name, value] : r.metrics)
    j["metrics"][valid_utf8(name)] = number_or_null(value);
  j["finish"] = valid_utf8(r.finish);
  j["error"] = valid_utf8(r.error);
  j["document_tokens"] = r.document_tokens;
  j["prompt_tokens"] = r.prompt_tokens;
  j["generated_tokens"] = r.generated_tokens;
  j["truncated"] = r.truncated;
  j["kept"] = number_or_null(r.kept);
  j["kept_min"] = r.kept_min;
  j["kept_max"] = r.kept_max;
  j["kept_ratio"] = number_or_null(r.kept_ratio);
  j["kv_bytes"] = r.kv_bytes;
  j["bytes_ratio"] = number_or_null(r.bytes_ratio);
  j["footprint"] = number_or_null(r.footprint);
  j["footprint_total"] = number_or_null(r.footprint_total);
  j["footprint_after"] = number_or_null(r.footprint_after);
  j["peak"] = number_or_null(r.peak);
  j["kv_bytes_peak"] = r.kv_bytes_peak;
  j["rss_peak"] = r.rss_peak;
  j["compaction_seconds"] = number_or_null(r.compaction_seconds);
  // A list of pairs keeps the order of the stages for every reader.
  j["seconds"] = ordered_json::array();
  for (const auto& [stage, s] : r.seconds)
    j["seconds"].push_back(ordered_json::array({valid_utf8(stage), number_or_null(s)}));
  return j;
}

SampleRow sample_from_json(const json& j, std::string_view what) {
  RowFields f(j, what);
  SampleRow r;
  r.task = f.name("task");
  r.group = f.text("group");
  r.category = f.text("category");
  r.doc_id = f.name("doc_id");
  r.q_id = f.text("q_id");
  if (j.contains("question")) r.question = f.text("question");
  if (j.contains("source")) r.source = f.text("source");
  r.ordinal = f.count("ordinal");
  r.length = f.count("length");
  r.method = f.name("method");
  r.budget = f.number_within("budget", 0, kHugeNumber);
  r.mode = f.name("mode");
  r.prediction = f.text("prediction");
  r.parsed = f.text("parsed");
  r.outputs = f.texts("outputs");
  r.score = f.number_within("score", 0, 1);
  r.metrics = f.numbers("metrics");
  r.finish = f.text("finish");
  r.error = f.text("error");
  r.document_tokens = f.count("document_tokens");
  r.prompt_tokens = f.count("prompt_tokens");
  r.generated_tokens = f.count("generated_tokens");
  r.truncated = f.boolean("truncated");
  r.kept = f.number("kept");
  r.kept_min = f.count("kept_min");
  r.kept_max = f.count("kept_max");
  r.kept_ratio = f.number("kept_ratio");
  r.kv_bytes = f.count("kv_bytes");
  r.bytes_ratio = f.number("bytes_ratio");
  r.footprint = f.number("footprint");
  r.footprint_total = f.number("footprint_total");
  r.footprint_after = f.number("footprint_after");
  r.peak = f.number("peak");
  r.kv_bytes_peak = f.count("kv_bytes_peak");
  r.rss_peak = f.count("rss_peak");
  r.compaction_seconds = f.number("compaction_seconds");
  r.seconds = f.stages("seconds");
  f.refuse_others({"manifest_id"});  // added by the file's owner to every line
  return r;
}

ordered_json heads_to_json(const HeadsRow& r) {
  ordered_json j;
  j["task"] = valid_utf8(r.task);
  j["doc_id"] = valid_utf8(r.doc_id);
  j["method"] = valid_utf8(r.method);
  j["length"] = r.length;
  j["budget"] = number_or_null(r.budget);
  j["layers"] = r.layers;
  j["kv_heads"] = r.kv_heads;
  j["kept"] = r.kept;
  if (r.timeline.empty()) return j;
  auto& timeline = j["timeline"] = ordered_json::array();
  for (const HeldPoint& p : r.timeline) timeline.push_back({p.step, p.entries});
  return j;
}

HeadsRow heads_from_json(const json& j, std::string_view what) {
  RowFields f(j, what);
  HeadsRow r;
  r.task = f.name("task");
  r.doc_id = f.name("doc_id");
  r.method = f.name("method");
  r.length = f.count("length");
  r.budget = f.number_within("budget", 0, kHugeNumber);
  r.layers = f.count("layers");
  r.kv_heads = f.count("kv_heads");
  r.kept = f.counts("kept");
  // Compared by division: the product of two numbers of a file may overflow.
  const auto n = static_cast<int64_t>(r.kept.size());
  const bool fits =
      r.layers >= 1 && r.kv_heads >= 1 && n % r.layers == 0 && n / r.layers == r.kv_heads;
  const bool none = r.layers == 0 && n == 0;  // it failed, or all layers of the model slide
  if (!fits && !none)
    throw FormatError(
        "{}: field kept must have one number for each of {} layers x {} heads; "
        "found {}",
        what, r.layers, r.kv_heads, n);
  if (j.contains("timeline")) r.timeline = held_points(f.list("timeline"), what);
  f.refuse_others({"manifest_id"});
  return r;
}

}  // namespace limbeck
