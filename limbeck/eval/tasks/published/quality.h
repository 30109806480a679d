/// Multiple choice about articles in the style of QuALITY (arXiv 2112.08608).
///
/// Records, one a line: article_id, article, questions [{question, options [4], gold_label from 1,
/// difficult}]; records of one article are merged, so that one compaction serves all its questions.
/// Also {input, instructions [question with options (A) to (D)], outputs ["(X) ..."]} as in L-Eval
/// (arXiv 2307.11088). Non-goals: HTML in articles.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/task.h"

#include <filesystem>
#include <memory>
#include <string>

namespace limbeck {

struct QualityOptions {
  std::string form;
  int64_t max_new = 128;
  std::string scorer = "letter";
  template <class V>
  void for_each_field(V&& v) {
    v("form", form, any_text(),
      "wording with the slots {context}, {question}, {options}, {how}; empty: our own");
    v("max_new", max_new, closed(1, 8192), "tokens of a free answer (scorer generate)");
    v("scorer", scorer, one_of({"generate", "letter", "option"}),
      "letter: likeliest letter; option: likeliest option text per token; generate: the letter "
      "that "
      "a free answer states");
  }
};

/// Score: 1 for the gold option; `more` has "difficult" for the questions marked so, which gives
/// their accuracy as its mean. Predictions of the scorers letter and option are the letter or the
/// option's text. Throws InvalidArgument, ResourceError, FormatError.
std::unique_ptr<Task> make_quality_task(const std::filesystem::path& path,
                                        const QualityOptions& options = {});

}  // namespace limbeck
