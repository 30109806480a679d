#include "limbeck/eval/tasks/published/quality.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/multiple_choice.h"
#include "limbeck/eval/metrics/text_norm.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"
#include "limbeck/eval/tasks/published/prompt_form.h"
#include "limbeck/eval/tasks/published/wording.h"

#include <map>
#include <optional>

namespace limbeck {
namespace {

constexpr std::string_view kForm =
    "Read the article below with care; questions about it with four options "
    "follow.\n\n{context}\n\n"
    "Which option answers the question about the article best?\n\nQuestion: "
    "{question}\n{options}\n\n"
    "{how}";
constexpr std::string_view kHowLetter = "Reply with the letter of one option.";
constexpr std::string_view kHowOption = "Reply with the text of one option.";
constexpr std::string_view kHowGenerate =
    "End your reply with \"The answer is (X)\", with the letter of one option in place of X.";
constexpr int64_t kOptions = 4;

struct Item {
  std::string question;
  std::vector<std::string> options;
  int64_t gold = 0;  ///< from 0
  bool difficult = false;
};

Item read_item(const JsonRecord& record) {
  Item out{text_strip(record.text("question")), record.texts("options"), 0, false};
  if (static_cast<int64_t>(out.options.size()) != kOptions)
    record.fail("options",
                fmt::format("must have {} texts; found {}", kOptions, out.options.size()));
  out.gold = record.integer("gold_label", 1, kOptions) - 1;
  if (record.has("difficult")) out.difficult = record.integer("difficult", 0, 1) == 1;
  return out;
}

/// A question with its options (A) to (D) in one text.
Item split_instruction(const JsonRecord& record, const std::string& field, std::string_view text,
                       std::string_view output) {
  Item out;
  size_t from = 0;
  for (char letter = 'A'; letter <= 'D'; ++letter) {
    const size_t at = text.find(fmt::format("({})", letter), from);
    if (at == std::string_view::npos)
      record.fail(field, "must hold a question and the options (A) to (D)");
    const std::string piece = text_strip(text.substr(from, at - from));
    if (letter == 'A')
      out.question = piece;
    else
      out.options.push_back(piece);
    from = at + 3;
  }
  out.options.push_back(text_strip(text.substr(from)));
  if (output.size() < 3 || output[0] != '(' || output[1] < 'A' || output[1] > 'D' ||
      output[2] != ')')
    record.fail("outputs", "must begin with a letter as in \"(C)\"");
  out.gold = output[1] - 'A';
  return out;
}

class QualityTask : public Task {
 public:
  QualityTask(const std::filesystem::path& path, const QualityOptions& options)
      : file_(path),
        form_("quality", options.form.empty() ? kForm : std::string_view(options.form),
              {"question", "options", "how"}) {
    options_validate("quality", options);
    info_.name = "quality";
    info_.group = "quality";
    info_.sized = false;
    info_.metric = "accuracy";
    info_.max_new = options.max_new;
    info_.truncation = Truncation::middle;
    info_.answer = options.scorer == "letter"   ? AnswerKind::choose_letter
                   : options.scorer == "option" ? AnswerKind::choose_option
                                                : AnswerKind::generate;
    merge_records();
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t /*length*/) const override { return static_cast<int64_t>(groups_.size()); }

  TaskDocument document(int64_t /*length*/, int64_t index) override {
    check_document_index(info_.name, index, size(0));
    TaskDocument out;
    out.id = file_document_id(index);
    out.ordinal = index;
    std::optional<std::string> article;
    for (const int64_t number : groups_[static_cast<size_t>(index)]) {
      const JsonRecord record = file_.record(number);
      const std::string& text = record.text(record.has("article") ? "article" : "input");
      if (!article) article = text;
      if (*article != text)
        record.fail("article", "must be the same in all records of one article_id");
      for (const Item& item : items_of(record)) add_question(item, out);
    }
    out.text = form_.document(*article);
    return out;
  }

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    TaskScore out;
    const auto letter = letter_of(question, prediction);
    out.found = letter.has_value();
    if (letter) out.parsed = std::string(1, *letter);
    out.score = letter && !question.outputs.empty() && out.parsed == question.outputs[0] ? 1 : 0;
    if (question.facts.is_object() && question.facts.value("difficult", false))
      out.more["difficult"] = out.score;
    return out;
  }

 private:
  /// A record that cannot be read stands alone, so that its error comes with its own document.
  void merge_records() {
    std::map<std::string, size_t> known;
    for (int64_t i = 0; i < file_.size(); ++i) {
      std::string id;
      try {
        const JsonRecord record = file_.record(i);
        if (record.has("article_id")) id = record.name("article_id");
      } catch (const FormatError&) {
        id.clear();
      }
      const auto it = id.empty() ? known.end() : known.find(id);
      if (it != known.end()) {
        groups_[it->second].push_back(i);
        continue;
      }
      if (!id.empty()) known.emplace(id, groups_.size());
      groups_.push_back({i});
    }
  }

  static std::vector<Item> items_of(const JsonRecord& record) {
    std::vector<Item> out;
    if (record.has("instructions")) {
      const auto questions = record.texts("instructions"), golds = record.texts("outputs");
      if (questions.size() != golds.size())
        record.fail("outputs", fmt::format("must be as many as the instructions; found {} and {}",
                                           golds.size(), questions.size()));
      for (size_t i = 0; i < questions.size(); ++i)
        out.push_back(
            split_instruction(record, fmt::format("instructions[{}]", i), questions[i], golds[i]));
    } else {
      for (const JsonRecord& question : record.records("questions"))
        out.push_back(read_item(question));
    }
    if (out.empty())
      record.fail(record.has("instructions") ? "instructions" : "questions",
                  "must have a question; found none");
    return out;
  }

  void add_question(const Item& item, TaskDocument& document) const {
    TaskQuestion out;
    out.id = std::to_string(document.questions.size());
    out.options = item.options;
    out.outputs = {std::string(1, static_cast<char>('A' + item.gold))};
    out.facts["difficult"] = item.difficult;
    std::string list;
    for (size_t i = 0; i < item.options.size(); ++i)
      list += fmt::format("{}({}) {}", i ? "\n" : "", static_cast<char>('A' + i), item.options[i]);
    const std::string_view how = info_.answer == AnswerKind::choose_letter   ? kHowLetter
                                 : info_.answer == AnswerKind::choose_option ? kHowOption
                                                                             : kHowGenerate;
    out.text = form_.question({{"question", item.question}, {"options", list}, {"how", how}});
    if (info_.answer == AnswerKind::choose_letter) out.answer_prefix = "The answer is (";
    if (info_.answer == AnswerKind::choose_option) out.answer_prefix = "The answer is:";
    document.questions.push_back(std::move(out));
  }

  std::optional<char> letter_of(const TaskQuestion& question, std::string_view prediction) const {
    if (info_.answer == AnswerKind::generate) return multiple_choice_letter(prediction);
    const std::string chosen = text_strip(prediction);
    if (chosen.size() == 1 && chosen[0] >= 'A' &&
        chosen[0] < static_cast<char>('A' + question.options.size()))
      return chosen[0];
    if (info_.answer == AnswerKind::choose_option)
      for (size_t i = 0; i < question.options.size(); ++i)
        if (chosen == text_strip(question.options[i])) return static_cast<char>('A' + i);
    return std::nullopt;
  }

  JsonlFile file_;
  PromptForm form_;
  TaskInfo info_;
  std::vector<std::vector<int64_t>> groups_;  ///< records of each document
};

}  // namespace

std::unique_ptr<Task> make_quality_task(const std::filesystem::path& path,
                                        const QualityOptions& options) {
  return std::make_unique<QualityTask>(path, options);
}

void add_quality_wording(WordingList& out) {
  out.emplace_back("quality", kForm);
  out.emplace_back("quality generate", kHowGenerate);
  out.emplace_back("quality letter", kHowLetter);
  out.emplace_back("quality option", kHowOption);
}

}  // namespace limbeck
