/// A subset of HELMET (arXiv 2410.02694) out of files in its formats: retrieved passages,
/// classification from many examples, reading, multiple choice, re-ranking.
///
/// The wording is ours. Demonstrations stand behind the document, in the question's part, so that
/// the document depends on no question. Non-goals: its generated tasks, judging by a model,
/// choosing passages (the files have as many as their length asks for).
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/task.h"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace limbeck {

struct HelmetOptions {
  std::string demonstrations;
  std::string form;
  int64_t max_new = 0;
  std::string metric;
  std::string name;
  int64_t seed = 42;
  int64_t shown = 2;
  template <class V>
  void for_each_field(V&& v) {
    v("demonstrations", demonstrations, any_text(),
      "file of records like the task's to show with their answers; empty: none are shown");
    v("form", form, any_text(),
      "wording with the slots {context}, {demonstrations}, {question}; empty: our own");
    v("max_new", max_new, closed(0, 8192), "tokens of an answer; 0: the benchmark's");
    v("metric", metric, one_of({"", "f1_yn", "rouge_l"}),
      "of reading, where the benchmark has both; empty: rouge_l");
    v("name", name, any_text(), "of the task in reports; empty: the file's name");
    v("seed", seed, at_least(0), "of the choice of demonstrations");
    v("shown", shown, closed(0, 16), "demonstrations per question, chosen by a hash of it");
  }
};

/// All of one question a record. With `broken`, demonstrations with an error are left out and the
/// errors go there, once, when the first document is made.
///
/// Records: question, answers, ctxs [{title, text}]. Score: subem of the answer or its parsed form.
std::unique_ptr<Task> make_helmet_rag_task(const std::filesystem::path& path,
                                           const HelmetOptions& options = {},
                                           std::vector<std::string>* broken = nullptr);

/// Records: context, question (or input), answers (or answer). Score: options.metric of the answer
/// or its parsed form; the other one in `more`.
std::unique_ptr<Task> make_helmet_qa_task(const std::filesystem::path& path,
                                          const HelmetOptions& options = {},
                                          std::vector<std::string>* broken = nullptr);

/// Records: context, question (or input), options [4], answer (a letter, an option, or a list of
/// them). Score: the letter, or "X. option".
std::unique_ptr<Task> make_helmet_choice_task(const std::filesystem::path& path,
                                              const HelmetOptions& options = {},
                                              std::vector<std::string>* broken = nullptr);

/// Records: qid, query, ctxs [{id, text, label, and maybe title}]. Score: NDCG@10.
std::unique_ptr<Task> make_helmet_rerank_task(const std::filesystem::path& path,
                                              const HelmetOptions& options = {},
                                              std::vector<std::string>* broken = nullptr);

struct HelmetIclOptions {
  std::string dataset = "trec_coarse";
  std::string form;
  int64_t questions = 10;
  int64_t seed = 42;
  int64_t shots = 0;
  template <class V>
  void for_each_field(V&& v) {
    v("dataset", dataset, one_of({"banking77", "clinc150", "nlu", "trec_coarse", "trec_fine"}),
      "decides the examples per length, and the name");
    v("form", form, any_text(), "wording with the slots {context} and {question}; empty: our own");
    v("questions", questions, closed(1, 1024),
      "test items per document; above 1 the label gets +mq");
    v("seed", seed, at_least(0), "of examples, label numbers and the order of test items");
    v("shots", shots, closed(0, 100'000),
      "examples per document; 0: the benchmark's for the length");
  }
};

/// Two files of records text, label. A document holds examples in rounds that give every class one,
/// in random order, and one mapping of labels to numbers; examples recur once a class has no more.
/// Score: em of the parsed answer. Throws InvalidArgument for lengths without a published number of
/// examples. With `broken`, examples with an error are left out and the errors go there, once, when
/// the first document is made.
std::unique_ptr<Task> make_helmet_icl_task(const std::filesystem::path& train,
                                           const std::filesystem::path& test,
                                           const HelmetIclOptions& options = {},
                                           std::vector<std::string>* broken = nullptr);

/// Units that the benchmark has at a length of 4096 ... 131072 tokens. Kinds: "json_kv" (pairs),
/// "rag", "rerank" (passages), and the data sets of HelmetIclOptions (examples). Throws
/// InvalidArgument for other lengths and kinds.
int64_t helmet_units(std::string_view kind, int64_t length);

}  // namespace limbeck
