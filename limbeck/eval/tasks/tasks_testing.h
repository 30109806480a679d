/// Made-up material and a cheap counter of tokens for this room's tests.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/eval/tasks/qa_corpus.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>

namespace limbeck::test {

inline int64_t count_words(std::string_view text) {
  int64_t out = 0;
  bool inside = false;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n';
    out += !blank && !inside;
    inside = !blank;
  }
  return out;
}

/// 1.3 tokens a word, and 6 for a chat format.
inline PromptCounter word_counter() {
  return [](std::string_view document, std::string_view question, std::string_view prefix) {
    const int64_t words = count_words(document) + count_words(question) + count_words(prefix);
    return 6 + (13 * words + 9) / 10;
  };
}

/// Sentences of made-up words, 5 to 15 each.
inline std::string made_up_text(int64_t sentences, uint64_t seed) {
  Random random(seed);
  std::string out;
  for (int64_t i = 0; i < sentences; ++i) {
    out += i == 0 ? "It" : " It";
    for (uint64_t w = 4 + random.below(11); w > 0; --w) out += ' ' + syllable_word(random, 2);
    out += '.';
  }
  return out;
}

/// Articles of 6 paragraphs, 3 questions about each of them; the article's others are preferred.
inline std::shared_ptr<QaCorpus> made_up_corpus(int64_t articles, bool preferred) {
  auto out = std::make_shared<QaCorpus>();
  for (int64_t a = 0; a < articles; ++a)
    for (int64_t p = 0; p < 6; ++p) {
      const int64_t at = 6 * a + p;
      out->documents.push_back(fmt::format("Paragraph {}.{} {}", a, p,
                                           made_up_text(4, 1000 + static_cast<uint64_t>(at))));
      for (int64_t q = 0; q < 3; ++q) {
        QaCorpus::Question question;
        question.text = fmt::format("What is {} of {}.{}?", q, a, p);
        question.answers = {fmt::format("answer {}.{}.{}", a, p, q), "other"};
        question.gold = question.needed = {at};
        for (int64_t other = 6 * a; preferred && other < 6 * a + 6; ++other)
          if (other != at) question.preferred.push_back(other);
        out->questions.push_back(std::move(question));
      }
    }
  return out;
}

inline const TaskResources& made_up_resources() {
  static const TaskResources resources = [] {
    TaskResources out;
    out.words = std::make_shared<WordList>(WordList::syllables());
    out.prose = std::make_shared<Prose>(made_up_text(6000, 1));
    out.texts =
        std::make_shared<std::vector<std::string>>(std::vector<std::string>{made_up_text(6000, 1)});
    out.squad = made_up_corpus(100, true);
    out.hotpot = made_up_corpus(100, false);
    return out;
  }();
  return resources;
}

/// All that a sample shows, for comparisons and pinned hashes.
inline std::string bytes_of(const TaskDocument& document) {
  std::string out = document.id + '\n' + document.text + document.facts.dump();
  for (const TaskQuestion& q : document.questions)
    out += fmt::format("\n{}\n{}\n{}\n{}\n{}", q.id, q.text, q.answer_prefix,
                       fmt::join(q.outputs, "|"), q.facts.dump());
  return out;
}

}  // namespace limbeck::test
