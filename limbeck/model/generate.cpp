#include "limbeck/model/generate.h"

#include "limbeck/base/error.h"
#include "limbeck/base/timing.h"
#include "limbeck/model/kernels/linear.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  if (stops_.size() > 8)
    throw InvalidArgument("[generate] at most 8 stop strings; found {}", stops_.size());
  for (const std::string& s : stops_)
    if (s.empty()) throw InvalidArgument("[generate] a stop string must not be empty; found \"\"");
}

std::string StopFilter::push(std::string_view piece) {
  if (stopped_) return {};
  held_ += piece;
  size_t found = std::string::npos;
  for (const std::string& s : stops_) found = std::min(found, held_.find(s));
  if (found != std::string::npos) {
    stopped_ = true;
    std::string out = held_.substr(0, found);
    held_.clear();
    return out;
  }
  size_t keep = 0;  // the longest suffix that could begin a stop string
  for (const std::string& s : stops_)
    for (size_t n = std::min(s.size() - 1, held_.size()); n > keep; --n)
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(s).substr(0, n))
        keep = n;
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopFilter::finish() { return std::exchange(held_, {}); }

namespace {

/// The prompt chunk by chunk, with room made before each.
at::Tensor feed_prompt(const Model& model, KvCache& cache, std::span<const int32_t> prompt,
                       const GenerateOptions& o) {
  if (!o.make_room)
    return prefill(model, cache, prompt,
                   {o.prefill_chunk, o.progress, nullptr, LogitsWanted::last});
  if (prompt.empty() || o.prefill_chunk < 1)
    throw InvalidArgument("[generate] need a prompt and a chunk of at least 1; found {} and {}",
                          prompt.size(), o.prefill_chunk);
  at::Tensor logits;
  const auto total = static_cast<int64_t>(prompt.size());
  // A mark would not survive what make_room may do to the segments.
  KvCache before = cache.clone();
  try {
    for (int64_t done = 0; done < total;) {
      const int64_t n = std::min(o.prefill_chunk, total - done);
      if (!o.make_room(cache, n))
        throw InvalidArgument("[generate] no room for the prompt; found {} of {} tokens fed", done,
                              total);
      ForwardOptions forward;
      forward.logits = done + n < total ? LogitsWanted::none : LogitsWanted::last;
      logits = model.forward(cache, prompt.subspan(done, n), forward).logits;
      done += n;
      report_progress(o.progress, {"prefill", "tokens", done, total});
    }
  } catch (...) {
    cache = std::move(before);
    throw;
  }
  return logits;
}

/// One sequence that grows token by token.
class Growing {
 public:
  /// Feeds the prompt. Everything must outlive this object.
  Growing(const LanguageModel& lm, KvCache& cache, std::span<const int32_t> prompt,
          const GenerateOptions& options)
      : lm_(lm), cache_(cache), options_(options), filter_(options.stop), decoder_(lm.tokenizer) {
    const Model& model = lm.model;
    const int64_t room =
        model.spec().context_length - cache.logical_length() - static_cast<int64_t>(prompt.size());
    if (options.max_tokens < 0 ||
        (!options.make_room && room < std::min<int64_t>(options.max_tokens, 1)))
      throw InvalidArgument(
          "[generate] the model's window is {} tokens; found {} already seen, a prompt of {} and "
          "max_tokens {}",
          model.spec().context_length, cache.logical_length(), prompt.size(), options.max_tokens);
    most_ = options.make_room ? options.max_tokens : std::min(options.max_tokens, room);
    eos_ = model.spec().eos;
    eos_.insert(eos_.end(), lm.tokenizer.eos().begin(), lm.tokenizer.eos().end());
    result_.finish_reason = "length";
    Stopwatch watch;
    prompt_logits_ = feed_prompt(model, cache, prompt, options);
    result_.prefill_seconds = watch.seconds();
  }

  /// Logits [1, vocabulary] behind the prompt.
  const at::Tensor& prompt_logits() const { return prompt_logits_; }
  KvCache& cache() { return cache_; }
  int32_t last() const { return result_.tokens.back(); }

  /// Takes the next token from its logits [vocabulary]; true when it is to be fed.
  bool take(const float* logits) {
    if (step_ == most_) return false;
    const std::span<const float> row(logits, static_cast<size_t>(lm_.model.spec().vocabulary));
    const bool no_eos = options_.ignore_eos || step_ < options_.min_tokens;
    // The penalty looks at everything the sequence holds so far.
    std::vector<int32_t> seen;
    if (options_.sampling.repetition_penalty != 1.0) {
      seen = cache_.tokens();
      if (!result_.tokens.empty()) seen.push_back(result_.tokens.back());
    }
    const int32_t id =
        sample_token(row, options_.sampling, seen, step_,
                     no_eos ? std::span<const int32_t>(eos_) : std::span<const int32_t>());
    ++step_;
    if (lm_.is_eos(id)) return end("stop");
    result_.tokens.push_back(id);
    const std::string piece = decoder_.push(id);
    const bool free = options_.stop_after_first && result_.tokens.size() == 1;
    if (!emit(free ? piece : filter_.push(piece))) return end("cancelled");
    if (filter_.stopped()) return end("stop");
    return step_ < most_ && (!options_.make_room || options_.make_room(cache_, 1));
  }
  void fed() { ++result_.fed; }
  void took(double seconds) { result_.decode_seconds += seconds; }

  GenerateResult finish() {
    if (!filter_.stopped()) emit(filter_.push(decoder_.finish()));
    if (!filter_.stopped()) emit(filter_.finish());
    return std::move(result_);
  }

 private:
  bool emit(const std::string& text) {
    if (text.empty()) return true;
    result_.text += text;
    return !options_.on_text || options_.on_text(text);
  }
  bool end(const char* reason) {
    result_.finish_reason = reason;
    return false;
  }

  const LanguageModel& lm_;
  KvCache& cache_;
  const GenerateOptions& options_;
  StopFilter filter_;
  StreamDecoder decoder_;
  std::vector<int32_t> eos_;
  int64_t most_ = 0, step_ = 0;
  at::Tensor prompt_logits_;
  GenerateResult result_;
};

}  // namespace

GenerateResult generate(const LanguageModel& lm, KvCache& cache, std::span<const int32_t> prompt,
                        const GenerateOptions& options) {
  options_validate("generate", options.sampling);
  Growing sequence(lm, cache, prompt, options);
  at::Tensor logits = sequence.prompt_logits();
  Stopwatch watch;
  while (sequence.take(logits.const_data_ptr<float>())) {
    const int32_t id = sequence.last();
    logits = lm.model.forward(cache, {&id, 1}).logits;
    sequence.fed();
  }
  sequence.took(watch.seconds());
  return sequence.finish();
}

std::vector<GenerateResult> generate_together(const LanguageModel& lm,
                                              std::span<KvCache* const> caches,
                                              std::span<const int32_t> prompt,
                                              const GenerateOptions& options) {
  options_validate("generate", options.sampling);
  if (options.on_text || options.make_room)
    throw InvalidArgument("[generate] sequences that decode together take no callbacks");
  for (size_t i = 0; i < caches.size(); ++i)
    if (std::find(caches.begin(), caches.begin() + i, caches[i]) != caches.begin() + i)
      throw InvalidArgument("[generate] every sequence needs a cache of its own; found one twice");
  std::vector<Growing> all;
  all.reserve(caches.size());
  for (KvCache* cache : caches) all.emplace_back(lm, *cache, prompt, options);
  std::vector<Growing*> active;
  for (Growing& sequence : all) {
    Stopwatch watch;
    if (sequence.take(sequence.prompt_logits().const_data_ptr<float>()))
      active.push_back(&sequence);
    sequence.took(watch.seconds());
  }
  while (!active.empty()) {
    std::vector<Growing*> next;
    // More rows would take other kernels, with other rounding.
    for (size_t first = 0; first < active.size(); first += kLinearRowsMax) {
      const auto group =
          std::span(active).subspan(first, std::min<size_t>(kLinearRowsMax, active.size() - first));
      Stopwatch watch;
      std::vector<int32_t> ids;
      for (const Growing* sequence : group) ids.push_back(sequence->last());
      std::vector<Feed> feeds;
      for (size_t i = 0; i < group.size(); ++i) feeds.push_back({&group[i]->cache(), {&ids[i], 1}});
      const at::Tensor logits = lm.model.forward(feeds).logits;
      for (size_t i = 0; i < group.size(); ++i) {
        group[i]->fed();
        if (group[i]->take(logits[static_cast<int64_t>(i)].const_data_ptr<float>()))
          next.push_back(group[i]);
      }
      const double seconds = watch.seconds() / static_cast<double>(group.size());
      for (Growing* sequence : group) sequence->took(seconds);
    }
    active = std::move(next);
  }
  std::vector<GenerateResult> out;
  for (Growing& sequence : all) out.push_back(sequence.finish());
  return out;
}

ChatOptions chat_options(const LanguageModel& lm) {
  ChatOptions o;
  const auto text = [&](int32_t id) {
    return id >= 0 && id < lm.tokenizer.vocabulary_size() ? std::string(lm.tokenizer.token_text(id))
                                                          : std::string();
  };
  o.bos_token = text(lm.model.spec().bos);
  if (!lm.model.spec().eos.empty()) o.eos_token = text(lm.model.spec().eos.front());
  return o;
}

ChatFrame chat_frame(const LanguageModel& lm, const std::string& system) {
  ChatFrame frame;
  if (!lm.chat_template) {
    std::string before = system.empty() ? "" : system + "\n\n";
    frame.before = lm.tokenizer.encode(before, {.add_special = true});
    frame.after = lm.tokenizer.encode("\n");
    return frame;
  }
  // Private-use characters: no template prints them, no tokenizer merges them with template text.
  const std::string mark = "\xEE\x80\x80\xEE\x80\x81";
  std::vector<ChatMessage> messages;
  if (!system.empty()) messages.push_back({"system", system});
  messages.push_back({"user", mark});
  const auto parts = lm.chat_template->render(messages, chat_options(lm));
  std::vector<TextPart> before, after;
  bool found = false;
  for (const TextPart& part : parts) {
    const size_t at = found ? std::string::npos : part.text.find(mark);
    if (at == std::string::npos) {
      (found ? after : before).push_back(part);
      continue;
    }
    found = true;
    before.push_back({part.text.substr(0, at), part.parse_special});
    after.push_back({part.text.substr(at + mark.size()), part.parse_special});
  }
  if (!found)
    throw FormatError("[chat] {}: the template does not print the user's message", lm.name);
  frame.before = lm.tokenizer.encode(before);
  frame.after = lm.tokenizer.encode(after);
  return frame;
}

}  // namespace limbeck
