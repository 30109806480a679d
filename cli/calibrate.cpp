#include "cli/commands.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/calibrate/heads.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {

namespace {

int report_table(const Globals& globals, const HeadTable& table, const std::string& output,
                 double seconds) {
  write_head_table(table, output);
  if (globals.json) {
    nlohmann::ordered_json j = nlohmann::ordered_json::parse(head_table_json(table));
    fmt::print(
        "{}\n",
        nlohmann::ordered_json{{"file", output}, {"seconds", seconds}, {"table", std::move(j)}}
            .dump(2));
    return 0;
  }
  fmt::print("{:<9} {} layers of {} KV heads, in {:.1f} s\n", table.kind, table.layers,
             table.kv_heads, seconds);
  fmt::print("wrote     {}\n", output);
  return 0;
}

/// In the dtype in which the model will run.
void measure_power(const Globals& globals, const CalibrateArgs& args, const std::string& text,
                   HeadTable& table) {
  const LanguageModel lm = load(globals);
  std::vector<PowerTrial> trials;
  try {
    trials = try_coverage_powers(lm, {{args.file, text}}, table, args.power, progress(globals));
  } catch (const InvalidArgument& e) {  // no prose, too little of it, or a small window
    fmt::print(stderr, "limbeck: the power of the weights was not measured and stays 0: {}\n",
               e.what());
    return;
  }
  table.coverage_power = best_coverage_power(trials);
  if (globals.json) return;
  fmt::print("a fiftieth kept, KL answers / continuation by power of the weights in coverage:\n");
  for (const PowerTrial& t : trials)
    fmt::print("  {:<6g} {:.4f} / {:.4f}{}\n", t.power, t.kl_answers, t.kl_continuation,
               t.power == table.coverage_power ? "  <-" : "");
}

}  // namespace

int run_calibrate_heads(const Globals& globals, const CalibrateArgs& args) {
  const std::string text = read_file(args.file);
  std::string output = args.output;
  HeadTable table;
  Stopwatch watch;
  {
    Globals exact = globals;
    exact.dtype = "f32";  // gradients through bf16 activations lose small heads
    const LanguageModel lm = load(exact);
    if (output.empty()) output = lm.path.string() + ".heads.json";
    const ChatFrame frame = chat_frame(lm);
    watch.restart();
    table = calibrate_heads(lm.model, frame.before, lm.tokenizer.encode(text),
                            repeat_prompt(lm, frame), args.options, progress(globals));
  }
  write_head_table(table, output);  // whatever happens next
  if (args.power.contexts > 0) measure_power(globals, args, text, table);
  return report_table(globals, table, output, watch.seconds());
}

int run_calibrate_shares(const Globals& globals, const ShareArgs& args) {
  const std::string text = read_file(args.file);
  const LanguageModel lm = load(globals);
  const ChatFrame frame = chat_frame(lm);
  Stopwatch watch;
  const HeadTable table =
      calibrate_shares(lm.model, frame.before, lm.tokenizer.encode(text), repeat_prompt(lm, frame),
                       head_weights(lm, args.head_weights), args.options, progress(globals));
  return report_table(globals, table, args.output, watch.seconds());
}

}  // namespace limbeck::cli
