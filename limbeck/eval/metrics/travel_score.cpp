#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/longproc_scores.h"
#include "limbeck/eval/metrics/tagged_text.h"
#include "limbeck/eval/metrics/text_norm.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace limbeck {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Letters, digits and everything beyond ASCII.
bool in_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

size_t skip_digits(std::string_view text, size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

std::string_view word_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && in_word(text[end])) ++end;
  return text.substr(at, end - at);
}

/// A day of at most six digits; nothing for other texts.
std::optional<int64_t> day_of(std::string_view digits) {
  if (digits.empty() || digits.size() > 6 || !std::all_of(digits.begin(), digits.end(), is_digit))
    return std::nullopt;
  return std::stoll(std::string(digits));
}

/// The last day of the first range "a-b" of a line.
std::optional<int64_t> range_end(std::string_view line) {
  for (size_t at = 0; at < line.size();) {
    if (!is_digit(line[at])) {
      ++at;
      continue;
    }
    const size_t dash = skip_digits(line, at);
    if (dash + 1 < line.size() && line[dash] == '-' && is_digit(line[dash + 1]))
      return day_of(line.substr(dash + 1, skip_digits(line, dash + 1) - dash - 1));
    at = dash;
  }
  return std::nullopt;
}

struct Flight {
  int64_t day;
  std::string from, to;
};

/// The last "from X to Y" of a line with the last "Day D" before it.
std::optional<Flight> flight_of(std::string_view line) {
  constexpr std::string_view kFrom = "from ", kTo = " to ", kDay = "Day ";
  for (size_t at = line.rfind(kFrom); at != kNone;
       at = at > 0 ? line.rfind(kFrom, at - 1) : kNone) {
    const std::string_view from = word_at(line, at + kFrom.size());
    const size_t behind = at + kFrom.size() + from.size();
    if (from.empty() || line.compare(behind, kTo.size(), kTo) != 0) continue;
    const std::string_view to = word_at(line, behind + kTo.size());
    if (to.empty()) continue;
    const std::string_view before = line.substr(0, at);
    for (size_t d = before.rfind(kDay); d != kNone; d = d > 0 ? before.rfind(kDay, d - 1) : kNone) {
      const size_t digits = d + kDay.size();
      if (const auto day = day_of(before.substr(digits, skip_digits(before, digits) - digits)))
        return Flight{*day, std::string(from), std::string(to)};
    }
  }
  return std::nullopt;
}

struct Stay {
  std::string city;
  int64_t days;
};

std::vector<Stay> stays_of(std::string_view plan) {
  std::vector<Flight> flights;
  std::optional<int64_t> end;
  for (const std::string& line : text_lines(plan)) {
    if (const auto last = range_end(line)) end = last;
    if (auto flight = flight_of(line)) flights.push_back(std::move(*flight));
  }
  std::vector<Stay> out;
  if (!end || flights.empty()) return out;
  int64_t since = 1;
  std::string city = flights[0].from;
  for (const Flight& flight : flights) {
    out.push_back({city, flight.day - since + 1});
    city = flight.to;
    since = flight.day;
  }
  out.push_back({city, *end - since + 1});
  return out;
}

std::vector<std::string> starred(std::string_view text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find("**", begin), text.size());
    if (end > begin) out.emplace_back(text.substr(begin, end - begin));
    begin = end + 2;
  }
  return out;
}

}  // namespace

double travel_score(std::string_view prediction, std::string_view cities, std::string_view days) {
  const std::vector<std::string> names = starred(cities), numbers = starred(days);
  if (names.empty() || names.size() != numbers.size() ||
      !std::all_of(numbers.begin(), numbers.end(), [](const auto& n) { return day_of(n); }))
    throw InvalidArgument(
        "[travel_score] gold must have as many numbers of days as cities; found "
        "{} and {}",
        numbers.size(), names.size());
  const auto plan = last_tagged(prediction, "plan");
  if (!plan) return 0;
  const std::vector<Stay> stays = stays_of(*plan);
  if (stays.size() < names.size()) return 0;
  for (size_t i = 0; i < names.size(); ++i)
    if (stays[i].city != names[i] || stays[i].days != *day_of(numbers[i])) return 0;
  return 1;
}

}  // namespace limbeck
