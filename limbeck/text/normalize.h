/// Normalisation of text before it is split: NFC, replacing, prepending, in the order of the file.
#pragma once

#include "limbeck/text/text_pattern.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace limbeck {

class FingerprintWriter;

struct NfcStep {};
struct ReplaceStep {
  TextPattern pattern;
  std::string content;
};
struct PrependStep {
  std::string text;  ///< before every text that is not empty
};
using NormalizeStep = std::variant<NfcStep, ReplaceStep, PrependStep>;

class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizeStep> steps) : steps_(std::move(steps)) {}

  /// The normalised text: `text` itself when nothing changes, else a view of `storage`.
  std::string_view apply(std::string_view text, std::string& storage) const;
  void fingerprint(FingerprintWriter& writer) const;

 private:
  std::vector<NormalizeStep> steps_;
};

/// Canonical composition of valid UTF-8. Linear in the text but for the sorting of combining marks.
std::string nfc(std::string_view text);

}  // namespace limbeck
