#include "limbeck/eval/tasks/task_list.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/published/longbench.h"

#include <algorithm>
#include <filesystem>

namespace limbeck {
namespace {

namespace fs = std::filesystem;

void add_defaults(const TaskEntry& entry, const OptionTexts& defaults, TaskRequest& request) {
  for (const auto& [key, value] : defaults)
    if (entry.has_option(key)) request.options.emplace(key, value);
  request.name = entry.name;
  entry.resolve(request.options);  // refuses what is wrong before any work
}

bool add_group(const TaskRequest& request, const OptionTexts& defaults,
               std::vector<TaskRequest>& out) {
  const size_t before = out.size();
  for (const TaskEntry& entry : generated_tasks()) {
    if (entry.group != request.name || entry.name == request.name) continue;
    TaskRequest single = request;
    add_defaults(entry, defaults, single);
    out.push_back(std::move(single));
  }
  if (!request.as.empty() && out.size() > before + 1)
    throw InvalidArgument("[tasks] {} is {} tasks, which cannot all be called {}", request.name,
                          out.size() - before, request.as);
  return out.size() > before;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".jsonl" || entry.path().extension() == ".json")
      out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  if (out.empty())
    throw ResourceError("[tasks] {} has no .json or .jsonl file in it", folder.string());
  return out;
}

void add_folder(const TaskRequest& request, std::vector<TaskRequest>& out,
                std::vector<std::string>& notes) {
  for (const fs::path& path : files_in(request.file)) {
    if (request.name == "longbench" && longbench_is_chinese(path.stem().string())) {
      notes.push_back(fmt::format("{} is left out: Chinese sets need a word segmenter",
                                  path.filename().string()));
      continue;
    }
    out.push_back(request);
    out.back().file = path.string();
  }
}

class BrokenTask : public Task {
 public:
  BrokenTask(const TaskRequest& request, std::string error) : error_(std::move(error)) {
    const TaskEntry& entry = find_task(request.name);
    info_.name = request.as.empty() ? entry.name : request.as;
    if (request.as.empty() && !request.file.empty())
      info_.name += " " + fs::path(request.file).stem().string();
    info_.group = entry.group;
    info_.metric = "none";
    info_.sized = false;
  }
  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return 1; }
  TaskDocument document(int64_t /*length*/, int64_t /*index*/) override {
    throw FormatError("{}", error_);
  }
  TaskScore score(const TaskQuestion& /*question*/, std::string_view /*text*/) const override {
    return {};
  }

 private:
  std::string error_;
  TaskInfo info_;
};

}  // namespace

std::vector<TaskRequest> expand_tasks(std::span<const TaskRequest> requests,
                                      const OptionTexts& defaults,
                                      std::vector<std::string>& notes) {
  std::vector<TaskRequest> out;
  for (const TaskRequest& request : requests) {
    if (request.file.empty() && add_group(request, defaults, out)) continue;
    const TaskEntry& entry = find_task(request.name);
    TaskRequest single = request;
    add_defaults(entry, defaults, single);
    if (entry.file.empty() != single.file.empty())
      throw InvalidArgument("[tasks] {} takes {}; found {}", entry.name,
                            entry.file.empty() ? "no file" : "a file: " + entry.name + "=FILE",
                            single.file.empty() ? "none" : single.file);
    if (!single.file.empty() && !fs::exists(single.file))
      throw ResourceError("[tasks] {}: there is no file {}", entry.name, single.file);
    if (!single.file.empty() && fs::is_directory(single.file))
      add_folder(single, out, notes);
    else
      out.push_back(std::move(single));
  }
  return out;
}

nlohmann::ordered_json task_facts(const TaskRequest& request) {
  const TaskEntry& entry = find_task(request.name);
  nlohmann::ordered_json out;
  out["task"] = entry.name;
  if (!request.as.empty()) out["as"] = request.as;
  if (!request.file.empty())
    out["file"] = {{"name", fs::path(request.file).filename().string()},
                   {"hash", file_hash(request.file)}};
  out["options"] = nlohmann::ordered_json::object();
  for (const auto& [key, value] : entry.resolve(request.options)) {
    const bool is_file = std::find(entry.file_options.begin(), entry.file_options.end(), key) !=
                         entry.file_options.end();
    if (is_file && !value.empty())
      out["options"][key] = {{"name", fs::path(value).filename().string()},
                             {"hash", file_hash(value)}};
    else
      out["options"][key] = value;
  }
  return out;
}

std::unique_ptr<Task> make_broken_task(const TaskRequest& request, const std::string& error) {
  return std::make_unique<BrokenTask>(request, error);
}

}  // namespace limbeck
