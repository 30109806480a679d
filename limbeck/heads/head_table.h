/// Numbers per KV head: calibrated weights, budget shares, gates. One file layout for all of them.
///
/// JSON, "format": "kv-head-pattern", version 1, kinds gates, binary, shares, weights. The authors'
/// budget schedules of Attention Matching (arXiv 2602.16284), {"L0H0": share, ...}, are read as
/// shares, and the tab-separated gates of DuoAttention (2410.10819) and PruLong (2506.17121) as
/// gates (head_tsv.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct HeadTable {
  std::string kind;                       ///< "gates", "binary", "shares" or "weights"
  std::string method;                     ///< "calibration", "manual", ...
  std::string architecture, fingerprint;  ///< of the model; empty = any
  int64_t layers = 0, kv_heads = 0;
  std::vector<double> values;  ///< [layers * kv_heads], layer by layer
  // What the gates were trained with, which is part of what they mean; absent from other tables.
  int64_t sinks = -1, window = -1;  ///< entries; below 0 = not said
  std::string chunk_mask = {};      ///< "full", "window"; empty = not said
  /// Of weights: where little is kept, the first stage of the default method counts a head's scores
  /// times its weight to this power (methods/presets.h); measured, since it helps some models and
  /// hurts others. 0 = not.
  double coverage_power = 0.0;

  bool empty() const { return values.empty(); }
  double at(int64_t layer, int64_t head) const { return values[layer * kv_heads + head]; }
  /// Numbers of a layer's heads; empty when the table is.
  std::span<const double> layer(int64_t l) const {
    if (empty()) return {};
    return std::span(values).subspan(static_cast<size_t>(l * kv_heads),
                                     static_cast<size_t>(kv_heads));
  }
};

/// Parses either layout. `what` names the text in errors. A schedule in the authors' layout has no
/// shape of its own: `layers` and `kv_heads` give it, heads that it does not name get 1 / (number
/// of heads of full layers), and shares are then scaled to the sum 1. Layers of which `sliding`
/// [layers] is true have no budget: naming one is an error. Throws FormatError naming row and
/// column.
HeadTable parse_head_table(std::string_view text, std::string_view what, int64_t layers,
                           int64_t kv_heads, const std::vector<bool>& sliding = {});
HeadTable read_head_table(const std::filesystem::path& file, int64_t layers, int64_t kv_heads,
                          const std::vector<bool>& sliding = {});

/// JSON text of a table, values with all their digits.
std::string head_table_json(const HeadTable& table);
/// Throws ResourceError; the file appears whole or not at all.
void write_head_table(const HeadTable& table, const std::filesystem::path& file);

}  // namespace limbeck
