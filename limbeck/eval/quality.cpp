#include "limbeck/eval/quality.h"

#include "limbeck/base/error.h"
#include "limbeck/io/atomic_file.h"
#include "limbeck/io/json.h"
#include "limbeck/io/mapped_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace limbeck {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "limbeck-quality";

const json& need(const json& j, const char* key, std::string_view what) {
  if (!j.is_object() || !j.contains(key))
    throw FormatError("{}: the field \"{}\" is missing", what, key);
  return j[key];
}
std::string text(const json& j, const char* key, std::string_view what) {
  const json& v = need(j, key, what);
  if (!v.is_string()) throw FormatError("{}: \"{}\" must be a text; found {}", what, key, v.dump());
  return v.get<std::string>();
}
double number(const json& j, const char* key, std::string_view what) {
  const json& v = need(j, key, what);
  if (!v.is_number() || !std::isfinite(v.get<double>()))
    throw FormatError("{}: \"{}\" must be a finite number; found {}", what, key, v.dump());
  return v.get<double>();
}

MethodQuality read_method(const json& j, const std::string& what) {
  MethodQuality m;
  m.method = text(j, "method", what);
  m.fingerprint = text(j, "fingerprint", what);
  m.fit.curve = {number(j, "alpha", what), number(j, "beta", what)};
  if (!(m.fit.curve.alpha > 0))
    throw FormatError("{}: \"alpha\" must be above 0; found {}", what, m.fit.curve.alpha);
  m.fit.loss = number(j, "loss", what);
  m.fit.error_50 = number(j, "error_50", what);
  m.fit.error_90 = number(j, "error_90", what);
  m.fit.error_95 = number(j, "error_95", what);
  m.samples = static_cast<int64_t>(number(j, "samples", what));
  m.contexts = static_cast<int64_t>(number(j, "contexts", what));
  return m;
}

}  // namespace

const MethodQuality* QualityFile::find(const std::string& fingerprint) const {
  const auto at = std::find_if(methods.begin(), methods.end(), [&](const MethodQuality& m) {
    return m.fingerprint == fingerprint;
  });
  return at == methods.end() ? nullptr : &*at;
}

QualityFile parse_quality_file(std::string_view content, std::string_view what) {
  const json j = parse_json(content, what);
  if (text(j, "format", what) != kFormat)
    throw FormatError("{}: \"format\" must be {}; found \"{}\"", what, kFormat,
                      text(j, "format", what));
  if (number(j, "version", what) != 1)
    throw FormatError("{}: \"version\" must be 1; found {}", what, number(j, "version", what));
  QualityFile out{text(j, "architecture", what), text(j, "model_fingerprint", what), {}};
  const json& methods = need(j, "methods", what);
  if (!methods.is_array())
    throw FormatError("{}: \"methods\" must be a list; found {}", what, methods.type_name());
  for (size_t i = 0; i < methods.size(); ++i)
    out.methods.push_back(read_method(methods[i], fmt::format("{}: methods[{}]", what, i)));
  return out;
}

QualityFile read_quality_file(const std::filesystem::path& file) {
  const auto mapped = MappedFile::open(file);
  const auto bytes = mapped->bytes();
  return parse_quality_file({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                            fmt::format("[quality] {}", file.string()));
}

void write_quality_file(const QualityFile& quality, const std::filesystem::path& file) {
  nlohmann::ordered_json j;
  j["format"] = kFormat;
  j["version"] = 1;
  j["architecture"] = quality.architecture;
  j["model_fingerprint"] = quality.model_fingerprint;
  j["epsilon"] = kQualityEpsilon;
  j["stride"] = TextLossMeter::kStride;
  j["broken_promises_weigh"] = 4.0;
  j["methods"] = nlohmann::ordered_json::array();
  for (const MethodQuality& m : quality.methods)
    j["methods"].push_back({{"method", m.method},
                            {"fingerprint", m.fingerprint},
                            {"alpha", m.fit.curve.alpha},
                            {"beta", m.fit.curve.beta},
                            {"loss", m.fit.loss},
                            {"error_50", m.fit.error_50},
                            {"error_90", m.fit.error_90},
                            {"error_95", m.fit.error_95},
                            {"samples", m.samples},
                            {"contexts", m.contexts}});
  AtomicFile out(file);
  out.write(j.dump(2) + "\n");
  out.commit();
}

std::vector<QualitySample> quality_samples(const std::vector<EvalRow>& rows,
                                           const std::string& method) {
  std::vector<QualitySample> out;
  for (const EvalRow& r : rows)
    if (r.key.method == method && std::isfinite(r.text_loss))
      out.push_back({r.text_loss, r.kept,
                     std::min(1.0, (r.answers.nll_full + kQualityEpsilon) /
                                       (r.answers.nll_other + kQualityEpsilon))});
  return out;
}

std::vector<MethodQuality> fit_methods(const EvalPlan& plan, const EvalResult& result) {
  std::vector<MethodQuality> out;
  for (const MethodEntry& entry : plan.methods) {
    const auto samples = quality_samples(result.rows, entry.label);
    MethodQuality m{entry.label, method_fingerprint(entry), {}, 0, 0};
    m.samples = static_cast<int64_t>(samples.size());
    std::set<std::pair<int64_t, int64_t>> contexts;
    for (const EvalRow& r : result.rows)
      if (r.key.method == entry.label) contexts.insert({r.key.length, r.key.context});
    m.contexts = static_cast<int64_t>(contexts.size());
    try {
      m.fit = fit_quality(samples);
    } catch (const NumericalError& e) {
      throw NumericalError("{} (method {})", e.what(), entry.label);
    }
    out.push_back(std::move(m));
  }
  return out;
}

}  // namespace limbeck
