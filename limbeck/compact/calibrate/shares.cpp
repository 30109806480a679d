#include "limbeck/compact/calibrate/shares.h"

#include "limbeck/base/error.h"

namespace limbeck {

HeadTable calibrate_shares(const Model& model, std::span<const int32_t> before,
                           std::span<const int32_t> text, const RepeatPrompt& repeat,
                           const HeadTable& head_weights, const ShareCalibrationOptions& options,
                           const ProgressFn& progress) {
  options_validate("calibrate", options);
  const auto length = static_cast<int64_t>(text.size());
  if (length < options.tokens * options.texts)
    throw InvalidArgument("[calibrate] {} parts of {} tokens need {} tokens of text; found {}",
                          options.texts, options.tokens, options.texts * options.tokens, length);
  const ModelSpec& spec = model.spec();
  HeadTable table{"shares",
                  "calibration",
                  spec.family,
                  model.fingerprint(),
                  spec.layer_count(),
                  spec.kv_heads,
                  std::vector<double>(spec.layer_count() * spec.kv_heads, 0.0)};
  for (int64_t i = 0; i < options.texts; ++i) {
    const auto part = text.subspan(i * (length / options.texts), options.tokens);
    KvCache cache = model.new_cache();
    PrefillOptions read;
    read.logits = LogitsWanted::none;
    if (!before.empty()) prefill(model, cache, before, read);
    prefill(model, cache, part, read);
    CompactOptions o;
    o.method = options.method;
    o.ratio = options.ratio;
    const auto first = static_cast<int64_t>(before.size());
    o.span = PositionRange{first, first + options.tokens};
    o.repeat = repeat;
    o.head_weights = head_weights;
    o.seed = i;
    const CompactReport report = compact(model, cache, o);
    size_t next = 0;  // the report counts the heads of full layers only
    for (int64_t l = 0; l < spec.layer_count(); ++l) {
      if (cache.layer(l).kind.type != LayerKind::Type::full) continue;
      for (int64_t h = 0; h < spec.kv_heads; ++h)
        table.values[l * spec.kv_heads + h] +=
            static_cast<double>(report.kept[next++]) /
            static_cast<double>(report.entries_after * options.texts);
    }
    report_progress(progress, {"calibration", "texts", i + 1, options.texts});
  }
  return table;
}

}  // namespace limbeck
