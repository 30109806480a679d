#include "limbeck/eval/metrics/code_similarity.h"

#include "limbeck/eval/metrics/text_norm.h"

#include <cmath>
#include <unordered_map>
#include <vector>

namespace limbeck {
namespace {

constexpr size_t kFrequentFrom = 200;  // length of b from which frequent characters begin no block

struct Block {
  size_t a, b, size;
};
struct Range {
  size_t a_begin, a_end, b_begin, b_end;
};

class Matcher {
 public:
  Matcher(std::u32string_view a, std::u32string_view b) : a_(a), b_(b) {
    for (size_t j = 0; j < b.size(); ++j) places_[b[j]].push_back(j);
    if (b.size() >= kFrequentFrom)
      std::erase_if(places_,
                    [&](const auto& entry) { return entry.second.size() > b.size() / 100 + 1; });
    ending_.assign(b.size() + 1, 0);
    next_ = ending_;
  }

  int64_t total() {
    int64_t sum = 0;
    std::vector<Range> left = {{0, a_.size(), 0, b_.size()}};
    while (!left.empty()) {
      const Range range = left.back();
      left.pop_back();
      const Block block = longest(range);
      if (block.size == 0) continue;
      sum += static_cast<int64_t>(block.size);
      left.push_back({range.a_begin, block.a, range.b_begin, block.b});
      left.push_back({block.a + block.size, range.a_end, block.b + block.size, range.b_end});
    }
    return sum;
  }

 private:
  Block longest(const Range& range) {
    Block best{range.a_begin, range.b_begin, 0};
    // ending_[j + 1]: length of the block that ends at the row before in a and at j in b. Rows
    // touch few places, which are cleared again by hand.
    std::vector<size_t> touched, touched_before;
    for (size_t i = range.a_begin; i < range.a_end; ++i) {
      touched.clear();
      if (const auto it = places_.find(a_[i]); it != places_.end())
        for (const size_t j : it->second) {
          if (j < range.b_begin) continue;
          if (j >= range.b_end) break;
          const size_t size = next_[j + 1] = ending_[j] + 1;
          touched.push_back(j + 1);
          if (size > best.size) best = {i + 1 - size, j + 1 - size, size};
        }
      for (const size_t j : touched_before) ending_[j] = 0;
      std::swap(ending_, next_);
      std::swap(touched, touched_before);
    }
    for (const size_t j : touched_before) ending_[j] = 0;
    extend(range, best);
    return best;
  }

  void extend(const Range& range, Block& block) const {
    while (block.a > range.a_begin && block.b > range.b_begin && a_[block.a - 1] == b_[block.b - 1])
      --block.a, --block.b, ++block.size;
    while (block.a + block.size < range.a_end && block.b + block.size < range.b_end &&
           a_[block.a + block.size] == b_[block.b + block.size])
      ++block.size;
  }

  std::u32string_view a_, b_;
  std::unordered_map<char32_t, std::vector<size_t>> places_;  // in b, of characters that may begin
  std::vector<size_t> ending_, next_;
};

}  // namespace

std::string code_line(std::string_view prediction) {
  prediction.remove_prefix(std::min(prediction.find_first_not_of('\n'), prediction.size()));
  for (std::string& line : text_lines(prediction))
    if (line.find_first_of("`#") == std::string::npos && line.find("//") == std::string::npos)
      return line;
  return "";
}

int64_t matching_characters(std::u32string_view a, std::u32string_view b) {
  return Matcher(a, b).total();
}

double code_sim(std::string_view prediction, std::string_view gold) {
  const std::string line = code_line(prediction);
  if (line.empty() || gold.empty()) return 0;
  if (line == gold) return 1;
  const std::u32string a = text_code_points(line), b = text_code_points(gold);
  const double percent = 200.0 * static_cast<double>(matching_characters(a, b)) /
                         static_cast<double>(a.size() + b.size());
  // A quotient of whole numbers rounds correctly, so that a tie is a tie.
  const double down = std::floor(percent), rest = percent - down;
  const bool up = rest > 0.5 || (rest == 0.5 && std::fmod(down, 2) != 0);
  return (down + (up ? 1 : 0)) / 100;
}

}  // namespace limbeck
