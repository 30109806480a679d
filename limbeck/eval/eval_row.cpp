#include "limbeck/eval/eval_row.h"

#include "limbeck/base/error.h"
#include "limbeck/text/utf8.h"

#include <nlohmann/json.hpp>

#include <limits>

namespace limbeck {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

template <class T>
T field(const json& object, const char* name, std::string_view what) {
  if (!object.is_object())
    throw FormatError("{}: must be an object; found {}", what, object.type_name());
  const auto it = object.find(name);
  if (it == object.end()) throw FormatError("{}: field {} is missing", what, name);
  try {
    // JSON has no NaN; it is written as null.
    if constexpr (std::is_same_v<T, double>)
      if (it->is_null()) return std::numeric_limits<double>::quiet_NaN();
    return it->get<T>();
  } catch (const json::exception&) {
    throw FormatError("{}: field {} is of another kind; found {}", what, name, it->type_name());
  }
}

ordered_json to_json(const Fidelity& f) {
  return {{"kl", f.kl},
          {"top1", f.top1},
          {"nll_full", f.nll_full},
          {"nll", f.nll_other},
          {"tokens", f.tokens}};
}

Fidelity fidelity(const json& object, const char* name, std::string_view what) {
  const json j = field<json>(object, name, what);
  return {field<double>(j, "kl", what), field<double>(j, "top1", what),
          field<double>(j, "nll_full", what), field<double>(j, "nll", what),
          field<int64_t>(j, "tokens", what)};
}

/// A list of pairs keeps the order of the stages for every reader.
ordered_json to_json(const StageSeconds& seconds) {
  ordered_json list = ordered_json::array();
  for (const auto& [stage, s] : seconds) list.push_back(ordered_json::array({stage, s}));
  return list;
}

}  // namespace

double EvalRow::needle_accuracy() const {
  return needles > 0 ? static_cast<double>(needles_right) / static_cast<double>(needles) : 0.0;
}

double EvalRow::compaction_seconds() const {
  double sum = 0, queries = 0;
  for (const auto& [stage, s] : shared)
    if (stage == "queries") queries = s;
  for (const auto& [stage, s] : compaction) sum += s + (stage == "queries" ? queries : 0.0);
  return sum;
}

ordered_json row_to_json(const EvalRow& r) {
  ordered_json j;
  j["length"] = r.key.length;
  j["context"] = r.key.context;
  j["method"] = r.key.method;
  j["ratio"] = r.key.ratio;
  j["fingerprint"] = r.fingerprint;
  j["engine"] = r.engine;
  j["source"] = replace_invalid_utf8(r.source);  // a file's name may hold any bytes
  j["offset"] = r.offset;
  j["answers"] = to_json(r.answers);
  j["continuation"] = to_json(r.continuation);
  j["needles"] = r.needles;
  j["needles_right"] = r.needles_right;
  j["outputs"] = r.outputs;
  j["kept"] = r.kept;
  j["bytes"] = r.bytes;
  j["span_bytes"] = r.span_bytes;
  j["footprint"] = r.footprint;
  j["footprint_total"] = r.footprint_total;
  j["footprint_after"] = r.footprint_after;
  j["peak"] = r.peak;
  j["kv_bytes_peak"] = r.bytes_peak;
  j["chunk"] = r.chunk;
  j["text_loss"] = r.text_loss;
  j["shared_seconds"] = to_json(r.shared);
  j["compaction_seconds"] = to_json(r.compaction);
  j["statistics"] = r.statistics;
  j["notes"] = r.notes;
  return j;
}

EvalRow row_from_json(const json& j, std::string_view what) {
  EvalRow r;
  r.key = {field<int64_t>(j, "length", what), field<int64_t>(j, "context", what),
           field<std::string>(j, "method", what), field<double>(j, "ratio", what)};
  r.fingerprint = field<std::string>(j, "fingerprint", what);
  if (j.contains("engine")) r.engine = field<std::string>(j, "engine", what);
  r.source = field<std::string>(j, "source", what);
  r.offset = field<int64_t>(j, "offset", what);
  r.answers = fidelity(j, "answers", what);
  r.continuation = fidelity(j, "continuation", what);
  r.needles = field<int64_t>(j, "needles", what);
  r.needles_right = field<int64_t>(j, "needles_right", what);
  r.outputs = field<std::vector<std::string>>(j, "outputs", what);
  r.kept = field<double>(j, "kept", what);
  r.bytes = field<int64_t>(j, "bytes", what);
  r.span_bytes = field<int64_t>(j, "span_bytes", what);
  // Records of versions without a meter go on to be read.
  if (j.contains("footprint")) {
    r.footprint = field<double>(j, "footprint", what);
    r.footprint_total = field<double>(j, "footprint_total", what);
    r.footprint_after = field<double>(j, "footprint_after", what);
    r.peak = field<double>(j, "peak", what);
    r.bytes_peak = field<int64_t>(j, "kv_bytes_peak", what);
    r.chunk = field<int64_t>(j, "chunk", what);
  }
  if (j.contains("text_loss")) r.text_loss = field<double>(j, "text_loss", what);
  r.shared = field<StageSeconds>(j, "shared_seconds", what);
  r.compaction = field<StageSeconds>(j, "compaction_seconds", what);
  for (const auto& [name, value] : field<std::map<std::string, json>>(j, "statistics", what))
    r.statistics[name] = field<double>({{name, value}}, name.c_str(), what);
  r.notes = field<std::vector<std::string>>(j, "notes", what);
  return r;
}

}  // namespace limbeck
