#include "cli/commands.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {

int run_inspect(const Globals& globals, const std::string& file) {
  // Everything is checked, checksums included: inspect is how one learns whether a file is sound.
  const LoadedCache loaded = cache_load(file);
  if (globals.json) {
    nlohmann::ordered_json j;
    j["header"] = nlohmann::ordered_json::parse(cache_describe(file));
    j["cache"] = cache_json(loaded.cache);
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  const KvCache& cache = loaded.cache;
  const CacheShape& shape = cache.shape();
  fmt::print("file       {}, {}, checksums good\n", file,
             human_bytes(static_cast<int64_t>(std::filesystem::file_size(file))));
  fmt::print("model      {}, {} layers ({} full), {} KV heads of {}, {}, fingerprint {}\n",
             loaded.header.model.family, shape.layer_count(), shape.full_layer_count(),
             shape.kv_heads, shape.head_dim, dtype_name(shape.dtype),
             loaded.header.model.fingerprint);
  fmt::print("sequence   {} tokens, {:.1f} slots per head on average ({:.4f} of a full cache)\n",
             cache.logical_length(), cache.mean_slots(), cache.kept_ratio());
  fmt::print("memory     {} against {} for the full cache\n", human_bytes(cache.bytes().total()),
             human_bytes(cache.full_bytes()));
  fmt::print("\n{:>14}  {:<10} {:<16} {:>8} {:>8} {:>12}\n", "positions", "state", "method",
             "asked", "kept", "slots/head");
  const auto row = [&](const SegmentInfo& s, const std::string& state, double slots) {
    fmt::print("{:>6}..{:<6}  {:<10} {:<16} {:>8.4f} {:>8.4f} {:>12.1f}\n", s.begin, s.end, state,
               s.method.empty() ? "-" : s.method, s.requested_ratio, s.achieved_ratio, slots);
  };
  const double heads = static_cast<double>(shape.full_layer_count() * shape.kv_heads);
  for (size_t i = 0; i < cache.segments().size(); ++i) {
    int64_t slots = 0;
    for (int64_t l = 0; l < shape.layer_count(); ++l)
      if (cache.layer(l).kind.type == LayerKind::Type::full)
        slots += cache.layer(l).segments[i]->slots();
    const SegmentInfo& s = cache.segments()[i];
    row(s, std::string(span_state_name(s.state)),
        heads > 0 ? static_cast<double>(slots) / heads : 0);
  }
  if (cache.tail_begin() < cache.logical_length()) {
    SegmentInfo tail;
    tail.begin = cache.tail_begin();
    tail.end = cache.logical_length();
    row(tail, "tail", static_cast<double>(tail.end - tail.begin));
  }
  return 0;
}

}  // namespace limbeck::cli
