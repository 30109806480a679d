#include "limbeck/compact/calibrate/heads.h"

#include "limbeck/base/error.h"
#include "limbeck/model/sampling.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace limbeck {
namespace {

/// Holds on to every full layer's attention output so that its gradient can be read.
class OutputProbe : public Probe {
 public:
  explicit OutputProbe(const ModelSpec& spec) : spec_(spec), outputs_(spec.layer_count()) {}
  uint32_t needs(int64_t) const override { return kProbeAttention; }
  void on_layer(const LayerSignals& s) override {
    if (!s.attention.requires_grad()) return;
    s.attention.retain_grad();
    outputs_[s.layer] = s.attention;
  }
  /// Adds each head's mean squared gradient to sums [layers * heads].
  void add_to(std::vector<double>& sums) const {
    for (int64_t l = 0; l < spec_.layer_count(); ++l) {
      if (!outputs_[l].defined() || !outputs_[l].grad().defined()) continue;
      const at::Tensor g = outputs_[l].grad().to(at::kDouble);
      // [n, H, group, D]: squared norm, mean over positions, sum over the group.
      const at::Tensor a = g.view({g.size(0), spec_.kv_heads, -1}).square().sum(2).mean(0);
      for (int64_t h = 0; h < spec_.kv_heads; ++h)
        sums[l * spec_.kv_heads + h] += a[h].item<double>();
    }
  }

 private:
  const ModelSpec& spec_;
  std::vector<at::Tensor> outputs_;
};

/// The model with one weight that asks for gradients: everything after it joins the graph, nothing
/// else is differentiated.
Model with_graph(const Model& model) {
  Model copy = model;
  at::Tensor& norm = copy.weights().layers[0].attention_norm;
  norm = norm.detach().clone().requires_grad_(true);
  return copy;
}

}  // namespace

HeadTable calibrate_heads(const Model& model, std::span<const int32_t> before,
                          std::span<const int32_t> text, const RepeatPrompt& repeat,
                          const HeadCalibrationOptions& options, const ProgressFn& progress) {
  options_validate("calibrate", options);
  const auto length = static_cast<int64_t>(text.size());
  if (length < options.tokens * options.texts)
    throw InvalidArgument("[calibrate] {} parts of {} tokens need {} tokens of text; found {}",
                          options.texts, options.tokens, options.texts * options.tokens, length);
  const ModelSpec& spec = model.spec();
  const Model graph = with_graph(model);
  HeadTable table{"weights",
                  "calibration",
                  spec.family,
                  model.fingerprint(),
                  spec.layer_count(),
                  spec.kv_heads,
                  std::vector<double>(spec.layer_count() * spec.kv_heads, 0.0)};
  SamplingOptions sampling;
  sampling.temperature = 1.0;
  sampling.seed = options.seed;
  int64_t step = 0;
  for (int64_t i = 0; i < options.texts; ++i) {
    const auto part = text.subspan(i * (length / options.texts), options.tokens);
    std::vector<int32_t> context(before.begin(), before.end());
    context.insert(context.end(), part.begin(), part.end());
    KvCache cache = model.new_cache();
    PrefillOptions read;
    read.logits = LogitsWanted::none;
    prefill(model, cache, context, read);
    std::vector<int32_t> fed = repeat.first;
    fed.insert(fed.end(), part.begin(), part.end());

    OutputProbe probe(spec);
    const c10::AutoGradMode guard(true);
    ForwardOptions forward;
    forward.logits = LogitsWanted::all;
    const at::Tensor logits = graph.forward_differentiable(cache, fed, forward, &probe).logits;
    const at::Tensor plain = logits.detach().contiguous();
    std::vector<int64_t> answers;
    for (int64_t r = 0; r < plain.size(0); ++r)
      answers.push_back(sample_token(
          {plain.const_data_ptr<float>() + r * plain.size(1), static_cast<size_t>(plain.size(1))},
          sampling, {}, step++));
    const at::Tensor index = at::tensor(answers, at::kLong).unsqueeze(1);
    at::log_softmax(logits, -1).gather(1, index).sum().backward();
    probe.add_to(table.values);
    report_progress(progress, {"calibration", "texts", i + 1, options.texts});
  }
  for (double& v : table.values) v /= static_cast<double>(options.texts);
  return table;
}

}  // namespace limbeck
