#include "limbeck/eval/tasks/published/helmet.h"

#include "limbeck/base/error.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace limbeck {
namespace {

using test::error_text;
using test::ScratchFolder;

constexpr const char* kRag =
    R"({"id": 1, "question": "Where?", "answers": ["Paris", "the capital"], )"
    R"("ctxs": [{"title": "T", "text": "one"}, {"title": "U", "text": "two"}]}
{"question": "Who?", "answers": ["Ann"], "ctxs": [{"text": "three"}]}
{"question": "Who?", "answers": "Ann", "ctxs": []}
)";

TEST(HelmetTest, RagAsksAboutPassages) {
  ScratchFolder folder;
  const auto task = make_helmet_rag_task(folder.write("nq.jsonl", kRag));
  const TaskDocument document = task->document(0, 0);
  EXPECT_TRUE(document.text.ends_with("T: one\n\nU: two"));
  const TaskQuestion& question = document.questions[0];
  EXPECT_TRUE(question.text.ends_with("\n\nQuestion: Where?"));
  EXPECT_EQ(question.answer_prefix, "Answer:");
  EXPECT_EQ(task->score(question, "It is the capital.\nx").score, 1);
  EXPECT_EQ(task->score(question, "x\nanswer: PARIS").parsed, "PARIS");
  EXPECT_EQ(task->score(question, "Rome").score, 0);
  EXPECT_EQ(task->info().name, "nq");
  EXPECT_EQ(task->info().truncation, Truncation::end);
  EXPECT_EQ(error_text<FormatError>([&] { task->document(0, 2); }),
            "[tasks] nq.jsonl line 3: field \"ctxs\" must have a passage; found none");
}

TEST(HelmetTest, DemonstrationsStandInTheQuestionAndFollowFromIt) {
  ScratchFolder folder;
  std::string shown;
  for (int i = 0; i < 6; ++i)
    shown += fmt::format("{{\"question\": \"d{}?\", \"answers\": [\"x{}\"]}}\n", i, i);
  shown += "{\"question\": \"Where?\", \"answers\": [\"Paris\"]}\n";
  HelmetOptions options;
  options.demonstrations = folder.write("demo.jsonl", shown).string();
  options.shown = 6;
  const auto path = folder.write("nq.jsonl", kRag);
  const auto task = make_helmet_rag_task(path, options);
  const TaskDocument document = task->document(0, 0);
  EXPECT_EQ(document.text, make_helmet_rag_task(path)->document(0, 0).text);
  const std::string& text = document.questions[0].text;
  for (int i = 0; i < 6; ++i)
    EXPECT_NE(text.find(fmt::format("Question: d{}?\nAnswer: x{}\n\n", i, i)), std::string::npos);
  EXPECT_EQ(text.find("Paris"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\n\nQuestion: Where?"));
  EXPECT_EQ(task->document(0, 0).questions[0].text, text);
  const std::string other = task->document(0, 1).questions[0].text;
  EXPECT_NE(text.substr(0, 200), other.substr(0, 200));
}

TEST(HelmetTest, ReadingHasTwoMetrics) {
  ScratchFolder folder;
  const auto path =
      folder.write("r.jsonl", R"({"context": "c", "input": "Is it?", "answer": ["yes"]})");
  const auto task = make_helmet_qa_task(path);
  const TaskQuestion question = task->document(0, 0).questions[0];
  const TaskScore score = task->score(question, "yes it is");
  EXPECT_DOUBLE_EQ(score.score, 0.5);
  EXPECT_EQ(score.more.at("f1_yn"), 0);
  EXPECT_EQ(score.more.size(), 1U);
  HelmetOptions options;
  options.metric = "f1_yn";
  options.max_new = 10;
  const auto strict = make_helmet_qa_task(path, options);
  EXPECT_EQ(strict->score(question, "yes it is").score, 0);
  EXPECT_EQ(strict->info().max_new, 10);
}

TEST(HelmetTest, ChoicesTakeLettersAndOptions) {
  ScratchFolder folder;
  const auto task = make_helmet_choice_task(folder.write(
      "c.jsonl",
      "{\"context\": \"c\", \"input\": \"q\", \"options\": [\"p\", \"q\", \"r\", \"s\"], "
      "\"answer\": [\"r\", \"C\"]}\n{\"context\": \"c\", \"input\": \"q\", \"options\": [\"p\", "
      "\"q\", \"r\", \"s\"], \"answer\": \"E\"}\n"));
  const TaskQuestion question = task->document(0, 0).questions[0];
  EXPECT_TRUE(question.text.ends_with("Question: q\nA. p\nB. q\nC. r\nD. s"));
  EXPECT_EQ(question.outputs, std::vector<std::string>{"C"});
  EXPECT_EQ(task->score(question, "C\nbecause").score, 1);
  EXPECT_EQ(task->score(question, "I choose c. r").score, 1);
  EXPECT_EQ(task->score(question, "B").score, 0);
  EXPECT_THROW(task->document(0, 1), FormatError);
}

TEST(HelmetTest, RankingsAreScoredByLabels) {
  ScratchFolder folder;
  const auto task = make_helmet_rerank_task(folder.write(
      "rr.jsonl",
      "{\"qid\": 5, \"query\": \"w\", \"ctxs\": [{\"id\": \"1\", \"text\": \"a\", \"label\": 0}, "
      "{\"id\": 2, \"text\": \"b\", \"label\": 1}, {\"id\": \"3\", \"text\": \"c\", \"label\": "
      "3}]}\n"
      "{\"query\": \"w\", \"ctxs\": [{\"id\": 1, \"text\": \"a\", \"label\": 0}, {\"id\": \"1\", "
      "\"text\": \"b\", \"label\": 1}]}\n"));
  const TaskDocument document = task->document(0, 0);
  EXPECT_TRUE(document.text.ends_with("[ID: 1] a\n\n[ID: 2] b\n\n[ID: 3] c"));
  const TaskQuestion& question = document.questions[0];
  EXPECT_EQ(question.outputs, std::vector<std::string>{"ID3 > ID2 > ID1"});
  EXPECT_NEAR(task->score(question, " ID3 > ID1 > ID2").score, 0.963940, 1e-6);
  EXPECT_EQ(task->score(question, question.outputs[0]).score, 1);
  EXPECT_FALSE(task->score(question, "no idea").found);
  EXPECT_THROW(task->document(0, 1), FormatError);
}

std::string examples(int classes, int per_class, const char* kind) {
  std::string out;
  for (int i = 0; i < classes * per_class; ++i)
    out += fmt::format("{{\"text\": \"{} {}\", \"label\": {}}}\n", kind, i, i % classes);
  return out;
}

TEST(HelmetTest, IclGivesEveryClassItsTurnInEveryRound) {
  ScratchFolder folder;
  HelmetIclOptions options;
  options.shots = 25;
  options.questions = 4;
  const auto task =
      make_helmet_icl_task(folder.write("train.jsonl", examples(6, 2, "train")),
                           folder.write("test.jsonl", examples(6, 3, "test")), options);
  EXPECT_EQ(task->size(0), 5);
  std::set<std::string> asked;
  for (int64_t i = 0; i < 5; ++i) {
    const TaskDocument document = task->document(0, i);
    std::map<int, int> labels;
    for (size_t at = document.text.find("\nlabel: "); at != std::string::npos;
         at = document.text.find("\nlabel: ", at + 1))
      ++labels[document.text[at + 8] - '0'];
    EXPECT_EQ(labels.size(), 6U);
    for (const auto& [label, count] : labels) EXPECT_TRUE(count == 4 || count == 5) << count;
    for (const TaskQuestion& q : document.questions) asked.insert(q.id);
    EXPECT_EQ(document.questions.size(), i < 4 ? 4U : 2U);
  }
  EXPECT_EQ(asked.size(), 18U);
}

TEST(HelmetTest, IclScoresTheParsedLabelAndRepeatsItself) {
  ScratchFolder folder;
  HelmetIclOptions options;
  const auto train = folder.write("train.jsonl", examples(6, 50, "train")),
             test = folder.write("test.jsonl", examples(6, 3, "test"));
  const auto task = make_helmet_icl_task(train, test, options);
  const TaskDocument document = task->document(4096, 1);
  EXPECT_EQ(document.text, make_helmet_icl_task(train, test, options)->document(4096, 1).text);
  EXPECT_NE(document.text, task->document(4096, 0).text);
  EXPECT_EQ(document.facts.at("shots"), 200);
  const TaskQuestion& question = document.questions[0];
  EXPECT_EQ(task->score(question, " " + question.outputs[0] + "\n\nnext").score, 1);
  EXPECT_EQ(task->score(question, "label: " + question.outputs[0]).score, 1);
  EXPECT_EQ(task->score(question, "x\n" + question.outputs[0]).score, 0);
  EXPECT_THROW(task->document(5000, 0), InvalidArgument);
}

TEST(HelmetTest, IclRefusesUnknownLabels) {
  ScratchFolder folder;
  const auto task = make_helmet_icl_task(folder.write("train.jsonl", examples(2, 2, "train")),
                                         folder.write("test.jsonl", examples(3, 1, "test")));
  EXPECT_EQ(error_text<FormatError>([&] { task->document(4096, 0); }),
            "[tasks] test.jsonl line 3: field \"label\" must be a label of the examples' file");
}

TEST(HelmetTest, IclLosesBrokenExamplesAloneWhereAsked) {
  ScratchFolder folder;
  HelmetIclOptions options;
  options.shots = 12;
  const auto whole = folder.write("train.jsonl", examples(3, 4, "train"));
  const auto some = folder.write("some.jsonl", "{\"text\": \"x\"}\n" + examples(3, 4, "train") +
                                                   "{\"text\": 1, \"label\": 2}\n");
  const auto test = folder.write("test.jsonl", examples(3, 2, "test"));
  EXPECT_EQ(
      error_text<FormatError>([&] { make_helmet_icl_task(some, test, options)->document(0, 0); }),
      "[tasks] some.jsonl line 1: field \"label\" is missing");
  std::vector<std::string> broken;
  const auto task = make_helmet_icl_task(some, test, options, &broken);
  const TaskDocument document = task->document(0, 0),
                     expected = make_helmet_icl_task(whole, test, options)->document(0, 0);
  EXPECT_EQ(document.text, expected.text);
  EXPECT_EQ(document.questions[0].outputs, expected.questions[0].outputs);
  task->document(0, 0);
  ASSERT_EQ(broken.size(), 2U);
  EXPECT_TRUE(broken[1].starts_with("[tasks] some.jsonl line 14: field \"text\"")) << broken[1];
  EXPECT_EQ(error_text<FormatError>([&] {
              make_helmet_icl_task(folder.write("none.jsonl", "{\"text\": \"x\"}\n"), test, options,
                                   &broken)
                  ->document(0, 0);
            }),
            "[tasks] none.jsonl line 1: field \"label\" is missing");
  EXPECT_EQ(broken.size(), 2U);
}

TEST(HelmetTest, LosesBrokenDemonstrationsAloneWhereAsked) {
  ScratchFolder folder;
  const std::string good =
      "{\"question\": \"a?\", \"answers\": [\"x\"]}\n{\"question\": \"b?\", \"answers\": \"y\"}\n";
  const auto path = folder.write("nq.jsonl", kRag);
  const auto shown_of = [&](const std::string& name, const std::string& text,
                            std::vector<std::string>* broken) {
    HelmetOptions options;
    options.demonstrations = folder.write(name, text).string();
    const auto task = make_helmet_rag_task(path, options, broken);
    task->document(0, 1);
    return task->document(0, 0).questions[0].text;
  };
  const std::string some =
      "{\"answers\": [\"x\"]}\n" + good + "{\"question\": \"c?\", \"answers\": [\"z\", \"\"]}\n";
  EXPECT_EQ(error_text<FormatError>([&] { shown_of("some.jsonl", some, nullptr); }),
            "[tasks] some.jsonl line 1: field \"input\" is missing");
  std::vector<std::string> broken;
  EXPECT_EQ(shown_of("some.jsonl", some, &broken), shown_of("good.jsonl", good, nullptr));
  ASSERT_EQ(broken.size(), 2U);
  EXPECT_EQ(broken[1],
            "[tasks] some.jsonl line 4: field \"answers\" must not have an empty answer, which "
            "stands in every other");
  EXPECT_THROW(shown_of("none.jsonl", "{}\n", &broken), FormatError);
}

TEST(HelmetTest, UnitsPerLength) {
  EXPECT_EQ(helmet_units("json_kv", 4096), 50);
  EXPECT_EQ(helmet_units("rerank", 131072), 1000);
  EXPECT_EQ(helmet_units("nlu", 131072), 8296);
  EXPECT_EQ(helmet_units("trec_coarse", 65536), 3300);
  EXPECT_THROW(helmet_units("rag", 4097), InvalidArgument);
  EXPECT_THROW(helmet_units("x", 4096), InvalidArgument);
}

}  // namespace
}  // namespace limbeck
