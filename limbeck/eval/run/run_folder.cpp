#include "limbeck/eval/run/run_folder.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/report/html.h"
#include "limbeck/eval/report/markdown.h"
#include "limbeck/eval/report/summary.h"
#include "limbeck/io/append_file.h"
#include "limbeck/io/atomic_file.h"
#include "limbeck/io/json.h"
#include "limbeck/io/sha256.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
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

/// What the functions below rely on, where a manifest has it.
void check_methods(const json& manifest, const std::string& what) {
  const auto check = [&](const json& holder, const std::string& name, const char* rule,
                         auto&& holds, const char* place = "") {
    if (!holder.contains(name)) return;
    const json& list = holder[name];
    if (!list.is_array() || !std::all_of(list.begin(), list.end(), holds))
      throw FormatError("{}: field {}{} must be a list of {}", what, place, name, rule);
  };
  const auto is_text = [](const json& j) { return j.is_string(); };
  const auto is_number = [](const json& j) { return j.is_number(); };
  check(manifest, "methods", "objects with a text \"method\"",
        [](const json& j) { return j.is_object() && j.value("method", json()).is_string(); });
  check(manifest, "ratios", "numbers", is_number);
  check(manifest, "parts", "objects with methods, ratios and an engine", [](const json& j) {
    return j.is_object() && j.contains("methods") && j.contains("ratios") &&
           j.value("engine", json()).is_object();
  });
  if (manifest.contains("engine") && !manifest["engine"].is_object())
    throw FormatError("{}: field engine must be an object", what);
  for (const json& part : manifest.value("parts", json::array())) {
    check(part, "methods", "texts", is_text, "parts.");
    check(part, "ratios", "numbers", is_number, "parts.");
  }
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
  check_methods(checked, what);
  return ordered_json::parse(text);
}

namespace {

/// A whole number that the manifest's "run" may have.
int64_t count_of(const ordered_json& manifest, const char* name) {
  const json run = manifest.value("run", json::object());
  const json count = run.value(name, json());
  return count.is_number_integer() ? count.get<int64_t>() : 0;
}

/// Most answers that any session of a run decoded together.
int64_t together_of(const ordered_json& manifest) {
  return std::max<int64_t>(count_of(manifest, "together"), 1);
}

}  // namespace

void begin_run(const std::filesystem::path& folder, const ordered_json& manifest) {
  if (std::filesystem::exists(folder / kManifest)) {
    const ordered_json then = read_manifest(folder);
    check_same(then, manifest, folder);
    if (then.at("run").at("shard") != manifest.at("run").at("shard"))
      throw Mismatch("[eval] {} holds shard {}, not {}; name another folder", folder.string(),
                     then.at("run").at("shard").dump(), manifest.at("run").at("shard").dump());
    ordered_json now = then;
    now["run"]["together"] = std::max(together_of(manifest), together_of(then));
    for (const char* name : {"min_full_score", "keep_going"})  // those of the last session
      if (manifest.at("run").contains(name)) now["run"][name] = manifest["run"][name];
    if (now != then) write_text(folder / kManifest, now.dump(2) + "\n");
    return;
  }
  if (std::filesystem::exists(folder / kSamples))
    throw Mismatch("[eval] {} holds samples and no manifest; name another folder", folder.string());
  write_text(folder / kManifest, manifest.dump(2) + "\n");
}

void forget_run(const std::filesystem::path& folder) {
  // Holds the record, or throws where a run that is going on does.
  std::optional<AppendFile> record;
  if (std::filesystem::exists(folder / kSamples)) record.emplace(folder / kSamples, "[eval]");
  for (const char* name :
       {kManifest, kSamples, "heads.jsonl", "summary.json", "summary.md", "report.html"})
    std::filesystem::remove(folder / name);
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

/// "0123abc", with a plus for a tree that had changes.
std::string commit_text(const json& engine) {
  const json commit = engine.value("commit", json()), dirty = engine.value("dirty", json());
  if (!commit.is_string()) return "unknown";
  return commit.get<std::string>().substr(0, 7) + (dirty == json(true) ? "+" : "");
}

/// "limbeck, kvzip (commit 0123abcd)" for each of the runs that were joined.
std::vector<std::string> parts_text(const json& parts) {
  std::vector<std::string> out;
  for (const json& part : parts)
    out.push_back(fmt::format("{} (commit {})",
                              fmt::join(part.at("methods").get<std::vector<std::string>>(), ", "),
                              commit_text(part.at("engine"))));
  return out;
}

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
  if (const json parts = manifest.value("parts", json()); parts.is_array())
    out.push_back(fmt::format(
        "Methods of {} runs joined: {}. Seconds compare where the machine was the same.",
        parts.size(), fmt::join(parts_text(parts), "; ")));
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

namespace {

/// All units of a run that has come to its end.
std::map<SampleKey, SampleUnit> finished_units(const std::filesystem::path& folder,
                                               const ordered_json& manifest) {
  const ordered_json& run = manifest.at("run");
  if (!run.contains("units"))
    throw InvalidArgument("[eval] {} has not come to its end; run it again", folder.string());
  auto units = read_units(folder);
  if (static_cast<int64_t>(units.size()) != run.at("units").get<int64_t>())
    throw InvalidArgument("[eval] {} should have {} units; found {}", folder.string(),
                          run.at("units").get<int64_t>(), units.size());
  return units;
}

/// The same record, seconds included.
bool same_unit(const SampleUnit& a, const SampleUnit& b) {
  return heads_to_json(a.heads) == heads_to_json(b.heads) &&
         std::equal(a.rows.begin(), a.rows.end(), b.rows.begin(), b.rows.end(),
                    [](const SampleRow& x, const SampleRow& y) {
                      return sample_to_json(x) == sample_to_json(y);
                    });
}

void write_joined(const std::filesystem::path& out, ordered_json manifest,
                  std::map<SampleKey, SampleUnit> units) {
  std::filesystem::create_directories(out);
  manifest["run"]["units"] = units.size();
  begin_run(out, manifest);
  SampleLog log(out / kSamples, manifest.at("manifest_id"));
  for (const auto& [key, unit] : log.units()) {
    const auto same = units.find(key);
    if (same == units.end() || !same_unit(same->second, unit))
      throw Mismatch(
          "[eval] {} holds another {} {} of {} at ratio {}, from an earlier join; name another "
          "folder, or remove this one",
          out.string(), key.task, key.document, key.method, key.budget);
  }
  for (auto& [key, unit] : units)
    if (!log.has(key)) log.append(key, std::move(unit));
  write_reports(out, summary_options(out));
}

}  // namespace

SummaryOptions summary_options(const std::filesystem::path& folder) {
  SummaryOptions out;
  const ordered_json manifest = read_manifest(folder);
  const json least = manifest.at("run").value("min_full_score", ordered_json());
  if (least.is_number()) out.min_full_score = least.get<double>();
  return out;
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
    const std::string of = shard.substr(shard.find('/') + 1);
    if (!wanted.empty() && of != wanted)
      throw InvalidArgument("[eval] {} is shard {}, others are of {} shards", folder.string(),
                            shard, wanted);
    wanted = of;
    if (!shards.insert(shard).second)
      throw InvalidArgument("[eval] {} is shard {} a second time", folder.string(), shard);
    for (auto& [key, unit] : finished_units(folder, m))
      if (!units.emplace(key, std::move(unit)).second)
        throw InvalidArgument("[eval] {} repeats {} of another shard", folder.string(),
                              key.document);
  }
  if (std::to_string(shards.size()) != wanted)
    throw InvalidArgument("[eval] the run has {} shards; found {}", wanted, shards.size());
  manifest["run"]["shard"] = "1/1";
  if (folders.size() > 1) manifest["run"]["merged"] = folders.size();
  write_joined(out, std::move(manifest), std::move(units));
}

namespace {

/// Leaves of the engine what it was built with.
template <class Json>
void forget_commit(Json& manifest) {
  if (manifest.contains("engine"))
    for (const char* name : {"version", "commit", "dirty"}) manifest["engine"].erase(name);
}

/// What must be equal in runs whose methods are joined.
json conditions_of(json manifest) {
  for (const char* name : {"methods", "ratios", "parts", "manifest_id", "run"})
    manifest.erase(name);
  forget_commit(manifest);
  return manifest;
}

/// The runs that a folder was joined from: itself, unless it says others.
ordered_json parts_of(const ordered_json& manifest) {
  if (manifest.contains("parts")) return manifest["parts"];
  ordered_json labels = ordered_json::array();
  for (const auto& method : manifest.at("methods")) labels.push_back(method.at("method"));
  return ordered_json::array({{{"manifest_id", manifest.at("manifest_id")},
                               {"engine", manifest.at("engine")},
                               {"methods", labels},
                               {"ratios", manifest.at("ratios")}}});
}

bool same_answers(const SampleUnit& a, const SampleUnit& b) {
  return std::equal(a.rows.begin(), a.rows.end(), b.rows.begin(), b.rows.end(),
                    [](const SampleRow& x, const SampleRow& y) {
                      return x.q_id == y.q_id && x.prediction == y.prediction && x.score == y.score;
                    });
}

bool is_bound(const SampleKey& key) { return key.method == kFullLabel || key.method == kNoneLabel; }

/// Throws Mismatch unless both have the same documents and the same answers of the full cache and
/// without the document.
void check_same_documents(const std::map<SampleKey, SampleUnit>& known,
                          const std::map<SampleKey, SampleUnit>& part,
                          const std::filesystem::path& folder, const std::filesystem::path& first) {
  int64_t balance = 0;
  for (const auto& [key, unit] : known) balance += is_bound(key) ? 1 : 0;
  for (const auto& [key, unit] : part) {
    if (!is_bound(key)) continue;
    --balance;
    const auto same = known.find(key);
    if (same == known.end())
      throw Mismatch("[eval] {} has a document {} {} that {} has not", folder.string(), key.task,
                     key.document, first.string());
    if (!same_answers(same->second, unit))
      throw Mismatch(
          "[eval] {} answers {} {} otherwise than {} with method {}; runs that differ "
          "in this do not compare",
          folder.string(), key.task, key.document, first.string(), key.method);
  }
  if (balance != 0)
    throw Mismatch("[eval] {} lacks documents that {} has", folder.string(), first.string());
}

/// Adds the methods of `from` to those of `to`, in place of others of the same label; the labels of
/// those that had other options.
std::set<std::string> take_methods(ordered_json& to, const ordered_json& from) {
  std::set<std::string> replaced;
  for (const ordered_json& method : from) {
    const auto same = std::find_if(to.begin(), to.end(), [&](const ordered_json& known) {
      return known.at("method") == method.at("method");
    });
    if (same == to.end()) {
      to.push_back(method);
    } else if (*same != method) {
      replaced.insert(method.at("method").get<std::string>());
      *same = method;
    }
  }
  return replaced;
}

}  // namespace

void join_methods(const std::vector<std::filesystem::path>& folders,
                  const std::filesystem::path& out) {
  if (folders.empty()) throw InvalidArgument("[eval] need a folder to join; found none");
  ordered_json manifest = read_manifest(folders[0]), parts = ordered_json::array();
  const json conditions = conditions_of(manifest);
  manifest["methods"] = ordered_json::array();
  std::set<double, std::greater<>> ratios;
  std::map<SampleKey, SampleUnit> units;
  for (const std::filesystem::path& folder : folders) {
    const ordered_json m = read_manifest(folder);
    for (const char* name : {"engine", "methods", "ratios"})
      if (!m.contains(name))
        throw FormatError("[eval] {}: manifest.json must have a field {}", folder.string(), name);
    if (const json here = conditions_of(m); here != conditions)
      throw Mismatch("[eval] {} ran under other conditions than {}; they differ in {}",
                     folder.string(), folders[0].string(), difference(conditions, here));
    if (m.at("run").at("shard") != "1/1")
      throw InvalidArgument("[eval] {} is shard {}; join the shards of each run first",
                            folder.string(), m.at("run").at("shard").get<std::string>());
    auto part = finished_units(folder, m);
    if (&folder != &folders[0]) check_same_documents(units, part, folder, folders[0]);
    for (const std::string& label : take_methods(manifest["methods"], m.at("methods")))
      std::erase_if(units, [&](const auto& u) {
        if (u.first.method != label) return false;
        if (!part.contains(u.first))
          throw InvalidArgument(
              "[eval] {} would replace {} of an earlier run, which had other options, and has not "
              "run it on {} {} at ratio {}",
              folder.string(), label, u.first.task, u.first.document, u.first.budget);
        return true;
      });
    for (auto& [key, unit] : part) units[key] = std::move(unit);
    for (const auto& p : parts_of(m)) parts.push_back(p);
    for (const auto& r : m.at("ratios")) ratios.insert(r.get<double>());
    for (const char* name : {"together", "merged"}) {
      const int64_t count = count_of(m, name);
      if (count > count_of(manifest, name)) manifest["run"][name] = count;
    }
    if (m.at("engine") != manifest.at("engine")) forget_commit(manifest);  // the parts name theirs
  }
  manifest["ratios"] = ratios;
  manifest["parts"] = parts;
  seal_manifest(manifest);
  write_joined(out, std::move(manifest), std::move(units));
}

}  // namespace limbeck
