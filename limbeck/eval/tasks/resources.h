/// What generated tasks are made of; shared between tasks, never changed.
#pragma once

#include "limbeck/eval/tasks/prose.h"
#include "limbeck/eval/tasks/templates.h"
#include "limbeck/eval/tasks/words.h"

#include <memory>
#include <string>
#include <vector>

namespace limbeck {

struct QaCorpus;  // qa_corpus.h

/// A task whose material is missing throws InvalidArgument when it is made.
struct TaskResources {
  std::shared_ptr<const WordList> words;  ///< keys and lists; null = made-up words
  std::shared_ptr<const Prose> prose;     ///< haystacks of running text
  /// Whole texts as they are, for lm.
  std::shared_ptr<const std::vector<std::string>> texts;
  std::shared_ptr<const QaCorpus> squad;   ///< qa_1: paragraphs and questions about them
  std::shared_ptr<const QaCorpus> hotpot;  ///< qa_2: questions over several documents
  TaskTemplates templates;
  /// Where given, corpora (qa_corpus.h) and the examples of helmet_icl leave out records with
  /// errors and say here which.
  std::vector<std::string>* broken = nullptr;
};

}  // namespace limbeck
