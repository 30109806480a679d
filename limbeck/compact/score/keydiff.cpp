#include "limbeck/compact/score/scorer.h"

#include "limbeck/model/rotation.h"

#include <ATen/ATen.h>

namespace limbeck {
namespace {

struct KeydiffOptions {
  bool unrope = false;
  template <class V>
  void for_each_field(V&& v) {
    v("unrope", unrope, yes_or_no(), "compare keys before RoPE, so that positions do not matter");
  }
};

/// u = mean of k / |k|, score = -cos(k, u): keeps keys that differ from the crowd (arXiv
/// 2504.15364).
class KeydiffScorer : public Scorer {
 public:
  explicit KeydiffScorer(const KeydiffOptions& o) : options_(o) {}
  ScorerTraits traits() const override { return {.comparable = Comparable::layer}; }

  void score(const ScoreInput& in, const at::Tensor& out) const override {
    const LayerSegment& s = *in.slots;
    at::Tensor keys = s.keys.to(at::kFloat);
    if (options_.unrope)
      keys = rotate_keys(keys, s.positions.neg(), in.model->inverse_frequencies(in.layer));
    for (int64_t h = 0; h < s.kv_heads(); ++h) {
      if (s.slots(h) == 0) continue;
      const at::Tensor k = keys.narrow(0, s.offsets[h], s.slots(h));
      const at::Tensor unit = k / k.norm(2, {1}, true).clamp_min(1e-12);
      const at::Tensor mean = mean_direction(
          unit, s.bias.defined() ? s.bias.narrow(0, s.offsets[h], s.slots(h)) : at::Tensor());
      out.narrow(0, s.offsets[h], s.slots(h))
          .copy_(at::mv(unit, mean / mean.norm().clamp_min(1e-12)).neg());
    }
  }

 private:
  /// A slot with a bias counts as the tokens that it stands for; one that nobody sees as none.
  static at::Tensor mean_direction(const at::Tensor& unit, const at::Tensor& bias) {
    if (!bias.defined()) return unit.mean(0);
    const at::Tensor tokens = (bias - bias.max().clamp_min(-80.0)).exp();
    return at::mv(unit.t(), tokens) / tokens.sum().clamp_min(1e-30);
  }

  KeydiffOptions options_;
};

}  // namespace

std::unique_ptr<Scorer> make_keydiff_scorer(const OptionTexts& options) {
  return std::make_unique<KeydiffScorer>(options_from_texts<KeydiffOptions>("keydiff", options));
}
std::vector<FieldInfo> describe_keydiff_scorer() { return options_describe<KeydiffOptions>(); }

}  // namespace limbeck
