#include "limbeck/eval/metrics/qa_scores.h"

#include "limbeck/eval/metrics/text_norm.h"

#include <algorithm>
#include <map>
#include <vector>

namespace limbeck {
namespace {

double words_f1(const std::string& prediction, const std::string& gold) {
  const std::vector<std::string> a = text_words(prediction), b = text_words(gold);
  std::map<std::string_view, int64_t> left;
  for (const std::string& word : b) ++left[word];
  int64_t common = 0;
  for (const std::string& word : a) {
    const auto it = left.find(word);
    if (it == left.end() || it->second == 0) continue;
    --it->second;
    ++common;
  }
  if (common == 0) return 0;
  const double p = static_cast<double>(common) / static_cast<double>(a.size());
  const double r = static_cast<double>(common) / static_cast<double>(b.size());
  return 2 * p * r / (p + r);
}

bool is_verdict(std::string_view norm) {
  return norm == "yes" || norm == "no" || norm == "noanswer";
}

int64_t contained(std::string_view prediction, std::span<const std::string> outputs) {
  const std::string held = text_lower(ruler_clean(prediction));
  return std::count_if(outputs.begin(), outputs.end(), [&](const std::string& output) {
    return held.find(text_lower(output)) != std::string::npos;
  });
}

}  // namespace

double qa_f1(std::string_view prediction, std::string_view gold) {
  return words_f1(text_norm(prediction), text_norm(gold));
}

double f1_yn(std::string_view prediction, std::string_view gold) {
  const std::string a = text_norm(prediction), b = text_norm(gold);
  if (a != b && (is_verdict(a) || is_verdict(b))) return 0;
  return words_f1(a, b);
}

double em(std::string_view prediction, std::string_view gold) {
  return text_norm(prediction) == text_norm(gold) ? 1 : 0;
}

double subem(std::string_view prediction, std::string_view gold) {
  return text_norm(prediction).find(text_norm(gold)) != std::string::npos ? 1 : 0;
}

double contain(std::string_view prediction, std::string_view gold) {
  return text_lower(prediction).find(text_lower(gold)) != std::string::npos ? 1 : 0;
}

double best_over_golds(PairMetric metric, std::string_view prediction,
                       std::span<const std::string> golds) {
  double best = 0;
  for (const std::string& gold : golds) best = std::max(best, metric(prediction, gold));
  return best;
}

std::string ruler_clean(std::string_view prediction) {
  std::string text = text_strip(prediction);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = '\n';
  return text_strip(text);
}

double ruler_all(std::string_view prediction, std::span<const std::string> outputs) {
  if (outputs.empty()) return 0;
  return static_cast<double>(contained(prediction, outputs)) / static_cast<double>(outputs.size());
}

double ruler_part(std::string_view prediction, std::span<const std::string> outputs) {
  return contained(prediction, outputs) > 0 ? 1 : 0;
}

}  // namespace limbeck
