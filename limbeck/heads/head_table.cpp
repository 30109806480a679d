#include "limbeck/heads/head_table.h"

#include "limbeck/heads/head_tsv.h"

#include "limbeck/base/error.h"
#include "limbeck/io/atomic_file.h"
#include "limbeck/io/json.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

namespace limbeck {
namespace {

using nlohmann::json;

double checked(const json& v, std::string_view what, const std::string& kind,
               const std::string& at) {
  if (!v.is_number() || !std::isfinite(v.get<double>()))
    throw FormatError("{}: {} must be a finite number; found {}", what, at, v.dump());
  const double x = v.get<double>();
  if (kind == "gates" && !(x >= -0.01 && x <= 1.01))
    throw FormatError("{}: {} must be a gate in [-0.01, 1.01]; found {}", what, at, x);
  if (kind == "binary" && x != 0 && x != 1)
    throw FormatError("{}: {} must be 0 or 1; found {}", what, at, x);
  if ((kind == "shares" || kind == "weights") && x < 0)
    throw FormatError("{}: {} must not be negative; found {}", what, at, x);
  return kind == "gates" ? std::clamp(x, 0.0, 1.0) : x;
}

std::string text_field(const json& j, const char* name, std::string_view what) {
  if (!j.contains(name)) return {};
  if (!j[name].is_string())
    throw FormatError("{}: \"{}\" must be a text; found {}", what, name, j[name].dump());
  return j[name].get<std::string>();
}

int64_t count_field(const json& j, const char* name, std::string_view what, int64_t least) {
  if (!j.contains(name)) return -1;
  if (!j[name].is_number_integer() || j[name].get<int64_t>() < least)
    throw FormatError("{}: \"{}\" must be a whole number of at least {}; found {}", what, name,
                      least, j[name].dump());
  return j[name].get<int64_t>();
}

HeadTable parse_native(const json& j, std::string_view what, int64_t layers, int64_t kv_heads) {
  if (j.value("version", json()) != json(1))
    throw FormatError("{}: \"version\" must be 1; found {}", what,
                      j.value("version", json()).dump());
  HeadTable t;
  t.kind = text_field(j, "kind", what);
  if (t.kind != "gates" && t.kind != "binary" && t.kind != "shares" && t.kind != "weights")
    throw FormatError("{}: \"kind\" must be gates, binary, shares or weights; found \"{}\"", what,
                      t.kind);
  t.method = text_field(j, "method", what);
  if (j.contains("model") && j["model"].is_object()) {
    t.architecture = text_field(j["model"], "architecture", what);
    t.fingerprint = text_field(j["model"], "fingerprint", what);
  }
  t.sinks = count_field(j, "sinks", what, 0);
  t.window = count_field(j, "window", what, 1);
  t.chunk_mask = text_field(j, "chunk_mask", what);
  if (!t.chunk_mask.empty() && t.chunk_mask != "full" && t.chunk_mask != "window")
    throw FormatError("{}: \"chunk_mask\" must be full or window; found \"{}\"", what,
                      t.chunk_mask);
  if (const json power = j.value("coverage_power", json(0.0)); power != json(0.0)) {
    if (t.kind != "weights" || !power.is_number() || !(power >= 0.0 && power <= 4.0))
      throw FormatError("{}: \"coverage_power\" must be a number in [0, 4], of weights; found {}",
                        what, power.dump());
    t.coverage_power = power.get<double>();
  }
  t.layers = layers;
  t.kv_heads = kv_heads;
  if (!j.contains("values") || !j["values"].is_array() ||
      static_cast<int64_t>(j["values"].size()) != layers)
    throw FormatError("{}: \"values\" must be a list of {} rows, one a layer", what, layers);
  for (int64_t l = 0; l < layers; ++l) {
    const json& row = j["values"][l];
    if (!row.is_array() || static_cast<int64_t>(row.size()) != kv_heads)
      throw FormatError("{}: row {} of \"values\" must be a list of {} numbers, one a KV head",
                        what, l, kv_heads);
    for (int64_t h = 0; h < kv_heads; ++h)
      t.values.push_back(checked(row[h], what, t.kind,
                                 "row " + std::to_string(l) + ", column " + std::to_string(h)));
  }
  return t;
}

HeadTable parse_schedule(const json& j, std::string_view what, int64_t layers, int64_t kv_heads,
                         const std::vector<bool>& sliding) {
  HeadTable t{"shares", "schedule", {}, {}, layers, kv_heads, {}};
  const auto slides = [&](int64_t l) {
    return !sliding.empty() && sliding[static_cast<size_t>(l)];
  };
  int64_t full = 0;
  for (int64_t l = 0; l < layers; ++l) full += slides(l) ? 0 : 1;
  for (int64_t l = 0; l < layers; ++l)
    t.values.insert(t.values.end(), static_cast<size_t>(kv_heads),
                    slides(l) ? 0.0 : 1.0 / static_cast<double>(full * kv_heads));
  for (const auto& [key, value] : j.items()) {
    int64_t l = -1, h = -1;
    int used = 0;
    if (std::sscanf(key.c_str(), "L%ldH%ld%n", &l, &h, &used) != 2 ||
        used != static_cast<int>(key.size()) || l < 0 || l >= layers || h < 0 || h >= kv_heads)
      throw FormatError("{}: keys are L0H0 to L{}H{}; found \"{}\"", what, layers - 1, kv_heads - 1,
                        key);
    if (slides(l))
      throw FormatError("{}: layer {} has a sliding window and no budget; found \"{}\"", what, l,
                        key);
    t.values[static_cast<size_t>(l * kv_heads + h)] = checked(value, what, "shares", key);
  }
  double sum = 0;
  for (double v : t.values) sum += v;
  if (!(sum > 0)) throw FormatError("{}: all shares are 0", what);
  for (double& v : t.values) v /= sum;
  return t;
}

}  // namespace

HeadTable parse_head_table(std::string_view text, std::string_view what, int64_t layers,
                           int64_t kv_heads, const std::vector<bool>& sliding) {
  LIMBECK_CHECK(sliding.empty() || static_cast<int64_t>(sliding.size()) == layers,
                "{} kinds for {} layers", sliding.size(), layers);
  const size_t start = text.find_first_not_of(" \t\r\n");
  // A pattern of numbers without braces is the authors' exchange format.
  if (start != std::string_view::npos && text[start] != '{' && text[start] != '[' &&
      text[start] != '"')
    return parse_head_tsv(text, what, layers, kv_heads);
  const json j = parse_json(text, what);
  if (!j.is_object()) throw FormatError("{}: the document must be an object", what);
  if (!j.contains("format")) return parse_schedule(j, what, layers, kv_heads, sliding);
  if (j["format"] != "kv-head-pattern")
    throw FormatError("{}: \"format\" must be kv-head-pattern; found {}", what, j["format"].dump());
  return parse_native(j, what, layers, kv_heads);
}

HeadTable read_head_table(const std::filesystem::path& file, int64_t layers, int64_t kv_heads,
                          const std::vector<bool>& sliding) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file))
    throw ResourceError("[heads] cannot open {}", file.string());
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return parse_head_table(text, "[heads] " + file.string(), layers, kv_heads, sliding);
}

std::string head_table_json(const HeadTable& t) {
  nlohmann::ordered_json j;
  j["format"] = "kv-head-pattern";
  j["version"] = 1;
  j["kind"] = t.kind;
  j["method"] = t.method;
  j["model"] = {{"architecture", t.architecture},
                {"layers", t.layers},
                {"kv_heads", t.kv_heads},
                {"fingerprint", t.fingerprint}};
  if (t.sinks >= 0) j["sinks"] = t.sinks;
  if (t.window >= 0) j["window"] = t.window;
  if (!t.chunk_mask.empty()) j["chunk_mask"] = t.chunk_mask;
  if (t.coverage_power != 0.0) j["coverage_power"] = t.coverage_power;
  j["values"] = nlohmann::ordered_json::array();
  for (int64_t l = 0; l < t.layers; ++l) {
    auto row = nlohmann::ordered_json::array();
    for (int64_t h = 0; h < t.kv_heads; ++h) row.push_back(t.at(l, h));
    j["values"].push_back(row);
  }
  return j.dump(1) + "\n";
}

void write_head_table(const HeadTable& table, const std::filesystem::path& file) {
  AtomicFile out(file);
  out.write(head_table_json(table));
  out.commit();
}

}  // namespace limbeck
