#include "limbeck/eval/metrics/porter.h"

#include <cstdint>
#include <initializer_list>
#include <span>

namespace limbeck {
namespace {

struct Rule {
  std::string_view suffix, replacement;
};

bool is_consonant(std::string_view word, size_t i) {
  // A y is a consonant unless a consonant stands before it: a run of them takes turns.
  bool turned = false;
  for (; i > 0 && word[i] == 'y'; --i) turned = !turned;
  const bool vowel = std::string_view("aeiou").find(word[i]) != std::string_view::npos;
  return vowel == turned;
}

/// Number m of vowel-consonant sequences: [C](VC)^m[V].
int64_t measure(std::string_view stem) {
  int64_t m = 0;
  bool after_vowel = false, consonant = true;
  for (size_t i = 0; i < stem.size(); ++i) {
    // As is_consonant, without going back over a run of y every time.
    consonant = stem[i] == 'y' ? i == 0 || !consonant : is_consonant(stem, i);
    if (consonant && after_vowel) ++m;
    after_vowel = !consonant;
  }
  return m;
}

bool has_vowel(std::string_view stem) {
  bool consonant = true;
  for (size_t i = 0; i < stem.size(); ++i) {
    consonant = stem[i] == 'y' ? i == 0 || !consonant : is_consonant(stem, i);
    if (!consonant) return true;
  }
  return false;
}

/// Condition *d: ends in a double consonant.
bool ends_double(std::string_view word) {
  const size_t n = word.size();
  return n >= 2 && word[n - 1] == word[n - 2] && is_consonant(word, n - 1);
}

/// Condition *o: ends consonant, vowel, consonant, the last none of w, x, y.
bool ends_cvc(std::string_view word) {
  const size_t n = word.size();
  if (n < 3 || !is_consonant(word, n - 1) || is_consonant(word, n - 2) ||
      !is_consonant(word, n - 3))
    return false;
  return word[n - 1] != 'w' && word[n - 1] != 'x' && word[n - 1] != 'y';
}

std::string_view without(std::string_view word, std::string_view suffix) {
  return word.substr(0, word.size() - suffix.size());
}

/// The longest suffix of the rules that the word ends in, or null.
const Rule* longest(std::span<const Rule> rules, std::string_view word) {
  const Rule* best = nullptr;
  for (const Rule& rule : rules)
    if (word.ends_with(rule.suffix) && (!best || rule.suffix.size() > best->suffix.size()))
      best = &rule;
  return best;
}

void replace(std::string& word, const Rule& rule) {
  word.resize(word.size() - rule.suffix.size());
  word += rule.replacement;
}

void plurals(std::string& word) {
  static constexpr Rule kRules[] = {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}};
  if (const Rule* rule = longest(kRules, word)) replace(word, *rule);
}

void past_and_progressive(std::string& word) {
  static constexpr Rule kRules[] = {{"eed", "ee"}, {"ed", ""}, {"ing", ""}};
  const Rule* rule = longest(kRules, word);
  if (!rule) return;
  const std::string_view stem = without(word, rule->suffix);
  if (rule->suffix == "eed") {
    if (measure(stem) > 0) replace(word, *rule);
    return;
  }
  if (!has_vowel(stem)) return;
  replace(word, *rule);
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz"))
    word += 'e';
  else if (ends_double(word) && word.back() != 'l' && word.back() != 's' && word.back() != 'z')
    word.pop_back();
  else if (measure(word) == 1 && ends_cvc(word))
    word += 'e';
}

void double_suffixes(std::string& word) {
  static constexpr Rule kRules[] = {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},
                                    {"anci", "ance"},   {"izer", "ize"},    {"bli", "ble"},
                                    {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},
                                    {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
                                    {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"},
                                    {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
                                    {"iviti", "ive"},   {"biliti", "ble"},  {"logi", "log"}};
  const Rule* rule = longest(kRules, word);
  if (rule && measure(without(word, rule->suffix)) > 0) replace(word, *rule);
}

void further_suffixes(std::string& word) {
  static constexpr Rule kRules[] = {{"icate", "ic"}, {"ative", ""},  {"alize", "al"},
                                    {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""},
                                    {"ness", ""}};
  const Rule* rule = longest(kRules, word);
  if (rule && measure(without(word, rule->suffix)) > 0) replace(word, *rule);
}

void single_suffixes(std::string& word) {
  static constexpr Rule kRules[] = {{"al", ""},    {"ance", ""}, {"ence", ""}, {"er", ""},
                                    {"ic", ""},    {"able", ""}, {"ible", ""}, {"ant", ""},
                                    {"ement", ""}, {"ment", ""}, {"ent", ""},  {"ion", ""},
                                    {"ou", ""},    {"ism", ""},  {"ate", ""},  {"iti", ""},
                                    {"ous", ""},   {"ive", ""},  {"ize", ""}};
  const Rule* rule = longest(kRules, word);
  if (!rule) return;
  const std::string_view stem = without(word, rule->suffix);
  if (rule->suffix == "ion" && !stem.ends_with('s') && !stem.ends_with('t')) return;
  if (measure(stem) > 1) replace(word, *rule);
}

void last_letters(std::string& word) {
  if (word.ends_with('e')) {
    const std::string_view stem = without(word, "e");
    const int64_t m = measure(stem);
    if (m > 1 || (m == 1 && !ends_cvc(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(word) > 1) word.pop_back();
}

}  // namespace

std::string porter_stem(std::string_view word) {
  std::string out(word);
  if (out.size() <= 2) return out;
  plurals(out);
  past_and_progressive(out);
  if (out.ends_with('y') && has_vowel(without(out, "y"))) out.back() = 'i';
  double_suffixes(out);
  further_suffixes(out);
  single_suffixes(out);
  last_letters(out);
  return out;
}

}  // namespace limbeck
