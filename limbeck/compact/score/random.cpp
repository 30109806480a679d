#include "limbeck/base/random.h"

#include "limbeck/compact/score/scorer.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct RandomOptions {
  template <class V>
  void for_each_field(V&&) {}
};

/// Output number (layer * H + head) * 2^32 + position of SplitMix64: a slot's score does not depend
/// on what else is stored.
class RandomScorer : public Scorer {
 public:
  ScorerTraits traits() const override { return {.comparable = Comparable::model}; }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    const LayerSegment& s = *in.slots;
    const int32_t* position = s.positions.const_data_ptr<int32_t>();
    float* score = out.mutable_data_ptr<float>();
    for (int64_t h = 0; h < s.kv_heads(); ++h) {
      const uint64_t base = static_cast<uint64_t>(in.layer * s.kv_heads() + h) << 32;
      for (int64_t i = s.offsets[h]; i < s.offsets[h + 1]; ++i)
        score[i] = static_cast<float>(unit_double(
            splitmix64_at(in.seed, base + static_cast<uint64_t>(position[i] - in.span.begin))));
    }
  }
};

}  // namespace

std::unique_ptr<Scorer> make_random_scorer(const OptionTexts& options) {
  options_from_texts<RandomOptions>("random", options);
  return std::make_unique<RandomScorer>();
}
std::vector<FieldInfo> describe_random_scorer() { return options_describe<RandomOptions>(); }

}  // namespace limbeck
