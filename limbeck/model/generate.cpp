#include "limbeck/model/generate.h"

#include "limbeck/base/error.h"
#include "limbeck/base/timing.h"

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

}  // namespace

GenerateResult generate(const LanguageModel& lm, KvCache& cache, std::span<const int32_t> prompt,
                        const GenerateOptions& o) {
  options_validate("generate", o.sampling);
  StopFilter filter(o.stop);
  const Model& model = lm.model;
  const int64_t room =
      model.spec().context_length - cache.logical_length() - static_cast<int64_t>(prompt.size());
  if (o.max_tokens < 0 || (!o.make_room && room < std::min<int64_t>(o.max_tokens, 1)))
    throw InvalidArgument(
        "[generate] the model's window is {} tokens; found {} already seen, a prompt of {} and "
        "max_tokens {}",
        model.spec().context_length, cache.logical_length(), prompt.size(), o.max_tokens);
  const int64_t most = o.make_room ? o.max_tokens : std::min(o.max_tokens, room);

  GenerateResult result;
  result.finish_reason = "length";
  Stopwatch watch;
  at::Tensor logits = feed_prompt(model, cache, prompt, o);
  result.prefill_seconds = watch.restart();

  StreamDecoder decoder(lm.tokenizer);
  std::vector<int32_t> eos = model.spec().eos;
  eos.insert(eos.end(), lm.tokenizer.eos().begin(), lm.tokenizer.eos().end());
  const auto emit = [&](const std::string& text) {
    if (text.empty()) return true;
    result.text += text;
    return !o.on_text || o.on_text(text);
  };
  for (int64_t step = 0; step < most; ++step) {
    const std::span<const float> row(logits.const_data_ptr<float>(), model.spec().vocabulary);
    const bool no_eos = o.ignore_eos || step < o.min_tokens;
    // The penalty looks at everything the sequence holds so far.
    std::vector<int32_t> seen;
    if (o.sampling.repetition_penalty != 1.0) {
      seen = cache.tokens();
      if (!result.tokens.empty()) seen.push_back(result.tokens.back());
    }
    const int32_t id =
        sample_token(row, o.sampling, seen, step,
                     no_eos ? std::span<const int32_t>(eos) : std::span<const int32_t>());
    if (lm.is_eos(id)) {
      result.finish_reason = "stop";
      break;
    }
    result.tokens.push_back(id);
    if (!emit(filter.push(decoder.push(id)))) {
      result.finish_reason = "cancelled";
      break;
    }
    if (filter.stopped()) {
      result.finish_reason = "stop";
      break;
    }
    if (step + 1 == most || (o.make_room && !o.make_room(cache, 1))) break;
    logits = model.forward(cache, {&id, 1}).logits;
    ++result.fed;
  }
  if (!filter.stopped()) emit(filter.push(decoder.finish()));
  if (!filter.stopped()) emit(filter.finish());
  result.decode_seconds = watch.seconds();
  return result;
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
