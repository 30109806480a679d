#include "limbeck/eval/needle_context.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/needle_words.h"

#include <algorithm>
#include <numeric>

namespace limbeck {
namespace {

constexpr const char* kInstruction =
    "Some special magic numbers are hidden within the following text. Make sure to memorize them. "
    "I will quiz you about the numbers afterwards.\n";

constexpr int64_t kTriesPerBook = 200;
/// Tokens read beyond the end, so that where the text is cut does not change those that count.
constexpr int64_t kLookAhead = 32;
/// Tokens that each needle may cost beyond its own, where it meets the text around it.
constexpr int64_t kSeam = 4;

size_t character_begin(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

std::string bytes_of(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::string out;
  for (const int32_t id : ids) out += tokenizer.token_bytes(id);
  return out;
}

}  // namespace

NeedleContexts::NeedleContexts(const Tokenizer& tokenizer, ChatFrame frame,
                               std::vector<SourceText> texts, const NeedleOptions& options)
    : tokenizer_(tokenizer), frame_(std::move(frame)), texts_(std::move(texts)), options_(options) {
  options_validate("needles", options_);
  if (texts_.empty()) throw InvalidArgument("[needles] need a text; found none");
}

const NeedleContext& NeedleContexts::context(int64_t length, int64_t index) & {
  if (length < 1 || index < 0)
    throw InvalidArgument("[needles] length must be at least 1 and index at least 0; found {}, {}",
                          length, index);
  std::deque<Placed>& placed = placed_[length];
  while (static_cast<int64_t>(placed.size()) <= index)
    place(length, static_cast<int64_t>(placed.size()));
  return placed[index].context;
}

std::vector<NeedleContexts::Needle> NeedleContexts::draw_needles(Random& random) const {
  std::vector<size_t> order(kNeedleWords.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<Needle> out;
  const auto used = [&](const std::string& digits) {
    return std::any_of(out.begin(), out.end(), [&](const Needle& n) { return n.digits == digits; });
  };
  for (size_t i = 0; i < static_cast<size_t>(options_.needles); ++i) {
    std::swap(order[i], order[i + random.below(order.size() - i)]);
    Needle n;
    n.word = kNeedleWords[order[i]];
    do n.digits = std::to_string(10000 + random.below(90000));
    while (used(n.digits));
    n.sentence = fmt::format(" One of the special magic numbers for {} is: {}.", n.word, n.digits);
    n.tokens = static_cast<int64_t>(tokenizer_.encode(n.sentence).size());
    out.push_back(std::move(n));
  }
  return out;
}

std::vector<NeedleQuestion> NeedleContexts::questions(const std::vector<Needle>& needles) const {
  std::vector<NeedleQuestion> out;
  for (const Needle& n : needles) {
    NeedleQuestion q{n.word, n.digits, {}, tokenizer_.encode(" " + n.digits)};
    q.prompt = tokenizer_.encode(fmt::format(
        "\n\nWhat is the special magic number for {} mentioned in the provided text?", n.word));
    q.prompt.insert(q.prompt.end(), frame_.after.begin(), frame_.after.end());
    const auto answer = tokenizer_.encode(
        fmt::format("The special magic number for {} mentioned in the provided text is", n.word));
    q.prompt.insert(q.prompt.end(), answer.begin(), answer.end());
    out.push_back(std::move(q));
  }
  return out;
}

/// Tries the excerpt that begins at out.offset; false when it has too few sentences or too little
/// text.
bool NeedleContexts::build(int64_t length, Random& random, const std::string& book,
                           NeedleContext& out) const {
  const std::vector<Needle> needles = draw_needles(random);
  int64_t room = length;
  for (const Needle& n : needles) room -= n.tokens + kSeam;
  if (room < 1)
    throw InvalidArgument("[needles] {} tokens have no room for {} needles of {} tokens each",
                          length, needles.size(), needles[0].tokens + kSeam);
  const auto wanted = static_cast<size_t>(length + options_.continuation + kLookAhead);
  const std::string_view rest = std::string_view(book).substr(out.offset);
  std::string_view chunk;
  std::vector<int32_t> plain;
  for (size_t bytes = 6 * wanted; chunk.size() < rest.size() && plain.size() < wanted; bytes *= 2) {
    chunk = rest.substr(0, character_begin(rest, std::min(bytes, rest.size())));
    plain = tokenizer_.encode(chunk);
  }
  if (static_cast<int64_t>(plain.size()) < room) return false;
  const size_t last = bytes_of(tokenizer_, std::span(plain).subspan(0, room)).size();
  std::vector<size_t> ends = sentence_ends(chunk);
  ends.erase(std::upper_bound(ends.begin(), ends.end(), last), ends.end());
  if (ends.size() < needles.size()) return false;

  // One needle in each of equal parts of the borders: at random, and spread over the text.
  std::string woven;
  size_t from = 0, needle_bytes = 0;
  for (size_t i = 0; i < needles.size(); ++i) {
    const size_t low = i * ends.size() / needles.size(),
                 high = (i + 1) * ends.size() / needles.size(),
                 at = ends[low + random.below(high - low)];
    woven += chunk.substr(from, at - from);
    woven += needles[i].sentence;
    needle_bytes += needles[i].sentence.size();
    from = at;
  }
  woven += chunk.substr(from);
  const auto ids = tokenizer_.encode(woven);
  const int64_t total = length + options_.continuation;
  if (static_cast<int64_t>(ids.size()) < total) return false;
  out.span.assign(ids.begin(), ids.begin() + length);
  out.continuation.assign(ids.begin() + length, ids.begin() + total);
  const std::string held = bytes_of(tokenizer_, out.span);
  for (const Needle& n : needles)
    if (held.find(n.sentence) == std::string::npos) return false;
  out.end = out.offset +
            static_cast<int64_t>(bytes_of(tokenizer_, std::span(ids).subspan(0, total)).size() -
                                 needle_bytes);
  out.questions = questions(needles);
  return true;
}

void NeedleContexts::place(int64_t length, int64_t index) {
  Random random(fnv1a64(fmt::format("{}|needles|{}|{}", options_.seed, length, index)));
  std::deque<Placed>& placed = placed_[length];
  const size_t least = static_cast<size_t>(length + options_.continuation);
  for (size_t turn = 0; turn < texts_.size(); ++turn) {
    const size_t book = (static_cast<size_t>(index) + turn) % texts_.size();
    const std::string& text = texts_[book].text;
    if (text.size() < least) continue;
    const auto taken = [&](int64_t begin, int64_t end) {
      return std::any_of(placed.begin(), placed.end(), [&](const Placed& p) {
        return p.book == book && begin < p.context.end && end > p.context.offset;
      });
    };
    for (int64_t tries = 0; tries < kTriesPerBook; ++tries) {
      size_t begin = character_begin(text, random.below(text.size()));
      // The rest of a sentence, and the sentence itself, fit into 4 KB or the place is no prose.
      const auto ends = sentence_ends(std::string_view(text).substr(begin, 4096));
      if (ends.empty()) continue;
      begin = text.find_first_not_of(" \n\r\t", begin + ends.front());
      NeedleContext out;
      out.source = texts_[book].name;
      out.offset = static_cast<int64_t>(begin);
      if (taken(out.offset, out.offset + 1) || !build(length, random, text, out) ||
          taken(out.offset, out.end))
        continue;
      out.prefix = frame_.before;
      const auto instruction = tokenizer_.encode(kInstruction);
      out.prefix.insert(out.prefix.end(), instruction.begin(), instruction.end());
      placed.push_back({book, std::move(out)});
      return;
    }
  }
  throw InvalidArgument(
      "[needles] {} texts have no room for context {} of {} tokens; give more text, fewer contexts "
      "or a shorter length",
      texts_.size(), index, length);
}

}  // namespace limbeck
