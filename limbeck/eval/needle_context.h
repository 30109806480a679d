/// Evaluation contexts: an excerpt of a book with hidden needles, questions about them, and the
/// book's own continuation.
///
/// Everything follows from the texts, the tokenizer and the seed, on every machine. Context number
/// i of a length is the same however many contexts are wanted, so that a run can be extended.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/base/random.h"
#include "limbeck/eval/text_source.h"
#include "limbeck/model/generate.h"

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct NeedleOptions {
  int64_t continuation = 160;
  int64_t needles = 4;
  int64_t seed = 0;
  template <class V>
  void for_each_field(V&& v) {
    v("continuation", continuation, closed(2, 4096), "tokens of the book behind the context");
    v("needles", needles, closed(1, 32), "sentences with a number, hidden in the text");
    v("seed", seed, at_least(0), "of excerpts, words and numbers");
  }
};

struct NeedleQuestion {
  std::string word, digits;
  /// What follows the context: question, the frame's rest, and the answer up to the number.
  std::vector<int32_t> prompt;
  std::vector<int32_t> gold;  ///< ": 12345"
};

struct NeedleContext {
  std::string source;                 ///< the book's name
  int64_t offset = 0;                 ///< byte of the book where the excerpt begins
  int64_t end = 0;                    ///< byte where the continuation ends, or a little behind it
  std::vector<int32_t> prefix;        ///< frame and instruction: kept, not part of the span
  std::vector<int32_t> span;          ///< the excerpt with its needles, `length` tokens
  std::vector<int32_t> continuation;  ///< directly behind the span
  std::vector<NeedleQuestion> questions;  ///< in the order of the text
};

/// Makes contexts in order. Books take turns; contexts of one length share no text.
class NeedleContexts {
 public:
  /// `frame` is what the model's chat format puts around a user's words. Throws InvalidArgument for
  /// options out of range or no texts.
  NeedleContexts(const Tokenizer& tokenizer, ChatFrame frame, std::vector<SourceText> texts,
                 const NeedleOptions& options);

  /// Context number `index` (from 0) of `length` tokens. Throws InvalidArgument when the length has
  /// no room for the needles, or the texts have no room for another context. The reference lives as
  /// long as this object.
  const NeedleContext& context(int64_t length, int64_t index) &;

 private:
  struct Needle {
    std::string word, digits, sentence;
    int64_t tokens = 0;
  };
  void place(int64_t length, int64_t index);
  bool build(int64_t length, Random& random, const std::string& book, NeedleContext& out) const;
  std::vector<Needle> draw_needles(Random& random) const;
  std::vector<NeedleQuestion> questions(const std::vector<Needle>& needles) const;

  Tokenizer tokenizer_;
  ChatFrame frame_;
  std::vector<SourceText> texts_;
  NeedleOptions options_;
  struct Placed {
    size_t book;
    NeedleContext context;
  };
  std::map<int64_t, std::deque<Placed>> placed_;  ///< by length; references stay good
};

/// Bytes behind which a sentence of `text` ends (closing quotes included, white space not), in
/// order. Initials and common abbreviations do not end one.
std::vector<size_t> sentence_ends(std::string_view text);

}  // namespace limbeck
