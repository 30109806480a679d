#include "limbeck/eval/tasks/lm.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/stream.h"
#include "limbeck/io/checksum.h"

#include <algorithm>
#include <map>
#include <span>

namespace limbeck {
namespace {

constexpr const char* kName = "lm";
/// Bytes of a text from which its bytes per token are estimated.
constexpr size_t kProbe = 1 << 14;
/// An excerpt has so many times the bytes that its tokens should need.
constexpr double kMargin = 1.25;

/// Bytes that a border moves at most to stand between words.
constexpr size_t kLongestWord = 256;

bool is_inside_character(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;
}

/// Bytes of the middle of a text, whole characters of UTF-8.
std::string_view probe_of(std::string_view text) {
  size_t begin = text.size() / 2 - std::min(text.size() / 2, kProbe / 2);
  size_t end = std::min(text.size(), begin + kProbe);
  while (is_inside_character(text, begin)) ++begin;
  while (is_inside_character(text, end)) ++end;
  return text.substr(begin, end - begin);
}

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

struct Piece {
  size_t text = 0, begin = 0, end = 0;  ///< bytes
};

/// Narrowed to whole words, except where the text begins or ends with it; to whole characters where
/// no blank is near, as in scripts that write none.
void narrow_to_words(std::string_view text, Piece& piece) {
  size_t begin = piece.begin, end = piece.end;
  if (begin > 0) {
    const size_t last = std::min(end, begin + kLongestWord);
    while (begin < last && !is_blank(text[begin - 1])) ++begin;
    if (begin == last)
      for (begin = piece.begin; is_inside_character(text, begin);) ++begin;
  }
  if (end < text.size()) {
    const size_t first = std::max(begin, end - std::min(end, kLongestWord));
    while (end > first && !is_blank(text[end])) --end;
    if (end == first)
      for (end = piece.end; end > begin && is_inside_character(text, end);) --end;
  }
  piece.begin = begin;
  piece.end = end;
}

class LmTask : public Task {
 public:
  LmTask(const TaskResources& resources, const LmOptions& options, PromptCounter counter)
      : texts_(resources.texts), options_(options), counter_(std::move(counter)) {
    if (!texts_ || texts_->empty())
      throw InvalidArgument("[{}] need texts to cut from; found none, give --texts", kName);
    if (!counter_) throw InvalidArgument("[{}] need a counter of tokens; found none", kName);
    info_.name = kName;
    info_.group = "lm";
    info_.metric = "top1";
    info_.max_new = options.continuation;
    info_.answer = AnswerKind::continue_text;
    info_.chat = false;
    frame_ = counter_("", "", "");
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size(int64_t length) const override {
    return static_cast<int64_t>(pieces_of(length).size());
  }
  TaskDocument document(int64_t length, int64_t index) override;
  /// Nothing is answered: the run compares predictions.
  TaskScore score(const TaskQuestion& /*question*/, std::string_view /*text*/) const override {
    return {};
  }

 private:
  int64_t tokens(std::string_view text) const { return counter_(text, "", "") - frame_; }
  std::string_view text_of(const Piece& piece) const {
    return std::string_view((*texts_)[piece.text]).substr(piece.begin, piece.end - piece.begin);
  }
  std::vector<Piece> pieces_of(int64_t length) const;
  void place(int64_t length, int64_t index);

  std::shared_ptr<const std::vector<std::string>> texts_;
  LmOptions options_;
  PromptCounter counter_;
  TaskInfo info_;
  int64_t frame_ = 0;
  mutable std::map<int64_t, std::vector<Piece>> pieces_;  ///< by length, in random order
  struct Placed {
    size_t looked_at = 0;  ///< pieces
    std::vector<Piece> good;
  };
  std::map<int64_t, Placed> placed_;
};

/// Every text cut into pieces of equal bytes from a random byte on, all of them shuffled.
std::vector<Piece> LmTask::pieces_of(int64_t length) const {
  const auto known = pieces_.find(length);
  if (known != pieces_.end()) return known->second;
  std::vector<Piece> out;
  Random random = task_stream(options_.seed, kName, length, "places");
  for (size_t i = 0; i < texts_->size(); ++i) {
    const std::string& text = (*texts_)[i];
    const std::string_view probe = probe_of(text);
    const double bytes_per_token = static_cast<double>(probe.size()) /
                                   static_cast<double>(std::max<int64_t>(1, tokens(probe)));
    const auto bytes = static_cast<size_t>(kMargin * bytes_per_token *
                                           static_cast<double>(length + options_.continuation));
    size_t count = text.size() / std::max<size_t>(1, bytes);
    // A text that is too short for the margin may hold the tokens all the same.
    if (count == 0 && static_cast<double>(text.size()) * kMargin >= static_cast<double>(bytes) &&
        tokens(text) >= length + options_.continuation) {
      out.push_back({i, 0, text.size()});
      continue;
    }
    size_t at = random.below(text.size() - count * bytes + 1);
    for (size_t k = 0; k < count; ++k, at += bytes) {
      Piece piece{i, at, at + bytes};
      narrow_to_words(text, piece);
      out.push_back(piece);
    }
  }
  shuffle(random, out);
  pieces_[length] = out;
  return out;
}

/// Pieces with fewer tokens than estimated are passed over.
void LmTask::place(int64_t length, int64_t index) {
  const std::vector<Piece> pieces = pieces_of(length);
  Placed& placed = placed_[length];
  while (static_cast<int64_t>(placed.good.size()) <= index) {
    if (placed.looked_at == pieces.size())
      throw InvalidArgument(
          "[{}] texts must have room for {} excerpts of {} tokens; found room for {}", kName,
          index + 1, length + options_.continuation, placed.good.size());
    const Piece& piece = pieces[placed.looked_at++];
    if (tokens(text_of(piece)) >= length + options_.continuation) placed.good.push_back(piece);
  }
}

TaskDocument LmTask::document(int64_t length, int64_t index) {
  if (length < 1 || index < 0)
    throw InvalidArgument("[{}] length must be at least 1 and index at least 0; found {} and {}",
                          kName, length, index);
  place(length, index);
  const Piece& piece = placed_[length].good[static_cast<size_t>(index)];
  TaskDocument out;
  out.id = fmt::format("{}-{}", length, index);
  out.ordinal = index;
  out.length = length;
  out.text = text_of(piece);
  out.questions.emplace_back().id = "0";
  out.source = fmt::format("{} +{}", hash_hex(xxh3_64(std::as_bytes(std::span(out.text)))),
                           options_.continuation);
  out.facts["tokens"] = length;
  out.facts["text"] = piece.text;
  out.facts["byte"] = piece.begin;
  return out;
}

}  // namespace

std::unique_ptr<Task> make_lm_task(const TaskResources& resources, const LmOptions& options,
                                   PromptCounter counter) {
  options_validate(kName, options);
  return std::make_unique<LmTask>(resources, options, std::move(counter));
}

}  // namespace limbeck
