/// LongBench (arXiv 2308.14508): the 16 English sets of the first version, out of its files.
///
/// One JSON object a line: input, context, answers, all_classes (classification only), length. The
/// wording is ours, so that scores compare only with each other. Non-goals: the five Chinese sets,
/// which need a word segmenter.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/task.h"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct LongBenchOptions {
  std::string dataset;
  std::string form;
  template <class V>
  void for_each_field(V&& v) {
    v("dataset", dataset, any_text(),
      "hotpotqa, trec, ...; with _e for a file of the length-balanced edition; empty: the file's "
      "name");
    v("form", form, any_text(),
      "wording with the slots {context} and {input}; the document ends behind {context}; empty: "
      "the set's own");
  }
};

struct LongBenchSet {
  std::string_view name;      ///< "hotpotqa"
  std::string_view category;  ///< "single-doc", "multi-doc", "summary", "few-shot", ...
  std::string_view metric;
  int64_t max_new;
  bool chat;        ///< false: the text is fed without a chat format
  bool first_line;  ///< only the prediction's first line counts
  bool has_input;   ///< the wording asks about {input}
  std::string_view form;
};

/// True for the five sets that this build leaves out, with or without _e.
bool longbench_is_chinese(std::string_view name);

/// The 16 English sets, in the order of the paper's table.
const std::vector<LongBenchSet>& longbench_sets();

/// Questions have facts: length (in words, as the file says), bucket ("0-4k", "4k-8k", "8k+") and
/// classes. In the length-balanced edition `more` has the score under the bucket's name, whose mean
/// is the bucket's score. Throws InvalidArgument for unknown and Chinese sets and wording without
/// its slots, ResourceError and FormatError for the file.
std::unique_ptr<Task> make_longbench_task(const std::filesystem::path& path,
                                          const LongBenchOptions& options = {});

}  // namespace limbeck
