/// QMSum (arXiv 2104.05938): requests about meetings, answered in a few sentences.
///
/// Records, one a line: meeting_transcripts [{speaker, content}], general_query_list and
/// specific_query_list [{query, answer}]. All requests of a meeting are questions of one document.
/// The wording is ours. Non-goals: topics, spans of the transcript.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/task.h"

#include <filesystem>
#include <memory>
#include <string>

namespace limbeck {

struct QmsumOptions {
  std::string form;
  int64_t max_new = 512;
  template <class V>
  void for_each_field(V&& v) {
    v("form", form, any_text(), "wording with the slots {context} and {query}; empty: our own");
    v("max_new", max_new, closed(1, 8192), "tokens of an answer; golds have about 100");
  }
};

/// Score: rouge_l; `more` has rouge_l_set. Throws InvalidArgument, ResourceError, FormatError.
std::unique_ptr<Task> make_qmsum_task(const std::filesystem::path& path,
                                      const QmsumOptions& options = {});

}  // namespace limbeck
