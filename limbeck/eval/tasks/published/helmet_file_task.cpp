#include "limbeck/eval/tasks/published/helmet_file_task.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/helmet_scores.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>

namespace limbeck {

HelmetFileTask::HelmetFileTask(const std::filesystem::path& path, const HelmetOptions& options,
                               std::vector<std::string>* broken, const Kind& kind)
    : file_(path),
      options_(options),
      broken_(broken),
      answer_prefix_(kind.answer_prefix),
      form_("helmet", options.form.empty() ? kind.form : std::string_view(options.form),
            {"demonstrations", "question"}) {
  options_validate("helmet", options);
  if (!options.demonstrations.empty() && options.shown > 0)
    shown_from_.emplace(options.demonstrations);
  info_.name = options.name.empty() ? file_.stem() : options.name;
  info_.group = "helmet";
  info_.sized = false;
  info_.metric = kind.metric;
  info_.max_new = options.max_new > 0 ? options.max_new : kind.max_new;
  info_.truncation = Truncation::end;
  info_.prefix_scored = true;
}

TaskDocument HelmetFileTask::document(int64_t /*length*/, int64_t index) {
  read_demonstrations();
  const JsonRecord record = file_.record(index);
  TaskDocument out;
  out.id = file_document_id(index);
  out.ordinal = index;
  out.text = form_.document(context(record));
  Asked asked = ask(record);
  asked.question.id = "0";
  asked.question.text =
      form_.question({{"demonstrations", demonstrations(asked.text)}, {"question", asked.text}});
  asked.question.answer_prefix = answer_prefix_;
  out.questions.push_back(std::move(asked.question));
  return out;
}

std::string HelmetFileTask::parse(std::string_view prediction) const {
  return helmet_parse(prediction, answer_prefix_);
}

/// A broken one must not cost the questions that would show it.
void HelmetFileTask::read_demonstrations() {
  if (!shown_from_ || !examples_.empty()) return;
  std::vector<std::string> left_out;
  for (int64_t i = 0; i < shown_from_->size(); ++i) try {
      examples_.push_back(ask(shown_from_->record(i)));
    } catch (const FormatError& e) {
      if (broken_ == nullptr) throw;
      left_out.emplace_back(e.what());
    }
  if (examples_.empty()) throw FormatError("{}", left_out.front());  // a file has a record
  if (broken_ != nullptr) broken_->insert(broken_->end(), left_out.begin(), left_out.end());
}

/// The same ones for the same question, wherever it stands in the file.
std::string HelmetFileTask::demonstrations(const std::string& question) const {
  Random random(fnv1a64(fmt::format("{}|helmet|{}", options_.seed, question)));
  const auto count = static_cast<int64_t>(examples_.size());
  const std::vector<int64_t> order = sample_indices(random, count, count);
  std::string out;
  int64_t shown = 0;
  for (const int64_t i : order) {
    if (shown == options_.shown) break;
    const Asked& example = examples_[static_cast<size_t>(i)];
    if (example.text == question) continue;  // would give the answer away
    out += example.text + "\n" + answer_prefix_ + " " + example.answer + "\n\n";
    ++shown;
  }
  return out;
}

std::string helmet_passages(const JsonRecord& record, bool with_ids) {
  std::string out;
  for (const JsonRecord& passage : record.records("ctxs")) {
    if (!out.empty()) out += "\n\n";
    if (with_ids) out += fmt::format("[ID: {}] ", passage.name("id"));
    if (passage.has("title")) out += passage.text("title") + ": ";
    out += passage.text("text");
  }
  if (out.empty()) record.fail("ctxs", "must have a passage; found none");
  return out;
}

}  // namespace limbeck
