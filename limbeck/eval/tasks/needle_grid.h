/// Needle grid: needles at eleven depths of texts of growing length, for a matrix of scores.
///
/// Document i of a length has depth 10 * (i mod 11) percent, so that 11 documents are one column of
/// the matrix and 22 are two of them. Its needles stand together: in front of the text at depth 0,
/// behind it at depth 100, otherwise at the last sentence end within that share of the text's
/// tokens. Non-goals: several depths in one document.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <cstdint>
#include <memory>
#include <string>

namespace limbeck {

inline constexpr int64_t kNeedleGridDepths = 11;

struct NeedleGridOptions {
  std::string answer;
  std::string needle;
  int64_t needles = 3;
  std::string offset = "random";
  std::string prefix;
  std::string question;
  int64_t seed = 42;
  template <class V>
  void for_each_field(V&& v) {
    v("answer", answer, any_text(), "of your own needle: what a good answer contains");
    v("needle", needle, any_text(), "a sentence of your own; empty = random keys and numbers");
    v("needles", needles, closed(1, 16), "random needles in a document, each with a question");
    v("offset", offset, one_of({"random", "zero"}), "where the text of a document begins");
    v("prefix", prefix, any_text(), "of your own needle: begins the answer; may be empty");
    v("question", question, any_text(), "of your own needle: asked behind the document");
    v("seed", seed, at_least(0), "of all draws");
  }
};

/// Throws InvalidArgument for options out of range, a needle without its question and answer, an
/// answer that its needle does not contain, and missing prose.
std::unique_ptr<Task> make_needle_grid(const TaskResources& resources,
                                       const NeedleGridOptions& options, PromptCounter counter);

}  // namespace limbeck
