#include "limbeck/eval/tasks/qa_corpus.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/published/jsonl_file.h"

#include <algorithm>
#include <unordered_map>

namespace limbeck {
namespace {

using nlohmann::json;

class CorpusBuilder {
 public:
  int64_t add_document(const std::string& text) {
    const auto [it, is_new] = known_.emplace(text, static_cast<int64_t>(corpus.documents.size()));
    if (is_new) corpus.documents.push_back(text);
    return it->second;
  }

  QaCorpus corpus;

 private:
  std::unordered_map<std::string, int64_t> known_;
};

template <class T>
void add_distinct(std::vector<T>& items, const T& item) {
  if (std::find(items.begin(), items.end(), item) == items.end()) items.push_back(item);
}

void add_article(CorpusBuilder& builder, const JsonRecord& article) {
  const size_t first = builder.corpus.questions.size();
  std::vector<int64_t> documents;
  for (const JsonRecord& paragraph : article.records("paragraphs")) {
    const int64_t own = builder.add_document(paragraph.text("context"));
    add_distinct(documents, own);
    for (const JsonRecord& qa : paragraph.records("qas")) {
      if (qa.has("is_impossible") && qa.integer("is_impossible", 0, 1) == 1) continue;
      QaCorpus::Question question{qa.text("question"), {}, {own}, {own}, {}};
      for (const JsonRecord& answer : qa.records("answers"))
        add_distinct(question.answers, answer.filled_text("text"));
      if (!question.answers.empty()) builder.corpus.questions.push_back(std::move(question));
    }
  }
  for (size_t i = first; i < builder.corpus.questions.size(); ++i) {
    QaCorpus::Question& question = builder.corpus.questions[i];
    for (const int64_t document : documents)
      if (document != question.gold[0]) question.preferred.push_back(document);
  }
}

std::string hotpot_document(const std::string& title, const std::vector<std::string>& sentences) {
  std::string out = title + "\n";
  for (const std::string& sentence : sentences) out += sentence;
  return out;
}

/// Items [title, [sentence, ...], ...] of a list; what follows the sentences is of no interest.
void add_titled(CorpusBuilder& builder, const JsonRecord& record, std::string_view field,
                std::vector<int64_t>& gold) {
  const json& items = record.value(field);
  if (!items.is_array())
    record.fail(field, fmt::format("must be a list; found {}", items.type_name()));
  for (size_t i = 0; i < items.size(); ++i) {
    const json& item = items[i];
    const bool good =
        item.is_array() && item.size() >= 2 && item[0].is_string() && item[1].is_array() &&
        std::all_of(item[1].begin(), item[1].end(), [](const json& s) { return s.is_string(); });
    if (!good)
      record.fail(fmt::format("{}[{}]", field, i), "must be a title and a list of sentences");
    add_distinct(gold, builder.add_document(
                           hotpot_document(item[0], item[1].get<std::vector<std::string>>())));
  }
}

/// Of the documents of a question, those whose titles its supporting facts name; all when they name
/// none of them.
std::vector<int64_t> supporting(const QaCorpus& corpus, const JsonRecord& record,
                                const std::vector<int64_t>& documents) {
  std::vector<int64_t> out;
  if (!record.has("supporting_facts")) return documents;
  const json& facts = record.value("supporting_facts");
  if (!facts.is_array())
    record.fail("supporting_facts", fmt::format("must be a list; found {}", facts.type_name()));
  for (const json& fact : facts) {
    if (!fact.is_array() || fact.empty() || !fact[0].is_string())
      record.fail("supporting_facts", "must hold lists that begin with a title");
    const std::string beginning = fact[0].get<std::string>() + "\n";
    for (const int64_t i : documents)
      if (corpus.documents[static_cast<size_t>(i)].starts_with(beginning)) add_distinct(out, i);
  }
  return out.empty() ? documents : out;
}

void add_hotpot_question(CorpusBuilder& builder, const JsonRecord& record) {
  QaCorpus::Question question{record.text("question"), {record.filled_text("answer")}, {}, {}, {}};
  if (record.has("context")) {
    add_titled(builder, record, "context", question.gold);
    question.needed = supporting(builder.corpus, record, question.gold);
  } else {
    for (const char* side : {"a", "b"})
      add_distinct(question.gold, builder.add_document(
                                      hotpot_document(record.text(fmt::format("title_{}", side)),
                                                      record.texts(fmt::format("para_{}", side)))));
    question.needed = question.gold;
    add_titled(builder, record, "distractors", question.gold);
  }
  if (question.gold.empty()) record.fail("context", "must have a document; found none");
  builder.corpus.questions.push_back(std::move(question));
}

/// Runs `add`; with `broken` a FormatError goes there, and the questions that it began are gone.
template <class Add>
void or_leave_out(CorpusBuilder& builder, std::vector<std::string>* broken, Add&& add) {
  const size_t before = builder.corpus.questions.size();
  try {
    add();
  } catch (const FormatError& e) {
    if (broken == nullptr) throw;
    builder.corpus.questions.resize(before);
    broken->emplace_back(e.what());
  }
}

}  // namespace

QaCorpus read_squad(const std::filesystem::path& path, std::vector<std::string>* broken) {
  const JsonRecord file = read_json_object(path);
  CorpusBuilder builder;
  for (const JsonRecord& article : file.records("data"))
    or_leave_out(builder, broken, [&] { add_article(builder, article); });
  if (builder.corpus.questions.empty())
    file.fail("data", "must have a question with an answer; found none");
  return std::move(builder.corpus);
}

QaCorpus read_hotpotqa(const std::filesystem::path& path, std::vector<std::string>* broken) {
  const JsonlFile file(path);
  CorpusBuilder builder;
  for (int64_t i = 0; i < file.size(); ++i)
    or_leave_out(builder, broken, [&] { add_hotpot_question(builder, file.record(i)); });
  if (builder.corpus.questions.empty())
    throw FormatError("[tasks] {}: must have a question; found none", path.filename().string());
  return std::move(builder.corpus);
}

}  // namespace limbeck
