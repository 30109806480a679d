#include "cli/commands.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/calibrate/heads.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {

int run_calibrate_heads(const Globals& globals, const CalibrateArgs& args) {
  const std::string text = read_file(args.file);
  Globals exact = globals;
  exact.dtype = "f32";  // gradients through bf16 activations lose small heads
  const LanguageModel lm = load(exact);
  const std::string output = args.output.empty() ? lm.path.string() + ".heads.json" : args.output;
  const ChatFrame frame = chat_frame(lm);
  Stopwatch watch;
  const HeadTable table =
      calibrate_heads(lm.model, frame.before, lm.tokenizer.encode(text), repeat_prompt(lm, frame),
                      args.options, progress(globals));
  write_head_table(table, output);
  if (globals.json) {
    nlohmann::ordered_json j = nlohmann::ordered_json::parse(head_table_json(table));
    fmt::print("{}\n",
               nlohmann::ordered_json{
                   {"file", output}, {"seconds", watch.seconds()}, {"table", std::move(j)}}
                   .dump(2));
    return 0;
  }
  fmt::print("weights   {} layers of {} KV heads, in {:.1f} s\n", table.layers, table.kv_heads,
             watch.seconds());
  fmt::print("wrote     {}\n", output);
  return 0;
}

}  // namespace limbeck::cli
