#include "limbeck/eval/tasks/published/longeval.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/text_norm.h"
#include "limbeck/eval/tasks/longeval_lines.h"  // last_integer
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>
#include <map>
#include <optional>

namespace limbeck {
namespace {

constexpr size_t kNone = std::string_view::npos;

struct Line {
  std::string key, number;
};

/// "line KEY: REGISTER_CONTENT is <N>", or nothing.
std::optional<Line> parse_line(std::string_view line) {
  constexpr std::string_view kBegin = "line ", kMiddle = ": REGISTER_CONTENT is <";
  const size_t middle = line.find(kMiddle);
  if (!line.starts_with(kBegin) || middle == kNone || middle <= kBegin.size()) return std::nullopt;
  const size_t from = middle + kMiddle.size(), end = line.find('>', from);
  if (end == kNone) return std::nullopt;
  std::string number = last_integer(line.substr(from, end - from));
  if (number.empty()) return std::nullopt;
  return Line{std::string(line.substr(kBegin.size(), middle - kBegin.size())), std::move(number)};
}

/// Lines whose key stands once, in the order of the text.
std::vector<Line> unique_lines(std::string_view text) {
  std::vector<Line> lines;
  std::map<std::string, int64_t> seen;
  for (const std::string& row : text_lines(text))
    if (auto line = parse_line(row)) {
      ++seen[line->key];
      lines.push_back(std::move(*line));
    }
  std::erase_if(lines, [&](const Line& line) { return seen[line.key] > 1; });
  return lines;
}

class LongEvalTask : public Task {
 public:
  LongEvalTask(const std::filesystem::path& path, const LongEvalOptions& options)
      : file_(path), options_(options) {
    options_validate("longeval", options);
    info_.name = options.questions > 1 ? "longeval+mq" : "longeval";
    info_.group = "longeval";
    info_.sized = false;
    info_.metric = "last_integer";
    info_.max_new = 64;
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return file_.size(); }

  TaskDocument document(int64_t /*length*/, int64_t index) override {
    const JsonRecord record = file_.record(index);
    const std::string& prompt = record.text("prompt");
    const size_t border = prompt.rfind("\n\n");
    if (border == kNone) record.fail("prompt", "must have a blank line before its question");
    TaskDocument out;
    out.id = file_document_id(index);
    out.ordinal = index;
    out.text = prompt.substr(0, border);
    const std::string asked = prompt.substr(border), key = asked_key(record);
    const std::string number = last_integer(record.name("expected_number"));
    if (number.empty()) record.fail("expected_number", "must be a number");
    out.questions.push_back(question(0, asked, {key, number}));
    if (options_.questions > 1) ask_more(record, asked, key, out);
    return out;
  }

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = last_integer(prediction);
    out.found = !out.parsed.empty();
    out.score = out.found && !question.outputs.empty() && out.parsed == question.outputs[0] ? 1 : 0;
    return out;
  }

 private:
  static std::string asked_key(const JsonRecord& record) {
    const nlohmann::json& place = record.value("random_idx");
    if (!place.is_array() || place.empty() || !place[0].is_string())
      record.fail("random_idx", "must be a list that begins with a key");
    return place[0];
  }

  static TaskQuestion question(size_t id, std::string text, const Line& line) {
    TaskQuestion out;
    out.id = std::to_string(id);
    out.text = std::move(text);
    out.outputs = {line.number};
    out.facts["key"] = line.key;
    return out;
  }

  /// Asks for other keys in the words of the file's question.
  void ask_more(const JsonRecord& record, const std::string& asked, const std::string& key,
                TaskDocument& out) const {
    const size_t at = key.empty() ? kNone : asked.find(key);
    if (at == kNone) record.fail("random_idx", "must begin with the key of the prompt's question");
    std::vector<Line> lines = unique_lines(out.text);
    std::erase_if(lines, [&](const Line& line) { return line.key == key; });
    Random random = task_stream(options_.seed, "longeval", 0, out.ordinal);
    const auto count = std::min(options_.questions - 1, static_cast<int64_t>(lines.size()));
    for (const int64_t i : sample_indices(random, static_cast<int64_t>(lines.size()), count)) {
      const Line& line = lines[static_cast<size_t>(i)];
      out.questions.push_back(
          question(out.questions.size(),
                   asked.substr(0, at) + line.key + asked.substr(at + key.size()), line));
    }
  }

  JsonlFile file_;
  LongEvalOptions options_;
  TaskInfo info_;
};

}  // namespace

std::unique_ptr<Task> make_longeval_task(const std::filesystem::path& path,
                                         const LongEvalOptions& options) {
  return std::make_unique<LongEvalTask>(path, options);
}

}  // namespace limbeck
