#include "limbeck/eval/metrics/helmet_scores.h"

#include "limbeck/eval/metrics/text_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace limbeck {
namespace {

constexpr size_t kTop = 10;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), small);
  return out;
}

size_t skip_blanks(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n\v\f", at), text.size());
}

/// End of the digits that begin at `at`.
size_t skip_digits(std::string_view text, size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

/// Ids of the run of integers that begins at `at`; `end` is where it ends.
std::vector<std::string> read_run(std::string_view text, size_t at, size_t& end) {
  std::vector<std::string> ids;
  while (true) {
    end = skip_digits(text, at);
    ids.emplace_back(text.substr(at, end - at));
    const size_t sign = skip_blanks(text, end);
    if (sign >= text.size() || text[sign] != '>') return ids;
    at = skip_blanks(text, sign + 1);
    if (at >= text.size() || !is_digit(text[at])) return ids;
  }
}

double discounted(std::span<const double> gains) {
  double sum = 0;
  for (size_t i = 0; i < std::min(gains.size(), kTop); ++i)
    sum += gains[i] / std::log2(static_cast<double>(i) + 2);
  return sum;
}

}  // namespace

std::string helmet_parse(std::string_view output, std::string_view prefix) {
  const std::string low = ascii_lower(output), low_prefix = ascii_lower(prefix);
  const size_t found = low.find(low_prefix);
  const size_t begin = found == std::string::npos ? 0 : found + prefix.size();
  const std::string line = text_strip(output.substr(begin, output.find('\n', begin) - begin));
  if (!ascii_lower(line).starts_with(low_prefix)) return line;
  return text_strip(std::string_view(line).substr(prefix.size()));
}

double helmet_best(PairMetric metric, std::string_view output, std::string_view parsed,
                   std::span<const std::string> golds) {
  return std::max(best_over_golds(metric, output, golds), best_over_golds(metric, parsed, golds));
}

double helmet_choice(std::string_view output, std::string_view parsed, char letter,
                     std::string_view option) {
  const std::string long_form = fmt::format("{}. {}", letter, option);
  const std::string golds[] = {std::string(1, letter), long_form};
  return std::max(helmet_best(em, output, parsed, golds), contain(output, long_form));
}

std::map<std::string, int64_t> parse_ranking(std::string_view output) {
  std::string text = ascii_lower(output);
  std::erase_if(text, [](char c) { return c == '[' || c == ']' || c == ':'; });
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text.compare(at, 2, "id") == 0)
      ++at;
    else
      plain += text[at];
  }
  std::vector<std::string> best;
  size_t best_size = 0;
  for (size_t at = 0; at < plain.size();) {
    if (!is_digit(plain[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    std::vector<std::string> ids = read_run(plain, at, end);
    if (end - at > best_size) best = std::move(ids), best_size = end - at;
    at = end;
  }
  std::map<std::string, int64_t> out;
  for (size_t i = 0; i < best.size(); ++i)
    out.emplace(best[i], static_cast<int64_t>(best.size() - i));
  return out;
}

double ndcg_at_10(const std::map<std::string, int64_t>& ranking,
                  const std::map<std::string, double>& labels) {
  std::vector<std::pair<int64_t, std::string>> order;
  for (const auto& [id, score] : ranking) order.emplace_back(-score, id);
  std::sort(order.begin(), order.end());
  std::vector<double> gains, ideal;
  for (const auto& [score, id] : order) {
    const auto it = labels.find(id);
    gains.push_back(it == labels.end() ? 0 : it->second);
  }
  for (const auto& [id, label] : labels) ideal.push_back(label);
  std::sort(ideal.rbegin(), ideal.rend());
  const double most = discounted(ideal);
  return most > 0 ? discounted(gains) / most : 0;
}

}  // namespace limbeck
