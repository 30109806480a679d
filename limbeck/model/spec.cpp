#include "limbeck/model/spec.h"

#include "limbeck/base/error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <numbers>

namespace limbeck {
namespace {

double yarn_dimension(double turns, const RopeSpec& r, int64_t head_dim) {
  return static_cast<double>(head_dim) *
         std::log(static_cast<double>(r.original_length) / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(r.theta));
}

void scale_llama3(const RopeSpec& r, std::vector<float>& f) {
  const double original = static_cast<double>(r.original_length);
  for (float& x : f) {
    const double wavelength = 2.0 * std::numbers::pi / x;
    if (wavelength < original / r.high_freq_factor) continue;
    if (wavelength > original / r.low_freq_factor) {
      x = static_cast<float>(x / r.factor);
    } else {
      const double m =
          (original / wavelength - r.low_freq_factor) / (r.high_freq_factor - r.low_freq_factor);
      x = static_cast<float>((1.0 - m) * x / r.factor + m * x);
    }
  }
}

void scale_yarn(const RopeSpec& r, int64_t head_dim, std::vector<float>& f) {
  const double low = std::max(std::floor(yarn_dimension(r.beta_fast, r, head_dim)), 0.0);
  double high = std::min(std::ceil(yarn_dimension(r.beta_slow, r, head_dim)),
                         static_cast<double>(head_dim - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < f.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    f[i] = static_cast<float>(ramp * f[i] / r.factor + (1.0 - ramp) * f[i]);
  }
}

}  // namespace

std::string_view rope_type_name(RopeSpec::Type type) {
  switch (type) {
    case RopeSpec::Type::plain: return "plain";
    case RopeSpec::Type::linear: return "linear";
    case RopeSpec::Type::llama3: return "llama3";
    case RopeSpec::Type::yarn: return "yarn";
    case RopeSpec::Type::divisors: return "divisors";
  }
  return "?";
}

std::vector<float> RopeSpec::inverse_frequencies(int64_t head_dim) const {
  std::vector<float> f(head_dim / 2);
  for (size_t j = 0; j < f.size(); ++j)
    f[j] = 1.0F / static_cast<float>(std::pow(theta, static_cast<double>(2 * j) / head_dim));
  switch (type) {
    case Type::plain: break;
    case Type::linear:
      for (float& x : f) x = static_cast<float>(x / factor);
      break;
    case Type::llama3: scale_llama3(*this, f); break;
    case Type::yarn: scale_yarn(*this, head_dim, f); break;
    case Type::divisors:
      for (size_t j = 0; j < f.size(); ++j) f[j] /= divisors[j];
      break;
  }
  return f;
}

double RopeSpec::cos_sin_factor() const {
  if (type != Type::yarn) return 1.0;
  if (attention_factor > 0) return attention_factor;
  return factor <= 1.0 ? 1.0 : 0.1 * std::log(factor) + 1.0;
}

std::string RopeSpec::describe() const {
  std::string out = fmt::format("{} theta={}", rope_type_name(type), theta);
  if (type == Type::linear || type == Type::llama3 || type == Type::yarn)
    out += fmt::format(" factor={}", factor);
  if (type == Type::llama3)
    out += fmt::format(" low={} high={} original={}", low_freq_factor, high_freq_factor,
                       original_length);
  if (type == Type::yarn)
    out += fmt::format(" fast={} slow={} original={} attention={}", beta_fast, beta_slow,
                       original_length, cos_sin_factor());
  if (type == Type::divisors) out += fmt::format(" [{}]", fmt::join(divisors, " "));
  return out;
}

CacheShape ModelSpec::cache_shape(DType dtype) const {
  CacheShape shape{kv_heads, head_dim, dtype, {}};
  for (const LayerSpec& layer : layers) shape.layers.push_back(layer.attention);
  return shape;
}

std::string ModelSpec::canonical() const {
  nlohmann::json j = {{"hidden", hidden},
                      {"intermediate", intermediate},
                      {"query_heads", query_heads},
                      {"kv_heads", kv_heads},
                      {"head_dim", head_dim},
                      {"vocabulary", vocabulary},
                      {"softmax_scale", softmax_scale},
                      {"norm_eps", norm_eps},
                      {"embedding_scale", embedding_scale},
                      {"qk_norm", qk_norm},
                      {"sandwich_norms", sandwich_norms},
                      {"tied_head", tied_head},
                      {"activation", static_cast<int>(activation)}};
  for (const LayerSpec& l : layers)
    j["layers"].push_back(fmt::format("{} {} {}", layer_type_name(l.attention.type),
                                      l.attention.window, l.rope.describe()));
  return j.dump();
}

void spec_validate(const ModelSpec& s, const std::string& source) {
  constexpr int64_t kMost = int64_t{1} << 24;
  const auto size = [&](const char* name, int64_t value) {
    if (value < 1 || value > kMost)
      throw FormatError("[model] {}: {} must be in [1, {}]; found {}", source, name, kMost, value);
  };
  size("hidden size", s.hidden);
  size("intermediate size", s.intermediate);
  size("query heads", s.query_heads);
  size("KV heads", s.kv_heads);
  size("head dimension", s.head_dim);
  size("vocabulary", s.vocabulary);
  size("context length", s.context_length);
  if (s.layers.empty() || s.layers.size() > 1024)
    throw FormatError("[model] {}: layers must be in [1, 1024]; found {}", source, s.layers.size());
  if (s.query_heads % s.kv_heads != 0)
    throw FormatError("[model] {}: query heads must be a multiple of KV heads; found {} and {}",
                      source, s.query_heads, s.kv_heads);
  if (s.head_dim % 2 != 0 || s.head_dim > 512)
    throw FormatError("[model] {}: head dimension must be even and at most 512; found {}", source,
                      s.head_dim);
  if (!(s.softmax_scale > 0) || !(s.norm_eps > 0))
    throw FormatError("[model] {}: softmax scale and norm eps must be positive; found {} and {}",
                      source, s.softmax_scale, s.norm_eps);
  for (const LayerSpec& l : s.layers) {
    if (!(l.rope.theta > 1) || !(l.rope.factor > 0))
      throw FormatError("[model] {}: rope theta must exceed 1 and its factor 0; found {} and {}",
                        source, l.rope.theta, l.rope.factor);
    if ((l.rope.type == RopeSpec::Type::llama3 || l.rope.type == RopeSpec::Type::yarn) &&
        l.rope.original_length < 1)
      throw FormatError("[model] {}: rope scaling needs the original length; found {}", source,
                        l.rope.original_length);
    if (l.rope.type == RopeSpec::Type::divisors &&
        static_cast<int64_t>(l.rope.divisors.size()) != s.head_dim / 2)
      throw FormatError("[model] {}: rope_freqs must have {} entries; found {}", source,
                        s.head_dim / 2, l.rope.divisors.size());
  }
}

}  // namespace limbeck
