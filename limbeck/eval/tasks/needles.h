/// Needles: sentences that bind a key to a value, and questions about them.
///
/// Used by the needle tasks of RULER (arXiv 2404.06654) and by the needle grid.
#pragma once

#include "limbeck/base/random.h"
#include "limbeck/eval/tasks/task.h"
#include "limbeck/eval/tasks/templates.h"
#include "limbeck/eval/tasks/words.h"

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace limbeck {

enum class NeedleKind {
  words,    ///< two words and a hyphen (keys)
  numbers,  ///< 1000000 to 9999999
  uuids,    ///< version 4, lower case
};

struct Needle {
  std::string key, value;
};

/// Draws keys that are distinct within one object: one sample.
class NeedleDraw {
 public:
  NeedleDraw(Random& random, const WordList& words) : random_(random), words_(words) {}
  std::string key(NeedleKind kind);
  std::string value(NeedleKind kind);

 private:
  Random& random_;
  const WordList& words_;
  std::unordered_set<std::string> keys_;
};

/// The sentence of a needle.
std::string needle_sentence(const TaskTemplates& templates, NeedleKind values,
                            const Needle& needle);
/// What stands around the haystack, the values in the singular when one is asked for.
std::string needle_document(const TaskTemplates& templates, NeedleKind values, bool one,
                            std::string_view haystack);
/// The question for the values of some keys; `outputs` are left to the caller.
TaskQuestion needle_question(const TaskTemplates& templates, NeedleKind values, bool one,
                             std::span<const std::string> keys);

/// "a", "a and b", "a, b, and c".
std::string list_text(std::span<const std::string> items);

/// Occurrences of `part`, overlapping ones included; `part` is not empty.
int64_t count_occurrences(std::string_view text, std::string_view part);

/// The haystack with needle i before sentence places[i]; places ascend, the number of sentences
/// stands for the end. Joined by single spaces.
std::string insert_sentences(const std::vector<std::string>& sentences,
                             const std::vector<std::string>& needles,
                             const std::vector<int64_t>& places);

}  // namespace limbeck
