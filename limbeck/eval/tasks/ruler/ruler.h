/// The 13 tasks of RULER (arXiv 2404.06654), generated: needles, variable chains, word counts and
/// questions over many documents.
///
/// The rules are the published ones, the wording is ours (templates.h) and so are words and prose:
/// scores compare only with each other, and sizes x only under one tokenizer. Non-goals: the
/// original's bytes.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct RulerOptions {
  bool guard = true;
  std::string offset = "random";
  int64_t questions = 1;
  int64_t seed = 42;
  std::string shuffle = "per-sample";
  template <class V>
  void for_each_field(V&& v) {
    v("guard", guard, yes_or_no(),
      "cwe: common words are no part of one another or of other listed words (the original's may "
      "be)");
    v("offset", offset, one_of({"random", "zero"}),
      "where the prose of a sample begins; zero as in the original, which models may know by "
      "heart");
    v("questions", questions, closed(1, 64),
      "asked per document where there are more to ask (multikey, qa), label +mq");
    v("seed", seed, at_least(0), "of all draws");
    v("shuffle", shuffle, one_of({"per-sample", "fixed"}),
      "fixed: one permutation for all samples of a size, as in the original");
  }
};

/// "niah_single_1" ... "qa_2", in the order of the paper.
const std::vector<std::string>& ruler_task_names();
/// One line about a task; throws InvalidArgument for an unknown name.
std::string_view ruler_summary(std::string_view name);

/// Throws InvalidArgument for unknown names, options out of range and missing material: prose for
/// the tasks with essays, a corpus for qa_1 (squad) and qa_2 (hotpot). Samples of qa are as many as
/// the corpus has questions; the documents of a small corpus recur in many samples.
std::unique_ptr<Task> make_ruler_task(std::string_view name, const TaskResources& resources,
                                      const RulerOptions& options, PromptCounter counter);

struct CorpusOptions {
  int64_t questions = 1;
  int64_t seed = 42;
  std::string shuffle = "per-sample";
  template <class V>
  void for_each_field(V&& v) {
    v("questions", questions, closed(1, 64),
      "asked per document, others about its paragraphs; label +mq above 1");
    v("seed", seed, at_least(0), "of all draws");
    v("shuffle", shuffle, one_of({"per-sample", "fixed"}),
      "of the paragraphs; fixed: one permutation for all samples of a size");
  }
};

/// The rule of qa_1 and qa_2 over a corpus of one's own; `name` is its benchmark too. `more` has
/// qa_f1. Throws InvalidArgument as make_ruler_task() does.
std::unique_ptr<Task> make_corpus_task(std::string_view name,
                                       std::shared_ptr<const QaCorpus> corpus,
                                       const TaskResources& resources, const CorpusOptions& options,
                                       PromptCounter counter);

}  // namespace limbeck
