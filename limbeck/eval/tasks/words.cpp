#include "limbeck/eval/tasks/words.h"

#include "limbeck/base/error.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/mapped_file.h"
#include "limbeck/io/quote.h"

#include <algorithm>
#include <set>
#include <unordered_set>

namespace limbeck {
namespace {

constexpr size_t kShortest = 2, kLongest = 32;
constexpr size_t kMadeUp = 24000;

bool is_word(std::string_view text) {
  return text.size() >= kShortest && text.size() <= kLongest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

}  // namespace

WordList::WordList(std::vector<std::string> words) : words_(std::move(words)) {
  Hasher128 hasher;
  for (const std::string& word : words_) {
    hasher.update(word);
    hasher.update("\n");
  }
  hash_ = hash_hex(hasher.digest());
}

WordList WordList::load(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()),
                              file->bytes().size());
  std::vector<std::string> words;
  std::unordered_set<std::string_view> known;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    begin = end + 1;
    if (!is_word(word))
      throw FormatError("[words] {} line {}: a word must be {} to {} letters a-z; found {}",
                        path.string(), words.size() + 1, kShortest, kLongest, quote(word));
    if (!known.insert(word).second)
      throw FormatError("[words] {} line {}: {} stands in an earlier line", path.string(),
                        words.size() + 1, quote(word));
    words.emplace_back(word);
  }
  if (static_cast<int64_t>(words.size()) < kLeast)
    throw FormatError("[words] {}: must have at least {} words; found {}", path.string(), kLeast,
                      words.size());
  return WordList(std::move(words));
}

std::string syllable_word(Random& random, int64_t syllables) {
  static constexpr std::string_view kConsonants = "bcdfghjklmnprstvwz", kVowels = "aeiou",
                                    kEndings = "nrslt";
  std::string out;
  for (int64_t i = 0; i < syllables; ++i) {
    out += kConsonants[random.below(kConsonants.size())];
    out += kVowels[random.below(kVowels.size())];
    const uint64_t ending = random.below(2 * kEndings.size());
    if (ending < kEndings.size()) out += kEndings[ending];
  }
  return out;
}

WordList WordList::syllables() {
  Random random(fnv1a64("made-up words"));
  std::set<std::string> words;
  while (words.size() < kMadeUp)
    words.insert(syllable_word(random, 2 + static_cast<int64_t>(random.below(2))));
  return WordList({words.begin(), words.end()});
}

const std::string& WordList::draw(Random& random) const {
  return words_[random.below(words_.size())];
}

std::string WordList::draw_key(Random& random) const {
  std::string key = draw(random);  // before the second draw, whatever the order of evaluation
  return key + '-' + draw(random);
}

}  // namespace limbeck
