#include "limbeck/cache/layout.h"

#include "limbeck/base/error.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace limbeck {

std::string_view layer_type_name(LayerKind::Type type) {
  return type == LayerKind::Type::full ? "full" : "ring";
}

int64_t CacheShape::full_layer_count() const {
  return std::count_if(layers.begin(), layers.end(),
                       [](const LayerKind& k) { return k.type == LayerKind::Type::full; });
}

std::string_view span_state_name(SpanState state) {
  switch (state) {
    case SpanState::verbatim: return "verbatim";
    case SpanState::compacted: return "compacted";
    case SpanState::dropped: return "dropped";
  }
  return "?";
}

SpanState span_state_from_name(std::string_view name) {
  for (auto state : {SpanState::verbatim, SpanState::compacted, SpanState::dropped})
    if (span_state_name(state) == name) return state;
  throw FormatError("[cache] span state must be verbatim, compacted or dropped; found \"{}\"",
                    name);
}

namespace {

bool same_number(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

bool SegmentInfo::operator==(const SegmentInfo& other) const {
  const auto exact = [](const SegmentInfo& s) {
    return std::tie(s.begin, s.end, s.state, s.method, s.options, s.query_aware, s.generation);
  };
  return exact(*this) == exact(other) && same_number(requested_ratio, other.requested_ratio) &&
         same_number(achieved_ratio, other.achieved_ratio) &&
         std::ranges::equal(statistics, other.statistics, [](const auto& a, const auto& b) {
           return a.first == b.first && same_number(a.second, b.second);
         });
}

int64_t tail_capacity(int64_t needed, int64_t block) {
  const int64_t spare = needed / 32;
  return (needed + spare + block - 1) / block * block;
}

}  // namespace limbeck
