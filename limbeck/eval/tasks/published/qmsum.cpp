#include "limbeck/eval/tasks/published/qmsum.h"

#include "limbeck/eval/metrics/qa_scores.h"
#include "limbeck/eval/metrics/rouge.h"
#include "limbeck/eval/metrics/text_norm.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/published/prompt_form.h"
#include "limbeck/eval/tasks/published/wording.h"

namespace limbeck {
namespace {

constexpr std::string_view kForm =
    "Read the transcript of a meeting below; a request about it follows, to be answered in a few "
    "sentences.\n\nTranscript:\n{context}\n\nNow answer the request about the meeting in a few "
    "sentences.\n\nRequest: {query}";

class QmsumTask : public Task {
 public:
  QmsumTask(const std::filesystem::path& path, const QmsumOptions& options)
      : file_(path),
        form_("qmsum", options.form.empty() ? kForm : std::string_view(options.form), {"query"}) {
    options_validate("qmsum", options);
    info_.name = "qmsum";
    info_.group = "qmsum";
    info_.sized = false;
    info_.metric = "rouge_l";
    info_.max_new = options.max_new;
    info_.truncation = Truncation::middle;
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return file_.size(); }

  TaskDocument document(int64_t /*length*/, int64_t index) override {
    const JsonRecord record = file_.record(index);
    TaskDocument out;
    out.id = file_document_id(index);
    out.ordinal = index;
    std::string transcript;
    for (const JsonRecord& turn : record.records("meeting_transcripts")) {
      if (!transcript.empty()) transcript += '\n';
      transcript += text_strip(turn.text("speaker")) + ": ";
      transcript += text_strip(turn.text("content"));
    }
    if (transcript.empty()) record.fail("meeting_transcripts", "must have a turn; found none");
    out.text = form_.document(transcript);
    add_questions(record, "general", out);
    add_questions(record, "specific", out);
    if (out.questions.empty())
      record.fail("general_query_list", "or specific_query_list must have a query; found none");
    return out;
  }

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = text_strip(prediction);
    out.score = best_over_golds(rouge_l, prediction, question.outputs);
    out.more["rouge_l_set"] = best_over_golds(rouge_l_set, prediction, question.outputs);
    return out;
  }

 private:
  void add_questions(const JsonRecord& record, const std::string& kind, TaskDocument& out) const {
    const std::string field = kind + "_query_list";
    if (!record.has(field)) return;
    int64_t number = 0;
    for (const JsonRecord& item : record.records(field)) {
      TaskQuestion question;
      question.id = fmt::format("{}-{}", kind, number++);
      question.text = form_.question({{"query", text_strip(item.text("query"))}});
      question.outputs = {item.text("answer")};
      question.facts["kind"] = kind;
      out.questions.push_back(std::move(question));
    }
  }

  JsonlFile file_;
  PromptForm form_;
  TaskInfo info_;
};

}  // namespace

std::unique_ptr<Task> make_qmsum_task(const std::filesystem::path& path,
                                      const QmsumOptions& options) {
  return std::make_unique<QmsumTask>(path, options);
}

void add_qmsum_wording(WordingList& out) { out.emplace_back("qmsum", kForm); }

}  // namespace limbeck
