#include "limbeck/eval/eval_log.h"

#include "limbeck/base/error.h"
#include "limbeck/io/json.h"

#include <nlohmann/json.hpp>

#include <set>

namespace limbeck {
namespace {

using nlohmann::json;

constexpr const char* kVersionField = "limbeck_eval";

void compare_settings(const json& then, const json& now, const std::string& name) {
  std::set<std::string> keys;
  for (const json* settings : {&then, &now})
    for (const auto& [key, value] : settings->items()) keys.insert(key);
  for (const std::string& key : keys) {
    const json a = then.value(key, json()), b = now.value(key, json());
    if (a != b)
      throw Mismatch("[eval] {} was made with {} {}; found {} now; name another file to start anew",
                     name, key, a.dump(), b.dump());
  }
}

}  // namespace

EvalLog::EvalLog(const std::filesystem::path& path, const nlohmann::ordered_json& settings)
    : file_(path, "[eval]") {
  nlohmann::ordered_json header;
  header[kVersionField] = 1;
  header["settings"] = settings;
  read(header.dump());
}

void EvalLog::read(const std::string& header) {
  const std::string& name = file_.name();
  std::string text = file_.take_text();
  const size_t whole = text.rfind('\n') + 1;  // 0 when there is no line end
  // A file without a line end is ours only if it is a header that was cut off.
  if (whole == 0 && !header.starts_with(text))
    throw FormatError("[eval] {} line 1: is no record of an evaluation", name);
  if (whole < text.size()) {
    text.resize(whole);
    file_.truncate(static_cast<int64_t>(whole));
  }
  if (text.empty()) return file_.write(header + "\n");
  std::set<EvalKey> known;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string what = fmt::format("[eval] {} line {}", name, ++number);
    const json line = parse_json(std::string_view(text).substr(begin, end - begin), what);
    begin = end + 1;
    if (number == 1) {
      if (!line.is_object() || line.value(kVersionField, json()) != json(1) ||
          !line.value("settings", json()).is_object())
        throw FormatError("{}: is no record of an evaluation", what);
      compare_settings(line["settings"], json::parse(header)["settings"], name);
      continue;
    }
    rows_.push_back(row_from_json(line, what));
    if (!known.insert(rows_.back().key).second)
      throw FormatError("{}: the same unit stands in an earlier line", what);
  }
}

void EvalLog::append(EvalRow row) {
  file_.write(row_to_json(row).dump() + "\n");
  rows_.push_back(std::move(row));
}

}  // namespace limbeck
