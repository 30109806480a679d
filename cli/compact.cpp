#include "cli/commands.h"

#include "limbeck/base/error.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {

int run_compact(const Globals& globals, const CompactArgs& args) {
  const std::string text = read_file(args.file);
  if (std::filesystem::is_directory(args.output))
    throw ResourceError("[cli] {} is a folder; --output names the file to write", args.output);
  const LanguageModel lm = load(globals);
  const ProgressFn show = progress(globals);
  PreparedText prepared = read_text(lm, text, args.system, args.raw, show);
  const CompactOptions options = compact_options(lm, args.compact, prepared, show);
  CompactReport report = compact(lm.model, prepared.cache, options);
  report.seconds.insert(report.seconds.begin(), {"prefill", prepared.seconds});

  ContainerHeader header = container_header(lm);
  header.notes["raw"] = args.raw ? "true" : "false";
  header.notes["system"] = args.system;
  header.notes["text_begin"] = std::to_string(prepared.span.begin);
  Stopwatch watch;
  cache_save(prepared.cache, header, args.output);
  report.seconds.emplace_back("save", watch.seconds());

  if (globals.json) {
    nlohmann::ordered_json j = report_json(report);
    j["model"] = lm.name;
    j["file"] = {{"path", args.output}, {"bytes", std::filesystem::file_size(args.output)}};
    j["cache"] = cache_json(prepared.cache);
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("read      {} tokens of text, {} tokens of frame around it\n", prepared.span.size(),
             prepared.cache.logical_length() - prepared.span.size());
  fmt::print("method    {}, {:.4f} of the entries kept (asked {:.4f})\n", report.method,
             report.achieved_ratio, report.requested_ratio);
  fmt::print("cache     {} -> {} ({:.1f}x smaller)\n", human_bytes(report.bytes_before),
             human_bytes(report.bytes_after),
             static_cast<double>(report.bytes_before) / static_cast<double>(report.bytes_after));
  fmt::print("seconds   {}\n", seconds_line(report.seconds));
  for (const std::string& note : report.notes) fmt::print("note      {}\n", note);
  fmt::print("wrote     {} ({})\n", args.output,
             human_bytes(static_cast<int64_t>(std::filesystem::file_size(args.output))));
  return 0;
}

}  // namespace limbeck::cli
