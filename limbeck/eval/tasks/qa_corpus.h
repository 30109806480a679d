/// Paragraphs and questions about them, out of SQuAD and HotpotQA files: material of tasks that
/// hide the paragraphs that answer a question among others.
///
/// Formats: SQuAD 1.1 and 2.0 (arXiv 1606.05250, 1806.03822); HotpotQA (arXiv 1809.09600), and its
/// variant with fields title_a, para_a, title_b, para_b and distractors. Non-goals: places of
/// answers within paragraphs, supporting sentences.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace limbeck {

struct QaCorpus {
  struct Question {
    std::string text;
    std::vector<std::string> answers;  ///< distinct, at least one
    /// The question's own documents, distinct, in the order of the file; all are there unless the
    /// text is too short.
    std::vector<int64_t> gold;
    std::vector<int64_t> needed;  ///< of gold, those that hold the answer: always there
    /// Documents that should be there first of all others: the rest of the article (SQuAD).
    std::vector<int64_t> preferred;
  };
  std::vector<std::string> documents;  ///< distinct, in the order of the file
  std::vector<Question> questions;     ///< in the order of the file, answerable ones only
};

/// Documents are the paragraphs; gold is the question's own, preferred are its article's others.
/// Throws ResourceError, and FormatError naming file and field. With `broken`, articles with an
/// error are left out and the error is added there; paragraphs read before it stay.
QaCorpus read_squad(const std::filesystem::path& path, std::vector<std::string>* broken = nullptr);

/// Documents are "title\ntext"; gold are all that the record gives the question, with those that
/// only distract; needed are title_a and title_b, or those that supporting_facts name (all gold
/// where it names none); preferred is empty. Throws ResourceError, and FormatError naming file,
/// line and field; with `broken` as above, by questions.
QaCorpus read_hotpotqa(const std::filesystem::path& path,
                       std::vector<std::string>* broken = nullptr);

}  // namespace limbeck
