/// A method as a command line names it: "kvzip", "kvzip:scorer.window=32:builder=copy".
#pragma once

#include "limbeck/compact/compact.h"
#include "limbeck/heads/threshold.h"

#include <span>
#include <string>

namespace limbeck {

struct MethodEntry {
  std::string label;  ///< as given; names the method in tables
  /// Method and replaced parts. Ratio, span, prompts and seed belong to whoever runs it.
  CompactOptions options;
  std::string head_weights, head_shares;  ///< files for options of these names; may be empty
  /// File of gates by which heads stream, and how; empty = none do. Else the text is read anew.
  std::string heads;
  HeadTable gates;  ///< read from it
  PatternOptions pattern;
  /// Nothing is compacted: as many heads stream as the ratio asks for.
  bool streaming_only = false;
  bool self_study = false;  ///< reads conversations about the text as well
  /// Ratios to which the same method compacts first, one after another: all of the original text,
  /// falling. Empty: one shot.
  std::vector<double> after;
};

/// Parts are separated by ':', the first is a preset or a scorer, perhaps with "+fit" behind it
/// (methods/presets.h), each other one `key=value` with the keys scorer.NAME, allocator.NAME and
/// builder.NAME (options of these), coverage and coverage-allocator (scorer and allocator of the
/// first of two stages) with coverage.NAME and coverage-allocator.NAME, scorer, allocator (or
/// alloc), builder, normalize, queries (repeat, excerpts, excerpts=LENGTH, prefill, sampled,
/// sampled=LENGTH, selfstudy, joined by '+'), sampled-weight, chunk (tokens of a piece),
/// first-share, head-power, on-policy (0 or 1), polish, head-weights and head-shares (files), heads
/// (a file of gates: heads stream) with sparsity, sinks, window and chunk-mask, and after (ratios
/// joined by '+': 0.5+0.35). The name streaming-heads with heads=FILE compacts nothing and lets as
/// many heads stream as the ratio asks for. Throws InvalidArgument for unknown presets and keys.
/// Options themselves are checked where the method runs.
MethodEntry parse_method_entry(const std::string& entry);

/// The pattern with which a span of `tokens` tokens is read so that a part `ratio` of its entries
/// is kept when nothing else is dropped; an explicit sparsity counts more. Throws InvalidArgument
/// when sinks and window are no smaller than the span.
HeadPattern method_pattern(const MethodEntry& method, int64_t tokens, double ratio);

/// Throws InvalidArgument unless what each method compacts again (`after`) is larger than all
/// ratios.
void check_steps(std::span<const MethodEntry> methods, std::span<const double> ratios);

/// Hex fingerprint of everything that decides what the method does, tables included.
std::string method_fingerprint(const MethodEntry& method);

}  // namespace limbeck
