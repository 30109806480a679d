/// Pre-tokenisation: cutting normalised text into the pieces within which merges happen.
///
/// Steps run depth first, one piece at a time, so memory does not grow with the text.
#pragma once

#include "limbeck/text/text_pattern.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace limbeck {

class FingerprintWriter;

/// GPT-2's splitter, which ByteLevel applies when the file says use_regex.
inline constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What becomes of the separators that a Split finds.
enum class SplitBehaviour {
  isolated,              ///< a piece of their own
  removed,               ///< dropped
  merged_with_previous,  ///< end the piece before
  merged_with_next,      ///< begin the piece behind
  contiguous,            ///< neighbours form one piece
};

struct SplitStep {
  TextPattern pattern;
  SplitBehaviour behaviour = SplitBehaviour::isolated;
  bool invert = false;  ///< the gaps between the matches are the separators
};
struct DigitsStep {
  bool individual = false;  ///< each digit alone, else runs of digits
};
struct MetaspaceStep {
  enum class Prepend { always, first, never };
  std::string replacement;  ///< of spaces, one character
  Prepend prepend = Prepend::always;
  bool split = true;  ///< before each replacement
};
/// The bytes themselves are mapped by the model; here only the splitting happens.
struct ByteLevelStep {
  bool add_prefix_space = false;
  std::vector<TextPattern> regex;  ///< none or one
};
using PreTokenizeStep = std::variant<SplitStep, DigitsStep, MetaspaceStep, ByteLevelStep>;

struct Piece {
  std::string_view text;
  bool at_start = false;  ///< of the whole text
};

class PieceSink {
 public:
  virtual ~PieceSink() = default;
  virtual void take(std::string_view piece) = 0;  ///< not empty; valid during the call only
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<PreTokenizeStep> steps) : steps_(std::move(steps)) {}

  void split(const Piece& piece, PieceSink& sink) const { run(0, piece, sink); }
  bool byte_level() const;  ///< whether the last step is ByteLevel
  void fingerprint(FingerprintWriter& writer) const;

 private:
  friend struct RunStep;
  void run(size_t step, const Piece& piece, PieceSink& sink) const;
  std::vector<PreTokenizeStep> steps_;
};

}  // namespace limbeck
