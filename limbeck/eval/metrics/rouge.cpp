#include "limbeck/eval/metrics/rouge.h"

#include "limbeck/eval/metrics/porter.h"
#include "limbeck/eval/metrics/text_norm.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace limbeck {
namespace {

using Words = std::vector<int32_t>;  // numbers of words, so that comparing is cheap

/// Numbers texts in the order in which they are first seen.
class WordNumbers {
 public:
  int32_t of(const std::string& word) {
    return known_.emplace(word, static_cast<int32_t>(known_.size())).first->second;
  }

 private:
  std::map<std::string, int32_t> known_;
};

std::vector<Words> pieces_of(std::string_view text, WordNumbers& numbers) {
  std::vector<Words> out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('.', begin), text.size());
    if (end > begin) {
      Words piece;
      for (const std::string& word : text_words(text.substr(begin, end - begin)))
        piece.push_back(numbers.of(word));
      if (piece.empty()) piece.push_back(numbers.of(""));
      out.push_back(std::move(piece));
    }
    begin = end + 1;
  }
  return out;
}

std::set<int32_t> distinct(const std::vector<Words>& pieces) {
  std::set<int32_t> out;
  for (const Words& piece : pieces) out.insert(piece.begin(), piece.end());
  return out;
}

/// Adds the words on the subsequence that a walk back from the ends meets. Of two ways of equal
/// length the walk keeps the reference and shortens the hypothesis.
void add_common(const Words& reference, const Words& hypothesis, std::set<int32_t>& out) {
  const size_t n = reference.size(), m = hypothesis.size();
  std::vector<int32_t> above(m + 1, 0), row(m + 1, 0);
  // Only what the walk needs: whether the table is larger with the shorter reference.
  std::vector<bool> shorten_reference((n + 1) * (m + 1), false);
  for (size_t i = 1; i <= n; ++i) {
    for (size_t j = 1; j <= m; ++j) {
      if (reference[i - 1] == hypothesis[j - 1]) {
        row[j] = above[j - 1] + 1;
      } else {
        row[j] = std::max(above[j], row[j - 1]);
        shorten_reference[i * (m + 1) + j] = above[j] > row[j - 1];
      }
    }
    std::swap(above, row);
  }
  for (size_t i = n, j = m; i > 0 && j > 0;) {
    if (reference[i - 1] == hypothesis[j - 1]) {
      out.insert(reference[i - 1]);
      --i, --j;
    } else if (shorten_reference[i * (m + 1) + j]) {
      --i;
    } else {
      --j;
    }
  }
}

Words stems_of(std::string_view text, WordNumbers& numbers) {
  std::string plain = text_lower(text);
  for (char& c : plain)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) c = ' ';
  Words out;
  for (const std::string& word : text_words(plain))
    out.push_back(numbers.of(word.size() > 3 ? porter_stem(word) : word));
  return out;
}

int64_t common_length(const Words& a, const Words& b) {
  std::vector<int64_t> row(b.size() + 1, 0);
  for (const int32_t word : a) {
    int64_t corner = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t above = row[j];
      row[j] = word == b[j - 1] ? corner + 1 : std::max(above, row[j - 1]);
      corner = above;
    }
  }
  return row.back();
}

}  // namespace

double rouge_l_set(std::string_view prediction, std::string_view gold) {
  WordNumbers numbers;
  const std::vector<Words> hypotheses = pieces_of(prediction, numbers),
                           references = pieces_of(gold, numbers);
  if (hypotheses.empty() || references.empty()) return 0;
  std::set<int32_t> common;
  for (const Words& reference : references)
    for (const Words& hypothesis : hypotheses) add_common(reference, hypothesis, common);
  const auto size = static_cast<double>(common.size());
  const double r = size / static_cast<double>(distinct(references).size()),
               p = size / static_cast<double>(distinct(hypotheses).size());
  return 2 * (p * r / (p + r + 1e-8));
}

double rouge_l(std::string_view prediction, std::string_view gold) {
  WordNumbers numbers;
  const Words a = stems_of(prediction, numbers), b = stems_of(gold, numbers);
  if (a.empty() || b.empty()) return 0;
  const auto common = static_cast<double>(common_length(a, b));
  if (common == 0) return 0;
  const double p = common / static_cast<double>(a.size()),
               r = common / static_cast<double>(b.size());
  return 2 * p * r / (p + r);
}

}  // namespace limbeck
