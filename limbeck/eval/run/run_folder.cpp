#include "limbeck/eval/run/run_folder.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/html.h"
#include "limbeck/eval/report/markdown.h"
#include "limbeck/eval/report/summary.h"
#include "limbeck/io/atomic_file.h"
#include "limbeck/io/json.h"
#include "limbeck/io/sha256.h"

#include <fstream>
#include <iterator>
#include <set>

namespace limbeck {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kSamples = "samples.jsonl";

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw ResourceError("[eval] cannot open {}", path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

/// The first field in which two manifests differ, with both values.
std::string difference(const json& a, const json& b, const std::string& name = "") {
  const bool objects = a.is_object() && b.is_object();
  if (objects || (a.is_array() && b.is_array() && a.size() == b.size())) {
    std::set<std::string> keys;
    for (const json* j : {&a, &b})
      for (const auto& [key, value] : j->items()) keys.insert(key);
    const auto at = [&](const json& j, const std::string& key) {
      return objects ? j.value(key, json()) : j.at(static_cast<size_t>(std::stoul(key)));
    };
    for (const std::string& key : keys) {
      if (name.empty() && (key == "run" || key == "manifest_id")) continue;
      if (at(a, key) != at(b, key))
        return difference(at(a, key), at(b, key), name.empty() ? key : name + "." + key);
    }
  }
  return name.empty() ? "ids" : fmt::format("{} {} and {}", name, a.dump(), b.dump());
}

void check_same(const json& then, const json& now, const std::filesystem::path& folder) {
  if (then.value("manifest_id", json()) != now.value("manifest_id", json()))
    throw Mismatch("[eval] {} belongs to another run; they differ in {}; name another folder",
                   folder.string(), difference(then, now));
}

}  // namespace

void seal_manifest(ordered_json& manifest) {
  json canonical = manifest;  // sorted keys
  canonical.erase("run");
  canonical.erase("manifest_id");
  manifest["manifest_id"] = sha256_hex(canonical.dump());
}

ordered_json read_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifest;
  const std::string text = read_text(path), what = "[eval] " + path.string();
  const json checked = parse_json(text, what);
  if (!checked.is_object() || !checked.value("manifest_id", json()).is_string())
    throw FormatError("{}: is no manifest of a run; field manifest_id must be a text", what);
  const json run = checked.value("run", json());
  if (!run.is_object() || !run.value("shard", json()).is_string())
    throw FormatError("{}: is no manifest of a run; field run.shard must be a text", what);
  if (run.contains("units") && !run["units"].is_number_integer())
    throw FormatError("{}: field run.units must be a whole number; found {}", what,
                      run["units"].dump());
  return ordered_json::parse(text);
}

namespace {

/// Most answers that any session of a run decoded together.
int64_t together_of(const ordered_json& manifest) {
  const json run = manifest.value("run", json::object());
  const json together = run.value("together", json());
  return together.is_number_integer() ? together.get<int64_t>() : 1;
}

}  // namespace

void begin_run(const std::filesystem::path& folder, const ordered_json& manifest) {
  if (std::filesystem::exists(folder / kManifest)) {
    const ordered_json then = read_manifest(folder);
    check_same(then, manifest, folder);
    if (then.at("run").at("shard") != manifest.at("run").at("shard"))
      throw Mismatch("[eval] {} holds shard {}, not {}; name another folder", folder.string(),
                     then.at("run").at("shard").dump(), manifest.at("run").at("shard").dump());
    if (together_of(manifest) > together_of(then)) {
      ordered_json with_most = then;
      with_most["run"]["together"] = together_of(manifest);
      write_text(folder / kManifest, with_most.dump(2) + "\n");
    }
    return;
  }
  if (std::filesystem::exists(folder / kSamples))
    throw Mismatch("[eval] {} holds samples and no manifest; name another folder", folder.string());
  write_text(folder / kManifest, manifest.dump(2) + "\n");
}

void end_run(const std::filesystem::path& folder, int64_t units,
             const std::vector<std::string>& skipped) {
  ordered_json manifest = read_manifest(folder);
  manifest["run"]["units"] = units;
  if (!skipped.empty()) manifest["run"]["skipped"] = skipped;
  write_text(folder / kManifest, manifest.dump(2) + "\n");
}

std::map<SampleKey, SampleUnit> read_units(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kSamples;
  int64_t good = 0;
  return read_samples(read_text(path), path.string(), read_manifest(folder).at("manifest_id"),
                      good);
}

std::vector<SampleRow> rows_of(const std::map<SampleKey, SampleUnit>& units) {
  std::vector<SampleRow> out;
  for (const auto& [key, unit] : units) out.insert(out.end(), unit.rows.begin(), unit.rows.end());
  return out;
}

namespace {

/// What a reader must know before the numbers.
std::vector<std::string> remarks_of(const ordered_json& manifest) {
  std::vector<std::string> out;
  const json run = manifest.value("run", json::object());
  if (const json skipped = run.value("skipped", json()); skipped.is_array())
    for (const json& text : skipped)
      if (text.is_string()) out.push_back(text);
  if (const json merged = run.value("merged", json()); merged.is_number_integer())
    out.push_back(fmt::format(
        "Joined from {} shards: where they ran side by side on one machine, seconds are not valid.",
        merged.get<int64_t>()));
  if (const int64_t together = together_of(manifest); together > 1)
    out.push_back(fmt::format(
        "Up to {} answers were decoded together: their seconds are shared out, and the memory of "
        "the process is that of all.",
        together));
  return out;
}

}  // namespace

void write_reports(const std::filesystem::path& folder, const SummaryOptions& options) {
  const auto units = read_units(folder);
  std::string lines;
  ReportInput page;
  std::vector<HeadsRow> heads;
  for (const auto& [key, unit] : units) {
    heads.push_back(unit.heads);
    lines += heads_to_json(unit.heads).dump() + "\n";
  }
  const std::vector<SampleRow> rows = rows_of(units);
  const Summary summary = summarise_samples(rows, options);
  page.manifest = read_manifest(folder);
  page.remarks = remarks_of(page.manifest);
  page.options = options;
  page.rows = rows;
  page.heads = heads;
  write_text(folder / "heads.jsonl", lines);
  write_text(folder / "report.html", report_html(page));
  ordered_json numbers = summary_to_json(summary);
  for (const char* name : {"manifest_id", "mode", "chunk", "seed"})
    if (page.manifest.contains(name)) numbers["run"][name] = page.manifest[name];
  write_text(folder / "summary.json", numbers.dump(2) + "\n");
  write_text(folder / "summary.md", summary_markdown(summary, page.remarks));
}

void merge_runs(const std::vector<std::filesystem::path>& folders,
                const std::filesystem::path& out) {
  if (folders.empty()) throw InvalidArgument("[eval] need a folder to join; found none");
  ordered_json manifest = read_manifest(folders[0]);
  std::map<SampleKey, SampleUnit> units;
  std::set<std::string> shards;
  std::string wanted;
  for (const std::filesystem::path& folder : folders) {
    const ordered_json m = read_manifest(folder);
    check_same(m, manifest, folder);
    if (together_of(m) > 1)
      manifest["run"]["together"] = std::max(together_of(m), together_of(manifest));
    const std::string shard = m.at("run").at("shard");
    wanted = shard.substr(shard.find('/') + 1);
    if (!shards.insert(shard).second)
      throw InvalidArgument("[eval] {} is shard {} a second time", folder.string(), shard);
    if (!m.at("run").contains("units"))
      throw InvalidArgument("[eval] {} has not come to its end; run it again", folder.string());
    auto part = read_units(folder);
    if (static_cast<int64_t>(part.size()) != m.at("run").at("units").get<int64_t>())
      throw InvalidArgument("[eval] {} should have {} units; found {}", folder.string(),
                            m.at("run").at("units").get<int64_t>(), part.size());
    for (auto& [key, unit] : part)
      if (!units.emplace(key, std::move(unit)).second)
        throw InvalidArgument("[eval] {} repeats {} of another shard", folder.string(),
                              key.document);
  }
  if (std::to_string(shards.size()) != wanted)
    throw InvalidArgument("[eval] the run has {} shards; found {}", wanted, shards.size());
  std::filesystem::create_directories(out);
  manifest["run"]["shard"] = "1/1";
  if (folders.size() > 1) manifest["run"]["merged"] = folders.size();
  manifest["run"]["units"] = units.size();
  begin_run(out, manifest);
  SampleLog log(out / kSamples, manifest.at("manifest_id"));
  for (auto& [key, unit] : units)
    if (!log.has(key)) log.append(key, std::move(unit));
  write_reports(out);
}

}  // namespace limbeck
