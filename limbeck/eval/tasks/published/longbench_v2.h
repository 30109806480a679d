/// LongBench v2 (arXiv 2412.15204): 503 multiple-choice questions about long texts, out of its
/// file.
///
/// Records: context, question, choice_A ... choice_D, answer (a letter), difficulty, length,
/// domain. The wording is ours. Non-goals: the reasoning stage with its second call.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/task.h"

#include <filesystem>
#include <memory>
#include <string>

namespace limbeck {

struct LongBenchV2Options {
  std::string form;
  template <class V>
  void for_each_field(V&& v) {
    v("form", form, any_text(),
      "wording with the slots {context}, {question}, {a}, {b}, {c}, {d}; empty: our own");
  }
};

/// Score: 1 for the right letter of "The correct answer is (X)"; `more` has "compensated", where an
/// answer without a letter counts 0.25 as guessing would, and the score under the names of the
/// record's difficulty and length, whose means are the accuracies of these parts. Question facts:
/// difficulty, length, domain, sub_domain. Throws InvalidArgument, ResourceError, FormatError.
std::unique_ptr<Task> make_longbench_v2_task(const std::filesystem::path& path,
                                             const LongBenchV2Options& options = {});

}  // namespace limbeck
