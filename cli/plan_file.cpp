#include "cli/plan_file.h"

#include "cli/common.h"
#include "cli/yaml_text.h"
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/task_request.h"
#include "limbeck/io/json.h"
#include "limbeck/io/quote.h"

#include <fmt/ranges.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>

namespace limbeck::cli {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& what, const std::string& key, const std::string& rule) {
  throw InvalidArgument("{}: key {} {}", what, quote(key), rule);
}

std::string scalar_text(const json& value, const std::string& what, const std::string& key) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number()) return value.dump();
  fail(what, key,
       fmt::format("must be a text, a number, true or false; found {}", value.type_name()));
}

/// {"task": "needle_grid", "options": {"needles": 2}} as the command line would write it.
std::string task_text(const json& task, const std::string& what, const std::string& key) {
  TaskRequest out;
  for (const auto& [name, value] : task.items()) {
    const std::string place = key + "." + name;
    if (name == "task") {
      out.name = scalar_text(value, what, place);
    } else if (name == "file") {
      out.file = scalar_text(value, what, place);
    } else if (name == "as") {
      out.as = scalar_text(value, what, place);
    } else if (name == "options" && value.is_object()) {
      for (const auto& [option, text] : value.items())
        out.options[option] = scalar_text(text, what, place + "." + option);
    } else {
      fail(what, place,
           name == "options" ? "must be an object"
                             : std::string("is unknown; known: task, file, as, options"));
    }
  }
  if (out.name.empty()) fail(what, key, "must have a task");
  return task_request_text(out);
}

std::vector<std::string> texts_of(const json& value, const std::string& what,
                                  const std::string& key) {
  const auto one = [&](const json& item, const std::string& place) {
    return key == "task" && item.is_object() ? task_text(item, what, place)
                                             : scalar_text(item, what, place);
  };
  if (!value.is_array()) return {one(value, key)};
  std::vector<std::string> out;
  for (size_t i = 0; i < value.size(); ++i)
    out.push_back(one(value[i], fmt::format("{}[{}]", key, i)));
  if (out.empty()) fail(what, key, "must have an entry; found none");
  return out;
}

/// The flag of a key: the command's own, else one that all commands share.
CLI::Option* option_of(CLI::App& command, const std::string& key) {
  for (CLI::App* app = &command; app != nullptr; app = app->get_parent())
    if (CLI::Option* option = app->get_option_no_throw("--" + key)) return option;
  return nullptr;
}

/// Names without a suffix that are no file here are those of plans that ship.
std::string found_plan(const std::string& path) {
  namespace fs = std::filesystem;
  if (fs::is_regular_file(path) || fs::path(path).has_extension() ||
      fs::path(path).has_parent_path())
    return path;
  const fs::path folder = LIMBECK_ASSETS "/plans";
  const fs::path shipped = folder / (path + ".json");
  if (fs::exists(shipped)) return shipped.string();
  std::set<std::string> known;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      known.insert(entry.path().stem().string());
  throw InvalidArgument("[plan] {} is neither a file nor a plan that ships: {}", quote(path),
                        fmt::join(known, ", "));
}

}  // namespace

void apply_plan_file(CLI::App& command, const std::string& given) {
  const std::string path = found_plan(given);
  const std::string what = "[plan] " + path;
  const std::string suffix = std::filesystem::path(path).extension().string();
  const bool yaml = suffix == ".yaml" || suffix == ".yml";
  const json plan = yaml ? parse_yaml(read_file(path), what) : parse_json(read_file(path), what);
  if (!plan.is_object())
    throw FormatError("{}: must be an object of flags; found {}", what, plan.type_name());
  for (const auto& [key, value] : plan.items()) {
    CLI::Option* option = option_of(command, key);
    if (option == nullptr || key == "plan" || key == "help")
      fail(what, key, "is no flag of this command; see --help");
    const std::vector<std::string> texts = texts_of(value, what, key);
    if (option->count() > 0) continue;  // the command line stands before the file
    try {
      for (const std::string& text : texts) option->add_result(text);
      option->run_callback();
    } catch (const CLI::Error& e) {
      fail(what, key, fmt::format("cannot be {}: {}", value.dump(), e.what()));
    }
  }
}

}  // namespace limbeck::cli
