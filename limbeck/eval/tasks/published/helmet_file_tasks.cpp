#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/helmet_scores.h"
#include "limbeck/eval/metrics/rouge.h"
#include "limbeck/eval/tasks/published/helmet_file_task.h"
#include "limbeck/eval/tasks/published/wording.h"

#include <algorithm>
#include <map>

namespace limbeck {
namespace {

constexpr std::string_view kRagForm =
    "The passages below help with a question that follows them.\n\n{context}\n\nAnswer the "
    "question "
    "with the help of the passages above, in as few words as you "
    "can.\n\n{demonstrations}{question}";
constexpr std::string_view kReadingForm =
    "Read the text below; a question about it follows.\n\n{context}\n\nAnswer the question about "
    "the text above in as few words as you can.\n\n{demonstrations}{question}";
constexpr std::string_view kChoiceForm =
    "Read the text below; a question about it with four options follows.\n\n{context}\n\nAnswer "
    "the "
    "question about the text above with the letter of one option.\n\n{demonstrations}{question}";
constexpr std::string_view kRerankForm =
    "The passages below have IDs. A query follows them, for which they are to be put in order."
    "\n\n{context}\n\nPut the IDs of the passages above in order of how well they answer the "
    "query, "
    "best first, at most ten of them, in the form ID3 > ID1 > ID2.\n\n{demonstrations}{question}";

std::string question_line(const std::string& question) { return "Question: " + question; }

std::string question_field(const JsonRecord& record) {
  return record.text(record.has("question") ? "question" : "input");
}

std::vector<std::string> answers_of(const JsonRecord& record) {
  const char* field = record.has("answers") ? "answers" : "answer";
  const std::vector<std::string> out = record.text_or_texts(field);
  if (out.empty()) record.fail(field, "must have an answer; found none");
  if (std::find(out.begin(), out.end(), "") != out.end())
    record.fail(field, "must not have an empty answer, which stands in every other");
  return out;
}

class RagTask : public HelmetFileTask {
 public:
  RagTask(const std::filesystem::path& path, const HelmetOptions& options,
          std::vector<std::string>* broken)
      : HelmetFileTask(path, options, broken, {kRagForm, "subem", 20, "Answer:"}) {}

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = parse(prediction);
    out.found = !out.parsed.empty();
    out.score = helmet_best(subem, prediction, out.parsed, question.outputs);
    return out;
  }

 protected:
  std::string context(const JsonRecord& record) const override {
    return helmet_passages(record, false);
  }
  Asked ask(const JsonRecord& record) const override {
    Asked out{question_line(question_field(record)), "", {}};
    out.question.outputs = answers_of(record);
    out.answer = out.question.outputs[0];
    return out;
  }
};

class ReadingTask : public HelmetFileTask {
 public:
  ReadingTask(const std::filesystem::path& path, const HelmetOptions& options,
              std::vector<std::string>* broken)
      : HelmetFileTask(path, options, broken, {kReadingForm, metric_of(options), 100, "Answer:"}) {}

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = parse(prediction);
    out.found = !out.parsed.empty();
    out.more = {{"f1_yn", helmet_best(f1_yn, prediction, out.parsed, question.outputs)},
                {"rouge_l", helmet_best(rouge_l, prediction, out.parsed, question.outputs)}};
    const auto own = out.more.extract(info().metric);
    out.score = own.mapped();
    return out;
  }

 protected:
  std::string context(const JsonRecord& record) const override { return record.text("context"); }
  Asked ask(const JsonRecord& record) const override {
    Asked out{question_line(question_field(record)), "", {}};
    out.question.outputs = answers_of(record);
    out.answer = out.question.outputs[0];
    return out;
  }

 private:
  static std::string_view metric_of(const HelmetOptions& options) {
    return options.metric.empty() ? "rouge_l" : std::string_view(options.metric);
  }
};

class ChoiceTask : public HelmetFileTask {
 public:
  ChoiceTask(const std::filesystem::path& path, const HelmetOptions& options,
             std::vector<std::string>* broken)
      : HelmetFileTask(path, options, broken, {kChoiceForm, "accuracy", 10, "Answer:"}) {}

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = parse(prediction);
    out.found = !out.parsed.empty();
    const char letter = question.outputs.at(0).at(0);
    out.score = helmet_choice(prediction, out.parsed, letter, question.options.at(letter - 'A'));
    return out;
  }

 protected:
  std::string context(const JsonRecord& record) const override { return record.text("context"); }
  Asked ask(const JsonRecord& record) const override {
    Asked out{question_line(question_field(record)), "", {}};
    out.question.options = record.texts("options");
    if (out.question.options.size() != 4)
      record.fail("options",
                  fmt::format("must have 4 texts; found {}", out.question.options.size()));
    for (size_t i = 0; i < 4; ++i)
      out.text += fmt::format("\n{}. {}", static_cast<char>('A' + i), out.question.options[i]);
    out.answer = std::string(1, gold(record, out.question.options));
    out.question.outputs = {out.answer};
    return out;
  }

 private:
  static char gold(const JsonRecord& record, const std::vector<std::string>& options) {
    for (const std::string& answer : answers_of(record)) {
      const auto it = std::find(options.begin(), options.end(), answer);
      if (it != options.end()) return static_cast<char>('A' + (it - options.begin()));
      if (answer.size() == 1 && answer[0] >= 'A' && answer[0] <= 'D') return answer[0];
    }
    record.fail(record.has("answers") ? "answers" : "answer",
                "must be a letter from A to D or one of the options");
  }
};

class RerankTask : public HelmetFileTask {
 public:
  RerankTask(const std::filesystem::path& path, const HelmetOptions& options,
             std::vector<std::string>* broken)
      : HelmetFileTask(path, options, broken, {kRerankForm, "ndcg@10", 200, "Ranking:"}) {}

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    out.parsed = parse(prediction);
    const auto labels = question.facts.at("labels").get<std::map<std::string, double>>();
    const auto raw = parse_ranking(prediction), parsed = parse_ranking(out.parsed);
    out.found = !raw.empty();
    out.score = std::max(ndcg_at_10(raw, labels), ndcg_at_10(parsed, labels));
    return out;
  }

 protected:
  std::string context(const JsonRecord& record) const override {
    return helmet_passages(record, true);
  }
  Asked ask(const JsonRecord& record) const override {
    Asked out{"Query: " + record.text("query"), "", {}};
    std::vector<std::pair<int64_t, std::string>> order;  // by falling label, then file order
    nlohmann::ordered_json labels = nlohmann::ordered_json::object();
    for (const JsonRecord& passage : record.records("ctxs")) {
      const std::string id = passage.name("id");
      const int64_t label = passage.integer("label", 0, 1000);
      if (labels.contains(id)) passage.fail("id", "must be of one passage only");
      labels[id] = label;
      order.emplace_back(-label, id);
    }
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < std::min<size_t>(order.size(), 10); ++i)
      out.answer += (i > 0 ? " > ID" : "ID") + order[i].second;
    out.question.outputs = {out.answer};
    out.question.facts["labels"] = labels;
    if (record.has("qid")) out.question.facts["qid"] = record.name("qid");
    return out;
  }
};

}  // namespace

std::unique_ptr<Task> make_helmet_rag_task(const std::filesystem::path& path,
                                           const HelmetOptions& options,
                                           std::vector<std::string>* broken) {
  return std::make_unique<RagTask>(path, options, broken);
}

std::unique_ptr<Task> make_helmet_qa_task(const std::filesystem::path& path,
                                          const HelmetOptions& options,
                                          std::vector<std::string>* broken) {
  return std::make_unique<ReadingTask>(path, options, broken);
}

std::unique_ptr<Task> make_helmet_choice_task(const std::filesystem::path& path,
                                              const HelmetOptions& options,
                                              std::vector<std::string>* broken) {
  return std::make_unique<ChoiceTask>(path, options, broken);
}

std::unique_ptr<Task> make_helmet_rerank_task(const std::filesystem::path& path,
                                              const HelmetOptions& options,
                                              std::vector<std::string>* broken) {
  return std::make_unique<RerankTask>(path, options, broken);
}

void add_helmet_wording(WordingList& out) {
  out.emplace_back("helmet_choice", kChoiceForm);
  out.emplace_back("helmet_qa", kReadingForm);
  out.emplace_back("helmet_rag", kRagForm);
  out.emplace_back("helmet_rerank", kRerankForm);
}

}  // namespace limbeck
