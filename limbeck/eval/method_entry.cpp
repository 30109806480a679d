#include "limbeck/eval/method_entry.h"

#include "limbeck/base/error.h"
#include "limbeck/base/options.h"
#include "limbeck/io/checksum.h"

#include <algorithm>
#include <bit>
#include <sstream>

namespace limbeck {
namespace {

/// "0.5+0.35" to {0.5, 0.35}.
std::vector<double> parse_ratios(const std::string& label, const std::string& text) {
  std::vector<double> out;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, '+');) {
    const double ratio = detail::parse_number("after", part);
    if (!(ratio > 0.0 && ratio <= 1.0) || (!out.empty() && ratio >= out.back()))
      throw InvalidArgument(
          "[eval] method {}: after takes falling ratios in (0, 1] joined by '+'; found {}", label,
          text);
    out.push_back(ratio);
  }
  return out;
}

/// "repeat", "excerpts", "repeat+excerpts=32", "repeat+selfstudy", "repeat+prefill+sampled=96".
void set_sources(MethodEntry& m, const std::string& text) {
  QuerySources out{.repeat = false};
  CompactOptions& o = m.options;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, '+');) {
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    const auto length = [&](int64_t standard) {
      if (equals == std::string::npos) return standard;
      const int64_t n = detail::parse_int(name, part.substr(equals + 1));
      if (n < 1)
        throw InvalidArgument("[eval] method {}: {} takes a length of at least 1; found {}",
                              m.label, name, n);
      return n;
    };
    if (part == "repeat")
      out.repeat = true;
    else if (part == "selfstudy")
      m.self_study = true;
    else if (part == "prefill")
      o.prefill_queries = true;
    else if (name == "excerpts")
      out.excerpts = length(kExcerptTokens);
    else if (name == "sampled")
      o.sampled_tokens = length(kSampledTokens);
    else
      throw InvalidArgument(
          "[eval] method {}: queries takes repeat, excerpts or excerpts=LENGTH, prefill, sampled "
          "or sampled=LENGTH, and selfstudy, joined by '+'; found \"{}\"",
          m.label, part);
  }
  if (text.empty()) throw InvalidArgument("[eval] method {}: queries names no source", m.label);
  o.sources = out;
}

void set_part(MethodEntry& m, const std::string& part) {
  const size_t equals = part.find('=');
  if (equals == std::string::npos || equals == 0)
    throw InvalidArgument("[eval] method {}: a part behind ':' must be key=value; found \"{}\"",
                          m.label, part);
  const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
  CompactOptions& o = m.options;
  if (key.starts_with("scorer."))
    o.scorer_options[key.substr(7)] = value;
  else if (key.starts_with("allocator."))
    o.allocator_options[key.substr(10)] = value;
  else if (key.starts_with("coverage-allocator."))
    o.coverage_allocator_options[key.substr(19)] = value;
  else if (key.starts_with("coverage."))
    o.coverage_options[key.substr(9)] = value;
  else if (key.starts_with("builder."))
    o.builder_options[key.substr(8)] = value;
  else if (key == "scorer")
    o.scorer = value;
  else if (key == "allocator" || key == "alloc")
    o.allocator = value;
  else if (key == "coverage")
    o.coverage = value;
  else if (key == "coverage-allocator")
    o.coverage_allocator = value;
  else if (key == "builder")
    o.builder = value;
  else if (key == "normalize")
    o.normalize = value;
  else if (key == "queries")
    set_sources(m, value);
  else if (key == "sampled-weight")
    o.sampled_weight = detail::parse_number(key, value);
  else if (key == "chunk")
    o.chunk = detail::parse_int(key, value);
  else if (key == "head-power")
    o.head_power = detail::parse_number(key, value);
  else if (key == "first-share")
    o.first_share = detail::parse_number(key, value);
  else if (key == "on-policy")
    o.on_policy = detail::parse_bool(key, value);
  else if (key == "polish")
    o.polish = detail::parse_int(key, value);
  else if (key == "after")
    m.after = parse_ratios(m.label, value);
  else if (key == "heads")
    m.heads = value;
  else if (key == "sparsity")
    m.pattern.sparsity = detail::parse_number(key, value);
  else if (key == "sinks")
    m.pattern.sinks = detail::parse_int(key, value);
  else if (key == "window")
    m.pattern.window = detail::parse_int(key, value);
  else if (key == "chunk-mask")
    m.pattern.mask = chunk_mask_from_name(value);
  else if (key == "head-weights")
    m.head_weights = value;
  else if (key == "head-shares")
    m.head_shares = value;
  else
    throw InvalidArgument(
        "[eval] method {}: unknown key \"{}\"; known: scorer.NAME, allocator.NAME, builder.NAME, "
        "coverage.NAME, coverage-allocator.NAME, scorer, allocator, builder, coverage, "
        "coverage-allocator, normalize, queries, sampled-weight, chunk, first-share, head-power, "
        "on-policy, polish, after, head-weights, head-shares, heads, sparsity, sinks, window, "
        "chunk-mask",
        m.label, key);
}

void check_heads(const MethodEntry& m) {
  const PatternOptions& p = m.pattern;
  if (m.heads.empty() && (m.streaming_only || p.sparsity || p.sinks || p.window || p.mask))
    throw InvalidArgument(
        "[eval] method {}: streaming-heads, sparsity, sinks, window and chunk-mask need heads=FILE",
        m.label);
  if (!m.heads.empty() && !m.streaming_only && !p.sparsity)
    throw InvalidArgument(
        "[eval] method {}: heads=FILE needs a sparsity, or streaming-heads as the method", m.label);
  if (!m.heads.empty() && !m.after.empty())
    throw InvalidArgument("[eval] method {}: after cannot go with heads", m.label);
}

void add(Hasher128& hash, const std::string& text) {
  hash.update_u64(text.size());
  hash.update(text);
}

void add(Hasher128& hash, const OptionTexts& options) {
  hash.update_u64(options.size());
  for (const auto& [key, value] : options) {
    add(hash, key);
    add(hash, value);
  }
}

void add(Hasher128& hash, const HeadTable& table) {
  hash.update_u64(table.values.size());
  for (const double x : table.values) hash.update_u64(std::bit_cast<uint64_t>(x));
  if (table.coverage_power != 0.0) hash.update_u64(std::bit_cast<uint64_t>(table.coverage_power));
}

}  // namespace

MethodEntry parse_method_entry(const std::string& entry) {
  MethodEntry out;
  out.label = entry;
  std::stringstream parts(entry);
  std::getline(parts, out.options.method, ':');
  constexpr std::string_view kStreamingHeads = "streaming-heads";
  out.streaming_only = out.options.method == kStreamingHeads;
  if (out.streaming_only) out.options.method = "streaming";
  find_preset(out.options.method);
  for (std::string part; std::getline(parts, part, ':');) set_part(out, part);
  check_heads(out);
  return out;
}

HeadPattern method_pattern(const MethodEntry& method, int64_t tokens, double ratio) {
  PatternOptions o = method.pattern;
  const auto resolved = [&](double sparsity) {
    o.sparsity = sparsity;
    return pattern_from_gates(method.gates, o);
  };
  if (o.sparsity || method.gates.kind == "binary") return pattern_from_gates(method.gates, o);
  const HeadPattern all = resolved(1.0);
  const auto held = static_cast<double>(all.sinks + all.window), n = static_cast<double>(tokens);
  if (held >= n)
    throw InvalidArgument(
        "[eval] method {}: {} sinks and a window of {} leave nothing to drop of {} tokens",
        method.label, all.sinks, all.window, tokens);
  return resolved(std::clamp((1.0 - ratio) / (1.0 - held / n), 0.0, 1.0));
}

void check_steps(std::span<const MethodEntry> methods, std::span<const double> ratios) {
  for (const MethodEntry& m : methods)
    for (const double r : ratios)
      if (!m.after.empty() && r >= m.after.back())
        throw InvalidArgument("[eval] {} cannot go on from {} to a ratio of {}", m.label,
                              m.after.back(), r);
}

std::string method_fingerprint(const MethodEntry& method) {
  const CompactOptions& o = method.options;
  Hasher128 hash;
  for (const std::string& text : {o.method, o.scorer, o.allocator, o.builder, o.normalize})
    add(hash, text);
  hash.update_u64(static_cast<uint64_t>(o.polish));
  add(hash, o.first_share ? fmt::format("{}", *o.first_share) : "");
  add(hash, o.scorer_options);
  // Hashed when there are any, so that older records keep their fingerprints.
  if (!o.allocator_options.empty()) {
    add(hash, "allocator options");
    add(hash, o.allocator_options);
  }
  if (o.head_power) add(hash, fmt::format("head power {}", *o.head_power));
  add(hash, o.builder_options);
  hash.update_u64(o.on_policy ? 1 : 0);
  add(hash, o.head_weights);
  add(hash, o.head_shares);
  const QuerySources from = o.sources.value_or(find_preset(o.method).queries);
  if (!(from == QuerySources{}))
    add(hash, fmt::format("queries {} {}", from.repeat, from.excerpts));
  if (o.prefill_queries) add(hash, "prefill queries");
  if (o.sampled_tokens > 0)
    add(hash, fmt::format("sampled queries {} {}", o.sampled_tokens, o.sampled_weight));
  if (o.chunk > 0) add(hash, fmt::format("pieces of {}", o.chunk));
  if (!o.coverage.empty() || !o.coverage_allocator.empty() || !o.coverage_options.empty() ||
      !o.coverage_allocator_options.empty()) {
    add(hash, "coverage " + o.coverage + " x " + o.coverage_allocator);
    add(hash, o.coverage_options);
    add(hash, o.coverage_allocator_options);
  }
  if (!method.heads.empty()) {
    const PatternOptions& p = method.pattern;
    add(hash, fmt::format("heads {} {} {} {} {}", method.streaming_only, p.sparsity.value_or(-1),
                          p.sinks.value_or(-1), p.window.value_or(-1),
                          p.mask ? chunk_mask_name(*p.mask) : ""));
    add(hash, method.gates);
  }
  if (method.self_study) add(hash, "self-study");
  for (const double ratio : method.after) hash.update_u64(std::bit_cast<uint64_t>(ratio));
  return hash_hex(hash.digest());
}

}  // namespace limbeck
