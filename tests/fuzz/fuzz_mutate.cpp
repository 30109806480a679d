#include "tests/fuzz/fuzz_driver.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string_view>

namespace limbeck::fuzz {
namespace {

constexpr size_t kMaxInput = 1 << 16;  // short inputs run more often
constexpr size_t kMaxPiece = 64;

// Where signs flip, types end, and sums and products overflow.
constexpr std::array<uint64_t, 22> kEdges{
    0,          1,          2,          3,          7,          31,         32,         255,
    256,        0x7FFF,     0xFFFF,     0x10000,    0x10001,    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
    1ull << 32, 1ull << 40, 1ull << 62, 1ull << 63, ~0ull >> 1, ~0ull};

constexpr std::array<std::string_view, 26> kTokens{"{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   "\"",
                                                   ":",
                                                   ",",
                                                   "null",
                                                   "true",
                                                   "-1",
                                                   "1e999",
                                                   "0.5",
                                                   "\\",
                                                   "\\u0000",
                                                   "\\ud8",
                                                   " ",
                                                   "\"\":{}",
                                                   "[[[[[[[[",
                                                   "{\"a\":",
                                                   "\xff",
                                                   "\xe2",
                                                   "\xf0\x9f\x99\x82",
                                                   "\xEF\xBB\xBF",
                                                   "../",
                                                   "//",
                                                   "\"dtype\":\"F32\","};

constexpr std::array<std::string_view, 9> kNumbers{"0",
                                                   "1",
                                                   "-1",
                                                   "4294967296",
                                                   "9223372036854775807",
                                                   "9223372036854775808",
                                                   "18446744073709551615",
                                                   "99999999999999999999",
                                                   "1e3"};

size_t pick(Random& random, size_t count) { return static_cast<size_t>(random.below(count)); }

template <class List>
auto choose(Random& random, const List& list) {
  return list[pick(random, std::size(list))];
}

/// A place and a length within the input, which must not be empty.
std::pair<size_t, size_t> pick_piece(Random& random, const std::string& input) {
  const size_t at = pick(random, input.size());
  return {at, 1 + pick(random, std::min(kMaxPiece, input.size() - at))};
}

void flip_bits(std::string& input, Random& random) {
  for (size_t i = 1 + pick(random, 4); i > 0; --i) {
    input[pick(random, input.size())] ^= static_cast<char>(1 << pick(random, 8));
  }
}

/// Overwrites an integer of 1, 2, 4 or 8 bytes with an edge value or with one near its own.
void edit_integer(std::string& input, Random& random) {
  const size_t width = size_t{1} << pick(random, 4);
  if (input.size() < width) return;
  const size_t at = pick(random, input.size() - width + 1);
  uint64_t value = 0;
  std::memcpy(&value, input.data() + at, width);
  switch (pick(random, 4)) {
    case 0: value = choose(random, kEdges); break;
    case 1: value = choose(random, kEdges) - 1 - pick(random, 3); break;
    case 2: value += pick(random, 17) - 8; break;
    default: value = random.below(2) == 0 ? value * 2 : value / 2; break;
  }
  std::memcpy(input.data() + at, &value, width);
}

/// Overwrites an integer with a length of this very input, which bounds checks are most wrong
/// about.
void edit_length(std::string& input, Random& random) {
  const size_t width = random.below(2) == 0 ? 4 : 8;
  if (input.size() < width) return;
  const size_t at = pick(random, input.size() - width + 1);
  const size_t left = input.size() - at - width;
  const uint64_t value = (random.below(2) == 0 ? input.size() : left) + pick(random, 5) - 2;
  std::memcpy(input.data() + at, &value, width);
}

void insert_bytes(std::string& input, Random& random) {
  const size_t at = pick(random, input.size() + 1);
  std::string piece(1 + pick(random, 16), '\0');
  for (char& c : piece) c = static_cast<char>(random());
  input.insert(at, piece);
}

void insert_token(std::string& input, Random& random) {
  input.insert(pick(random, input.size() + 1), choose(random, kTokens));
}

/// Replaces a run of digits: the numbers of a text.
void edit_number(std::string& input, Random& random) {
  const auto is_digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const auto start = input.begin() + static_cast<ptrdiff_t>(pick(random, input.size()));
  const auto first = std::find_if(start, input.end(), is_digit);
  const auto last = std::find_if_not(first, input.end(), is_digit);
  if (first == last) return;
  const auto at = static_cast<size_t>(first - input.begin());
  input.replace(at, static_cast<size_t>(last - first), choose(random, kNumbers));
}

void double_piece(std::string& input, Random& random) {
  const auto [at, length] = pick_piece(random, input);
  const std::string piece = input.substr(at, length);
  input.insert(random.below(2) == 0 ? at : pick(random, input.size() + 1), piece);
}

void remove_piece(std::string& input, Random& random) {
  const auto [at, length] = pick_piece(random, input);
  input.erase(at, length);
}

/// A piece of another input, over this one's bytes or between them.
void splice(std::string& input, const std::string& other, Random& random) {
  if (other.empty()) return;
  const auto [from, length] = pick_piece(random, other);
  const size_t at = pick(random, input.size() + 1);
  input.replace(at, random.below(2) == 0 ? 0 : length, other, from, length);
}

}  // namespace

void mutate(std::string& input, const std::string& other, Random& random) {
  for (size_t i = 1 + pick(random, 8); i > 0; --i) {
    if (input.empty()) input = std::string(1, '\0');
    switch (pick(random, 12)) {
      case 0: flip_bits(input, random); break;
      case 1:
      case 2: edit_integer(input, random); break;
      case 3: edit_length(input, random); break;
      case 4: insert_bytes(input, random); break;
      case 5: insert_token(input, random); break;
      case 6:
      case 7: edit_number(input, random); break;
      case 8: double_piece(input, random); break;
      case 9: remove_piece(input, random); break;
      case 10: splice(input, other, random); break;
      default:
        // Rarer than the others: what follows the cut is lost to the mutations that come after.
        if (random.below(4) == 0) input.resize(pick(random, input.size() + 1));
        break;
    }
  }
  if (input.size() > kMaxInput) input.resize(kMaxInput);
}

}  // namespace limbeck::fuzz
