#include "limbeck/eval/metrics/longproc_scores.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/tagged_text.h"
#include "limbeck/eval/metrics/text_norm.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace limbeck {
namespace {

constexpr size_t kNone = std::string_view::npos;
using Row = std::vector<std::string>;

std::string_view table_text(std::string_view prediction) {
  constexpr std::string_view kOpen = "```tsv", kFence = "```";
  const size_t open = prediction.find(kOpen);
  if (open == kNone) {
    // A fence of another kind, or none.
    const size_t begin = std::min(prediction.find_first_not_of(" \t\r\n"), prediction.size());
    if (prediction.compare(begin, kFence.size(), kFence) != 0) return prediction;
    return prediction.substr(std::min(prediction.find('\n', begin), prediction.size()));
  }
  const size_t begin = open + kOpen.size(), close = prediction.rfind(kFence);
  if (close != kNone && close >= begin) return prediction.substr(begin, close - begin);
  return prediction.substr(begin);
}

/// Cells by the rules of quoted tab-separated values; nothing when a quote does not end. Lines
/// without anything are no rows.
std::optional<std::vector<Row>> parse_rows(std::string_view text) {
  std::vector<Row> rows;
  Row row;
  std::string cell;
  bool quoted = false, fresh = true;  // fresh: at the begin of a cell
  const auto end_cell = [&] {
    row.push_back(std::move(cell));
    cell.clear();
    fresh = true;
  };
  const auto end_row = [&] {
    end_cell();
    if (row.size() > 1 || !row[0].empty()) rows.push_back(std::move(row));
    row.clear();
  };
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      if (c != '"')
        cell += c;
      else if (at + 1 < text.size() && text[at + 1] == '"')
        cell += text[++at];
      else
        quoted = false;
    } else if (c == '"' && fresh) {
      quoted = true;
      fresh = false;
    } else if (c == '\t') {
      end_cell();
    } else if (c == '\n') {
      end_row();
    } else if (c != '\r') {
      cell += c;
      fresh = false;
    }
  }
  if (quoted) return std::nullopt;
  end_row();
  return rows;
}

/// Rows behind the header, cells as they compare; nothing without a header.
std::optional<std::vector<Row>> table_of(std::string_view text) {
  auto rows = parse_rows(text);
  if (!rows || rows->empty()) return std::nullopt;
  const size_t width = rows->front().size();
  rows->erase(rows->begin());
  if (!rows->empty() && rows->back().size() != width) rows->pop_back();
  for (Row& row : *rows) {
    if (row.size() != width) row.assign(width, "N/A");
    for (std::string& cell : row) {
      cell = text_norm(cell);
      std::erase(cell, ' ');
    }
  }
  return rows;
}

double share_found(const std::vector<Row>& rows, const std::vector<Row>& among) {
  if (rows.empty()) return 0;
  const std::set<Row> known(among.begin(), among.end());
  return static_cast<double>(std::count_if(rows.begin(), rows.end(),
                                           [&](const Row& row) { return known.contains(row); })) /
         static_cast<double>(rows.size());
}

/// Takes one whole number of at most 15 digits off the front, blanks before it included.
std::optional<int64_t> take_number(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const bool negative = text.starts_with('-');
  size_t end = negative ? 1 : 0;
  const size_t begin = end;
  int64_t value = 0;
  for (; end < text.size() && text[end] >= '0' && text[end] <= '9'; ++end) {
    if (end - begin >= 15) return std::nullopt;
    value = value * 10 + (text[end] - '0');
  }
  if (end == begin) return std::nullopt;
  text.remove_prefix(end);
  return negative ? -value : value;
}

std::optional<char> take_sign(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  if (text.empty()) return std::nullopt;
  const char c = text[0];
  text.remove_prefix(1);
  return c;
}

/// Whether a op b is c. Numbers have at most 15 digits: only products can leave 64 bits.
bool is_right(int64_t a, char op, int64_t b, int64_t c) {
  switch (op) {
    case '+': return a + b == c;
    case '-': return a - b == c;
    case '*': return static_cast<__int128>(a) * b == c;
    case '/': return b != 0 && a % b == 0 && a / b == c;
    default: return false;
  }
}

bool take_from(std::vector<int64_t>& numbers, int64_t number) {
  const auto it = std::find(numbers.begin(), numbers.end(), number);
  if (it == numbers.end()) return false;
  numbers.erase(it);
  return true;
}

}  // namespace

TableScore table_score(std::string_view prediction, std::string_view gold) {
  const auto want = table_of(gold);
  if (!want || want->empty())
    throw InvalidArgument("[table_score] gold must have a header and a row; found {} rows",
                          want ? want->size() : 0);
  const auto have = table_of(table_text(prediction));
  if (!have) return {};
  TableScore out{share_found(*have, *want), share_found(*want, *have), 0};
  if (out.precision + out.recall > 0)
    out.f1 = 2 * out.precision * out.recall / (out.precision + out.recall);
  return out;
}

double countdown_score(std::string_view prediction, std::span<const int64_t> numbers,
                       int64_t target) {
  const auto solution = last_tagged(prediction, "solution");
  if (!solution) return 0;
  std::vector<int64_t> available(numbers.begin(), numbers.end());
  size_t steps = 0;
  int64_t last = 0;
  for (const std::string& line : text_lines(*solution)) {
    const std::string stripped = text_strip(line);
    if (stripped.empty()) continue;
    std::string_view rest = stripped;
    const auto a = take_number(rest);
    const auto op = take_sign(rest);
    const auto b = take_number(rest);
    const auto equal = take_sign(rest);
    const auto c = take_number(rest);
    if (!a || !op || !b || equal != '=' || !c || !rest.empty()) return 0;
    if (!take_from(available, *a) || !take_from(available, *b) || !is_right(*a, *op, *b, *c))
      return 0;
    available.push_back(*c);
    last = *c;
    ++steps;
  }
  return steps > 0 && steps + 1 == numbers.size() && last == target ? 1 : 0;
}

RouteScore route_score(std::string_view prediction, std::string_view gold) {
  const std::string have = text_strip(prediction), want = text_strip(gold);
  const std::vector<std::string> a = text_lines(have), b = text_lines(want);
  size_t same = 0;
  while (same < std::min(a.size(), b.size()) && text_strip(a[same]) == text_strip(b[same])) ++same;
  return {have == want ? 1.0 : 0.0, static_cast<double>(same) / static_cast<double>(b.size())};
}

}  // namespace limbeck
