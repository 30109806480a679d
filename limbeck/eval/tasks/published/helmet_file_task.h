/// Base of the HELMET tasks whose file has one question a record.
#pragma once

#include "limbeck/eval/tasks/published/helmet.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/published/prompt_form.h"

#include <optional>
#include <string>
#include <string_view>

namespace limbeck {

class HelmetFileTask : public Task {
 public:
  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return file_.size(); }
  TaskDocument document(int64_t length, int64_t index) override;

 protected:
  /// What kinds of tasks differ in besides their records.
  struct Kind {
    std::string_view form, metric;
    int64_t max_new;
    std::string_view answer_prefix;  ///< begins the answer, and stands before shown answers
  };
  /// One question, without demonstrations.
  struct Asked {
    std::string text;    ///< {question} of the form: the question, with its options if it has some
    std::string answer;  ///< as a demonstration shows it
    TaskQuestion question;
  };

  HelmetFileTask(const std::filesystem::path& path, const HelmetOptions& options,
                 std::vector<std::string>* broken, const Kind& kind);

  virtual std::string context(const JsonRecord& record) const = 0;
  virtual Asked ask(const JsonRecord& record) const = 0;
  /// The answer's parsed form.
  std::string parse(std::string_view prediction) const;

 private:
  void read_demonstrations();
  std::string demonstrations(const std::string& question) const;

  JsonlFile file_;
  std::optional<JsonlFile> shown_from_;
  std::vector<Asked> examples_;  ///< what can be shown
  HelmetOptions options_;
  std::vector<std::string>* broken_;
  std::string answer_prefix_;
  PromptForm form_;
  TaskInfo info_;
};

/// "[ID: 7] Title: text" or "Title: text" for every passage, with blank lines between.
std::string helmet_passages(const JsonRecord& record, bool with_ids);

}  // namespace limbeck
