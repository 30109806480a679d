#include "limbeck/eval/run/sample_log.h"

#include "limbeck/base/error.h"
#include "limbeck/io/json.h"

#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

using nlohmann::json;

SampleKey key_of(const SampleRow& row) {
  return {row.task, row.length, row.doc_id, row.method, row.budget};
}
SampleKey key_of(const HeadsRow& heads) {
  return {heads.task, heads.length, heads.doc_id, heads.method, heads.budget};
}

std::string lines_of(const SampleUnit& unit, const std::string& manifest_id) {
  std::string out;
  for (const SampleRow& row : unit.rows) {
    nlohmann::ordered_json j = sample_to_json(row);
    j["manifest_id"] = manifest_id;
    out += j.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
  }
  nlohmann::ordered_json done;
  done["done"] = heads_to_json(unit.heads);
  done["samples"] = unit.rows.size();
  return out + done.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace

std::map<SampleKey, SampleUnit> read_samples(std::string_view text, const std::string& name,
                                             const std::string& manifest_id, int64_t& good) {
  std::map<SampleKey, SampleUnit> out;
  SampleUnit open;
  int64_t number = 0;
  good = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) break;  // cut off
    const std::string what = fmt::format("[eval] {} line {}", name, ++number);
    json line = parse_json(text.substr(begin, end - begin), what);
    begin = end + 1;
    if (!line.is_object()) throw FormatError("{}: must be an object", what);
    if (!line.contains("done")) {
      const json id = line.value("manifest_id", json());
      if (id != json(manifest_id))
        throw Mismatch("{}: belongs to manifest {}, not to {}; name another folder to start anew",
                       what, id.dump(), manifest_id);
      line.erase("manifest_id");
      open.rows.push_back(sample_from_json(line, what));
      continue;
    }
    open.heads = heads_from_json(line["done"], what);
    const SampleKey key = key_of(open.heads);
    if (line.value("samples", json()) != json(open.rows.size()))
      throw FormatError("{}: closes a unit of {} samples; found {}", what,
                        line.value("samples", json()).dump(), open.rows.size());
    for (const SampleRow& row : open.rows)
      if (key_of(row) != key)
        throw FormatError("{}: closes a unit of {}; found a sample of {}", what, key.document,
                          row.doc_id);
    if (!out.emplace(key, std::move(open)).second)
      throw FormatError("{}: the same unit stands in an earlier line", what);
    open = {};
    good = static_cast<int64_t>(begin);
  }
  return out;
}

SampleLog::SampleLog(const std::filesystem::path& path, std::string manifest_id)
    : file_(path, "[eval]"), manifest_id_(std::move(manifest_id)) {
  const std::string text = file_.take_text();
  int64_t good = 0;
  units_ = read_samples(text, file_.name(), manifest_id_, good);
  if (good < static_cast<int64_t>(text.size())) file_.truncate(good);
}

void SampleLog::append(const SampleKey& key, SampleUnit unit) {
  LIMBECK_CHECK(key == key_of(unit.heads), "a unit under another key");
  file_.write(lines_of(unit, manifest_id_));
  units_[key] = std::move(unit);
}

}  // namespace limbeck
