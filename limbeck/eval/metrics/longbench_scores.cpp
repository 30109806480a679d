#include "limbeck/eval/metrics/longbench_scores.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace limbeck {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string first_line(std::string_view prediction) {
  const size_t begin = std::min(prediction.find_first_not_of('\n'), prediction.size());
  return std::string(prediction.substr(begin, prediction.find('\n', begin) - begin));
}

double classification_score(std::string_view prediction, std::string_view gold,
                            std::span<const std::string> classes) {
  std::vector<std::string_view> found;
  for (const std::string& name : classes)
    if (prediction.find(name) != std::string_view::npos) found.push_back(name);
  // The index moves on after a deletion too: published scores depend on it.
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i] != gold && gold.find(found[i]) != std::string_view::npos)
      found.erase(found.begin() + static_cast<int64_t>(i));
  if (std::find(found.begin(), found.end(), gold) == found.end()) return 0;
  return 1.0 / static_cast<double>(found.size());
}

double count_score(std::string_view prediction, std::string_view gold) {
  int64_t runs = 0, right = 0;
  for (size_t at = 0; at < prediction.size();) {
    if (!is_digit(prediction[at])) {
      ++at;
      continue;
    }
    const size_t begin = at;
    while (at < prediction.size() && is_digit(prediction[at])) ++at;
    ++runs;
    if (prediction.substr(begin, at - begin) == gold) ++right;
  }
  return runs == 0 ? 0 : static_cast<double>(right) / static_cast<double>(runs);
}

std::optional<std::string> paragraph_number(std::string_view gold) {
  constexpr std::string_view kWord = "Paragraph ";
  for (size_t at = gold.find(kWord); at != std::string_view::npos; at = gold.find(kWord, at + 1)) {
    const size_t begin = at + kWord.size();
    size_t end = begin;
    while (end < gold.size() && is_digit(gold[end])) ++end;
    if (end > begin) return std::string(gold.substr(begin, end - begin));
  }
  return std::nullopt;
}

double retrieval_score(std::string_view prediction, std::string_view gold) {
  const auto number = paragraph_number(gold);
  if (!number)
    throw InvalidArgument(
        "[retrieval_score] gold must name a paragraph as in \"Paragraph 7\"; "
        "found {} bytes without",
        gold.size());
  return count_score(prediction, *number);
}

}  // namespace limbeck
