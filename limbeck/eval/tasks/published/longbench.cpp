#include "limbeck/eval/tasks/published/longbench.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/code_similarity.h"
#include "limbeck/eval/metrics/longbench_scores.h"
#include "limbeck/eval/metrics/qa_scores.h"
#include "limbeck/eval/metrics/rouge.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/published/prompt_form.h"
#include "limbeck/io/quote.h"

#include <algorithm>
#include <array>

namespace limbeck {
namespace {

constexpr std::array<std::string_view, 5> kChinese = {"multifieldqa_zh", "dureader", "vcsum",
                                                      "lsht", "passage_retrieval_zh"};

/// The set of a name without its suffix.
const LongBenchSet& set_of(std::string_view name) {
  for (const LongBenchSet& set : longbench_sets())
    if (set.name == name) return set;
  if (longbench_is_chinese(name))
    throw InvalidArgument(
        "[longbench] {} is Chinese and needs a word segmenter, which this build does not have; use "
        "an English set",
        name);
  std::vector<std::string_view> known;
  for (const LongBenchSet& set : longbench_sets()) known.push_back(set.name);
  throw InvalidArgument("[longbench] dataset must be one of {}; found {}", fmt::join(known, ", "),
                        quote(name));
}

PairMetric pair_metric(std::string_view name) {
  if (name == "qa_f1") return qa_f1;
  if (name == "rouge_l_set") return rouge_l_set;
  if (name == "count") return count_score;
  if (name == "retrieval") return retrieval_score;
  LIMBECK_CHECK(name == "code_sim", "unknown metric {}", name);
  return code_sim;
}

PromptForm form_of(const LongBenchSet& set, const std::string& own) {
  const std::string_view form = own.empty() ? set.form : std::string_view(own);
  if (set.has_input) return {"longbench", form, {"input"}};
  return {"longbench", form, {}};
}

class LongBenchTask : public Task {
 public:
  LongBenchTask(JsonlFile file, const LongBenchSet& set, bool extended,
                const LongBenchOptions& options)
      : file_(std::move(file)), set_(set), form_(form_of(set, options.form)) {
    info_.name = std::string(set.name) + (extended ? "_e" : "");
    info_.group = extended ? "longbench-e" : "longbench";
    info_.category = set.category;
    info_.sized = false;
    info_.metric = set.metric;
    info_.max_new = set.max_new;
    info_.truncation = Truncation::middle;
    info_.chat = set.chat;
    if (set.name == "samsum") {
      info_.stop = {"\n"};
      info_.stop_after_first = true;
    }
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return file_.size(); }

  TaskDocument document(int64_t /*length*/, int64_t index) override {
    const JsonRecord record = file_.record(index);
    TaskDocument out;
    out.id = file_document_id(index);
    out.ordinal = index;
    out.text = form_.document(record.text("context"));
    TaskQuestion question;
    question.id = "0";
    question.text =
        set_.has_input ? form_.question({{"input", record.text("input")}}) : form_.question({});
    question.outputs = record.texts("answers");
    if (question.outputs.empty()) record.fail("answers", "must have an answer; found none");
    add_facts(record, question);
    out.questions.push_back(std::move(question));
    return out;
  }

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = set_.first_line             ? first_line(prediction)
                 : set_.metric == "code_sim" ? code_line(prediction)
                                             : std::string(prediction);
    if (set_.metric == "classification") {
      const auto classes = question.facts.at("classes").get<std::vector<std::string>>();
      for (const std::string& gold : question.outputs)
        out.score = std::max(out.score, classification_score(out.parsed, gold, classes));
    } else {
      out.score = best_over_golds(pair_metric(set_.metric), out.parsed, question.outputs);
    }
    if (extended() && question.facts.contains("bucket"))
      out.more[question.facts.at("bucket").get<std::string>()] = out.score;
    return out;
  }

 private:
  bool extended() const { return info_.group == "longbench-e"; }

  void add_facts(const JsonRecord& record, TaskQuestion& question) const {
    if (record.has("_id")) question.facts["_id"] = record.name("_id");
    if (record.has("length")) {
      const int64_t words = record.integer("length", 0, INT64_MAX);
      question.facts["length"] = words;
      question.facts["bucket"] = words < 4000 ? "0-4k" : words < 8000 ? "4k-8k" : "8k+";
    }
    if (set_.metric == "classification") question.facts["classes"] = record.texts("all_classes");
    if (set_.metric == "retrieval")
      for (const std::string& gold : question.outputs)
        if (!paragraph_number(gold))
          record.fail("answers", "must name a paragraph as in \"Paragraph 7\"");
  }

  JsonlFile file_;
  const LongBenchSet& set_;
  PromptForm form_;
  TaskInfo info_;
};

}  // namespace

bool longbench_is_chinese(std::string_view name) {
  if (name.ends_with("_e")) name.remove_suffix(2);
  return std::find(kChinese.begin(), kChinese.end(), name) != kChinese.end();
}

std::unique_ptr<Task> make_longbench_task(const std::filesystem::path& path,
                                          const LongBenchOptions& options) {
  std::string name = options.dataset.empty() ? path.stem().string() : options.dataset;
  const bool extended = name.ends_with("_e");
  if (extended) name.resize(name.size() - 2);
  const LongBenchSet& set = set_of(name);
  return std::make_unique<LongBenchTask>(JsonlFile(path), set, extended, options);
}

}  // namespace limbeck
