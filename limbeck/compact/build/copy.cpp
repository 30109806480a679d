#include "limbeck/compact/build/builder.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace limbeck {
namespace {

struct CopyOptions {
  template <class V>
  void for_each_field(V&&) {}
};

class CopyBuilder : public Builder {};

}  // namespace

LayerSegment Builder::build(const BuildInput& in, std::span<const std::optional<FittedHead>> fitted,
                            BuildStatistics& statistics) const {
  LayerSegment out = copy_slots(in);
  if (std::none_of(fitted.begin(), fitted.end(), [](const auto& f) { return f.has_value(); }))
    return out;
  // Keys are final; biases are fitted first, then values with what will be stored.
  out.bias = out.bias.defined() ? out.bias.clone() : at::zeros({out.slots()}, at::kFloat);
  out.values = out.values.clone();
  for (size_t h = 0; h < fitted.size(); ++h) {
    if (!fitted[h]) continue;
    const FittedHead& f = *fitted[h];
    const int64_t t = out.slots(static_cast<int64_t>(h));
    out.bias.narrow(0, out.offsets[h], t).copy_(f.bias);
    out.values.narrow(0, out.offsets[h], t).copy_(f.values);
    statistics.fallbacks += f.fallbacks;
    statistics.heads.push_back(
        {in.layer, static_cast<int64_t>(h), t, f.output_error, f.mass_error, f.held_out});
  }
  return out;
}

LayerSegment Builder::build(const BuildInput& in, BuildStatistics& statistics) const {
  std::vector<std::optional<FittedHead>> fitted;
  for (int64_t h = 0; h < in.slots->kv_heads(); ++h) fitted.push_back(fit(in, h));
  return build(in, fitted, statistics);
}

LayerSegment copy_slots(const BuildInput& in) {
  std::vector<int64_t> rows, offsets{0};
  for (size_t h = 0; h < in.kept.size(); ++h) {
    for (int32_t slot : in.kept[h]) rows.push_back(in.slots->offsets[h] + slot);
    offsets.push_back(static_cast<int64_t>(rows.size()));
  }
  return segment_gather(*in.slots, at::tensor(rows, at::TensorOptions().dtype(at::kLong)),
                        std::move(offsets));
}

std::unique_ptr<Builder> make_copy_builder(const std::map<std::string, std::string>& options) {
  options_from_texts<CopyOptions>("copy", options);
  return std::make_unique<CopyBuilder>();
}
std::vector<FieldInfo> describe_copy_builder() { return options_describe<CopyOptions>(); }

}  // namespace limbeck
