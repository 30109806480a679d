#include "cli/commands.h"

#include "limbeck/base/error.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {
namespace {

/// What reading and compacting came to, whichever came first.
struct Compacted {
  PreparedText text;
  CompactReport report;
  int64_t chunk = 512;  ///< rows of a prefill chunk
  std::optional<BoundedPrefillReport> bounded;
};

void compact_text(const LanguageModel& lm, const CompactArgs& args, const ProgressFn& show,
                  Compacted& out) {
  const CompactOptions options = compact_options(lm, args.compact, out.text, show);
  out.report = compact(lm.model, out.text.cache, options);
  out.report.seconds.insert(out.report.seconds.begin(), {"prefill", out.text.seconds});
}

Compacted read_then_compact(const LanguageModel& lm, const std::string& text,
                            const CompactArgs& args, const ProgressFn& show) {
  Compacted out{read_text(lm, text, args.system, args.raw, show, args.compact.quality != 0,
                          head_pattern(lm, args.pattern)),
                {},
                PrefillOptions{}.chunk,
                {}};
  compact_text(lm, args, show, out);
  return out;
}

/// Reads the text behind a compact cache, which stays as it is, and compacts the text alone.
Compacted read_behind(const LanguageModel& lm, const std::string& text, const CompactArgs& args,
                      LoadedCache loaded, const ProgressFn& show) {
  const bool raw = header_note(loaded.header, "raw") == "true";
  Compacted out{{std::move(loaded.cache), {}, {}, 0, {}, {}}, {}, PrefillOptions{}.chunk, {}};
  PreparedText& prepared = out.text;
  if (!raw) prepared.frame = chat_frame(lm, header_note(loaded.header, "system"));
  const std::vector<int32_t> tokens = lm.tokenizer.encode(text, {.parse_special = raw});
  if (tokens.empty()) throw InvalidArgument("[cli] the text is empty; nothing to read");
  prepared.span.begin = prepared.cache.logical_length();
  prepared.span.end = prepared.span.begin + static_cast<int64_t>(tokens.size());
  read_tokens(lm, tokens, args.compact.quality != 0, show, prepared);
  compact_text(lm, args, show, out);
  return out;
}

Compacted read_bounded(const LanguageModel& lm, const std::string& text, const CompactArgs& args,
                       const ProgressFn& show) {
  const BoundedFlags& f = args.bounded;
  std::vector<int32_t> tokens;
  Compacted out{frame_text(lm, text, args.system, args.raw, tokens), {}, 0, {}};
  if (const auto pattern = head_pattern(lm, args.pattern))
    out.text.cache.set_head_pattern(*pattern);
  CompactFlags flags = args.compact;
  if (!f.budget.empty()) {
    if (flags.budget != 0 || flags.ratio != 0)
      throw InvalidArgument("[cli] give one of --kv-budget, --budget and --ratio");
    flags.budget = parse_kv_budget(f.budget, out.text.cache.shape(), 0.0);
  }
  BoundedPrefillOptions o;
  o.compact = compact_options(lm, flags, out.text, {});
  o.rule = chunk_rule(f.rule);
  o.chunk = parse_chunk(f.chunk);
  o.begin = out.text.span.begin;
  if (!f.patch.empty()) o.patch = question_tokens(lm, out.text.frame, f.patch, args.raw);
  o.progress = show;
  out.bounded = prefill_bounded(lm.model, out.text.cache, tokens, o);
  out.report = out.bounded->compaction;
  out.chunk = out.bounded->chunk;
  return out;
}

std::string quality_line(const PreparedText& text, double asked) {
  const QualityChoice& c = *text.choice;
  return fmt::format(
      "asked {:.3g}: the text's loss of {:.2f} nats asks for {:.4f}, its pieces for {:.4f}; "
      "predicted {:.3f}",
      asked, text.loss->nll, c.mean_ratio, c.ratio, c.predicted);
}

/// Before anything is loaded or read.
void check_amount(const CompactArgs& args) {
  const CompactFlags& f = args.compact;
  const int64_t given = (f.ratio != 0 ? 1 : 0) + (f.budget != 0 ? 1 : 0) +
                        (f.quality != 0 ? 1 : 0) + (args.bounded.budget.empty() ? 0 : 1);
  if (given != 1)
    throw InvalidArgument(
        "[cli] how much to keep is one of --quality, --ratio in (0, 1], --budget and --kv-budget; "
        "found {}",
        given == 0 ? "none" : "several");
  if (!args.cache.empty() &&
      (args.bounded.given() || !args.pattern.file.empty() || args.raw || !args.system.empty()))
    throw InvalidArgument(
        "[cli] behind a cache (--cache) a text is read whole, as the cache was: --kv-budget, "
        "--prefill-chunk, --patch, --heads, --raw and --system cannot go with it");
  if (f.quality != 0 && !args.pattern.file.empty())
    throw InvalidArgument(
        "[cli] curves for --quality were measured without streaming heads; give --ratio or "
        "--budget "
        "beside --heads");
  if (f.ratio != 0 && !(f.ratio > 0 && f.ratio <= 1))
    throw InvalidArgument("[cli] --ratio must be in (0, 1]; found {}", f.ratio);
}

}  // namespace

int run_compact(const Globals& globals, const CompactArgs& args) {
  check_amount(args);
  const std::string text = read_file(args.file);
  if (std::filesystem::is_directory(args.output))
    throw ResourceError("[cli] {} is a folder; --output names the file to write", args.output);
  const LanguageModel lm = load(globals);
  const ProgressFn show = progress(globals);
  std::optional<ContainerHeader> before;  // of the cache that the text is read behind
  const auto read = [&] {
    if (args.bounded.given()) return read_bounded(lm, text, args, show);
    if (args.cache.empty()) return read_then_compact(lm, text, args, show);
    LoadedCache loaded = load_cache(lm, args.cache);
    before = loaded.header;
    return read_behind(lm, text, args, std::move(loaded), show);
  };
  Compacted done = read();
  PreparedText& prepared = done.text;
  CompactReport& report = done.report;

  ContainerHeader header = container_header(lm);
  if (before) {
    header.notes = before->notes;  // both texts are one to those who ask or join
  } else {
    header.notes["raw"] = args.raw ? "true" : "false";
    header.notes["system"] = args.system;
    header.notes["text_begin"] = std::to_string(prepared.span.begin);
  }
  Stopwatch watch;
  cache_save(prepared.cache, header, args.output);
  report.seconds.emplace_back("save", watch.seconds());

  if (globals.json) {
    nlohmann::ordered_json j = report_json(report);
    j["model"] = lm.name;
    j["file"] = {{"path", args.output}, {"bytes", std::filesystem::file_size(args.output)}};
    j["cache"] = cache_json(prepared.cache);
    if (prepared.choice)
      j["quality"] = {{"asked", args.compact.quality},
                      {"text_loss", prepared.loss->nll},
                      {"ratio", prepared.choice->ratio},
                      {"ratio_of_the_mean", prepared.choice->mean_ratio},
                      {"predicted", prepared.choice->predicted}};
    j["footprint"] = footprint_json(prepared.cache, done.chunk);
    if (done.bounded)
      j["prefill"] = {{"chunk", done.bounded->chunk},
                      {"rule", args.bounded.rule},
                      {"query_aware", !args.bounded.patch.empty()},
                      {"compactions", done.bounded->compactions},
                      {"nominal_peak", done.bounded->nominal_peak},
                      {"measured_peak", done.bounded->measured_peak},
                      {"bytes_peak", done.bounded->bytes_peak}};
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("read      {} tokens of text, {} tokens {}\n", prepared.span.size(),
             prepared.cache.logical_length() - prepared.span.size(),
             before ? "of the cache before it" : "of frame around it");
  fmt::print("method    {}, {:.4f} of the entries kept (asked {:.4f})\n", report.method,
             report.achieved_ratio, report.requested_ratio);
  if (prepared.choice) fmt::print("quality   {}\n", quality_line(prepared, args.compact.quality));
  fmt::print("cache     {} -> {} ({:.1f}x smaller)\n", human_bytes(report.bytes_before),
             human_bytes(report.bytes_after),
             static_cast<double>(report.bytes_before) / static_cast<double>(report.bytes_after));
  if (done.bounded)
    fmt::print("prefill   {} compactions, chunks of {} rows, at most {:.0f} entries a head{}\n",
               done.bounded->compactions, done.chunk, done.bounded->measured_peak,
               args.bounded.patch.empty() ? "" : " (query-aware)");
  fmt::print("held      {}\n", footprint_line(prepared.cache.meter().report()));
  fmt::print("seconds   {}\n", seconds_line(report.seconds));
  for (const std::string& note : report.notes) fmt::print("note      {}\n", note);
  fmt::print("wrote     {} ({})\n", args.output,
             human_bytes(static_cast<int64_t>(std::filesystem::file_size(args.output))));
  return 0;
}

}  // namespace limbeck::cli
