#include "cli/kv_flags.h"

#include "limbeck/base/error.h"
#include "limbeck/heads/threshold.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace limbeck::cli {

int64_t parse_kv_budget(const std::string& text, const CacheShape& shape, double margin) {
  const std::pair<const char*, int64_t> units[] = {
      {"KiB", int64_t{1} << 10}, {"MiB", int64_t{1} << 20}, {"GiB", int64_t{1} << 30}};
  for (const auto& [unit, factor] : units)
    if (text.ends_with(unit)) {
      const double count = detail::parse_number("kv-budget", text.substr(0, text.size() - 3));
      if (!(count > 0 && count < 1e9))
        throw InvalidArgument("[cli] --kv-budget must be positive; found {}", text);
      return slots_of_bytes(shape, static_cast<int64_t>(count * static_cast<double>(factor)),
                            margin);
    }
  const int64_t slots = detail::parse_int("kv-budget", text);
  if (slots < 1)
    throw InvalidArgument(
        "[cli] --kv-budget takes slots a head, or bytes in KiB, MiB or GiB; found {}", text);
  return slots;
}

std::optional<RollingOptions> rolling_options(const LanguageModel& lm, const RollingFlags& f,
                                              Overflow fallback, const ChatFrame& frame,
                                              int64_t first) {
  if (!f.given()) return std::nullopt;
  RollingOptions o;
  o.margin = f.margin;
  o.overflow = f.overflow.empty() ? fallback : overflow_from_name(f.overflow);
  o.recent = f.recent;
  o.first = first;
  if (!f.budget.empty())
    o.budget = parse_kv_budget(f.budget, lm.model.spec().cache_shape(lm.model.dtype()), f.margin);
  o.compact.method = f.method;
  o.compact.head_weights = head_weights(lm, {});
  o.compact.repeat = repeat_prompt(lm, frame);
  return o;
}

HeadTable read_gates(const LanguageModel& lm, const std::string& file) {
  HeadTable gates = read_head_table(file, lm.model.spec().layer_count(), lm.model.spec().kv_heads);
  if (!gates.fingerprint.empty() && gates.fingerprint != lm.model.fingerprint())
    throw Mismatch("[cli] {} was made for another model ({} {}); this one is {}", file,
                   gates.architecture, gates.fingerprint, lm.model.fingerprint());
  return gates;
}

std::optional<HeadPattern> head_pattern(const LanguageModel& lm, const PatternFlags& f) {
  if (f.file.empty()) {
    if (f.sparsity >= 0 || f.sinks >= 0 || f.window >= 0 || !f.mask.empty())
      throw InvalidArgument("[cli] --sparsity, --sinks, --window and --chunk-mask need --heads");
    return std::nullopt;
  }
  const HeadTable gates = read_gates(lm, f.file);
  PatternOptions o;
  if (f.sparsity >= 0) o.sparsity = f.sparsity;
  if (f.sinks >= 0) o.sinks = f.sinks;
  if (f.window >= 0) o.window = f.window;
  if (!f.mask.empty()) o.mask = chunk_mask_from_name(f.mask);
  return pattern_from_gates(gates, o);
}

ChunkRule chunk_rule(const std::string& name) {
  if (name == "everything") return ChunkRule::everything;
  if (name == "chunk") return ChunkRule::chunk;
  throw InvalidArgument("[cli] --prefill-rule is everything or chunk; found \"{}\"", name);
}

int64_t parse_chunk(const std::string& text) {
  if (text.empty() || text == "auto") return 0;
  const int64_t rows = detail::parse_int("prefill-chunk", text);
  if (rows < 1)
    throw InvalidArgument("[cli] --prefill-chunk is auto or at least 1 row; found {}", text);
  return rows;
}

nlohmann::ordered_json footprint_json(const KvCache& cache, int64_t chunk) {
  const FootprintReport r = cache.meter().report();
  nlohmann::ordered_json j;
  j["rows"] = r.rows;
  if (r.first_row > 0) j["first_row"] = r.first_row;
  j["footprint"] = r.footprint;
  j["footprint_total"] = r.footprint_total;
  j["footprint_after"] = r.footprint_after;
  j["peak"] = r.peak;
  j["byte_footprint"] = r.byte_footprint;
  j["kv_bytes"] = r.kv_bytes;
  j["kv_bytes_peak"] = r.kv_bytes_peak;
  j["chunk"] = chunk;
  if (const HeadPattern* p = cache.head_pattern(); p != nullptr)
    j["heads"] = {{"sinks", p->sinks},
                  {"window", p->window},
                  {"chunk_mask", chunk_mask_name(p->mask)},
                  {"sparsity", p->sparsity()}};
  return j;
}

nlohmann::ordered_json events_json(const RollingBudget& budget) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const RollingEvent& e : budget.events()) {
    nlohmann::ordered_json j;
    j["kind"] = e.kind == RollingEvent::Kind::compact ? "compact" : "shift";
    j["at"] = e.at;
    j["from"] = e.from;
    j["to"] = e.to;
    if (e.kind == RollingEvent::Kind::compact)
      j["method"] = e.method;
    else
      j["dropped"] = e.dropped;
    j["seconds"] = e.seconds;
    list.push_back(std::move(j));
  }
  return list;
}

std::string footprint_line(const FootprintReport& r) {
  const auto percent = [](double x) {
    return std::isnan(x) ? std::string("-") : fmt::format("{:.1f} %", 100 * x);
  };
  return fmt::format(
      "KV footprint {} ({} with auxiliary rows, {} since the last compaction), "
      "peak {}, {} at most",
      percent(r.footprint), percent(r.footprint_total), percent(r.footprint_after), percent(r.peak),
      human_bytes(r.kv_bytes_peak));
}

}  // namespace limbeck::cli
