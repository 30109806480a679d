#include "limbeck/base/error.h"
#include "limbeck/io/quote.h"
#include "limbeck/text/tokenizer_definition.h"

namespace limbeck {

TokenId MergeResolver::require(std::string_view text) const {
  const auto id = vocabulary_.find(text);
  if (!id) {
    throw FormatError(
        "[tokenizer] {}: merges must name tokens of the vocabulary; found {} in merge {}", name_,
        quote(text), rules_.size());
  }
  return *id;
}

void MergeResolver::add(std::string_view left, std::string_view right) {
  std::string joined(left);
  joined += right;
  rules_.push_back({require(left), require(right), require(joined)});
}

void MergeResolver::add_line(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    throw FormatError(
        "[tokenizer] {}: a merge is two texts with one space between; found {} as merge {}", name_,
        quote(line), rules_.size());
  }
  add(line.substr(0, space), line.substr(space + 1));
}

}  // namespace limbeck
