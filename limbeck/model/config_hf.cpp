#include "limbeck/model/config.h"

#include "limbeck/base/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace limbeck {
namespace {

using nlohmann::json;

/// Reads keys of one object with the file's name in every complaint. null counts as absent.
class Reader {
 public:
  Reader(const json& object, const std::string& name) : object_(object), name_(name) {}

  bool has(const char* key) const {
    auto it = object_.find(key);
    return it != object_.end() && !it->is_null();
  }
  int64_t integer(const char* key, std::optional<int64_t> otherwise = {}) const {
    if (!has(key)) return absent(key, otherwise);
    const json& v = object_[key];
    if (!v.is_number_integer()) wrong(key, "a whole number");
    return v.get<int64_t>();
  }
  double number(const char* key, std::optional<double> otherwise = {}) const {
    if (!has(key)) return absent(key, otherwise);
    const json& v = object_[key];
    if (!v.is_number()) wrong(key, "a number");
    return v.get<double>();
  }
  bool boolean(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    const json& v = object_[key];
    if (!v.is_boolean()) wrong(key, "true or false");
    return v.get<bool>();
  }
  std::string text(const char* key, std::string otherwise = {}) const {
    if (!has(key)) return otherwise;
    const json& v = object_[key];
    if (!v.is_string()) wrong(key, "a text");
    return v.get<std::string>();
  }
  const json& object() const { return object_; }
  const std::string& name() const { return name_; }

  [[noreturn]] void wrong(const char* key, const char* rule) const {
    std::string found = object_.contains(key) ? object_[key].dump() : "nothing";
    if (found.size() > 60) found = found.substr(0, 60) + "...";
    throw FormatError("[model] {}: {} must be {}; found {}", name_, key, rule, found);
  }

 private:
  template <class T>
  T absent(const char* key, const std::optional<T>& otherwise) const {
    if (!otherwise) throw FormatError("[model] {}: {} is missing", name_, key);
    return *otherwise;
  }
  const json& object_;
  const std::string& name_;
};

json parse_object(std::string_view text, const std::string& name) {
  json j;
  try {
    j = json::parse(text);
  } catch (const json::exception& e) {
    throw FormatError("[model] {}: not valid JSON: {}", name, e.what());
  }
  if (!j.is_object()) throw FormatError("[model] {}: must hold a JSON object", name);
  return j;
}

/// The facts that a family's own code supplies when config.json is silent.
struct Family {
  bool qkv_bias = false, qk_norm = false, gemma = false;
  bool window_by_layer = false;  ///< Qwen2: layers from max_window_layers on slide
  double theta = 10000.0, eps = 1e-6;
  int64_t context = 32768;
  bool tied = false;
};

Family family_of(const std::string& type, const std::string& name) {
  if (type == "llama") return {.theta = 1e4, .eps = 1e-6, .context = 2048};
  if (type == "mistral") return {.theta = 1e4, .eps = 1e-6, .context = 131072};
  if (type == "qwen2")
    return {.qkv_bias = true, .window_by_layer = true, .theta = 1e4, .eps = 1e-6};
  if (type == "qwen3") return {.qk_norm = true, .window_by_layer = true, .theta = 1e4, .eps = 1e-6};
  if (type == "gemma3_text")
    return {
        .qk_norm = true, .gemma = true, .theta = 1e6, .eps = 1e-6, .context = 131072, .tied = true};
  throw FormatError(
      "[model] {}: model_type must be llama, mistral, qwen2, qwen3, gemma3 or gemma3_text; found "
      "\"{}\"",
      name, type);
}

/// One rope dictionary: `rope_scaling` beside a theta, or `rope_parameters`.
RopeSpec read_rope(const json* scaling, double theta, int64_t context, const std::string& name) {
  RopeSpec rope;
  rope.theta = theta;
  if (scaling == nullptr || scaling->is_null()) return rope;
  if (!scaling->is_object()) throw FormatError("[model] {}: rope scaling must be an object", name);
  const Reader r(*scaling, name);
  rope.theta = r.number("rope_theta", theta);
  const std::string type = r.has("rope_type") ? r.text("rope_type") : r.text("type", "default");
  if (const double part = r.number("partial_rotary_factor", 1.0); part != 1.0)
    throw FormatError("[model] {}: rope must cover the whole head; found partial_rotary_factor {}",
                      name, part);
  if (type == "default") return rope;
  rope.factor = r.number("factor");
  if (type == "linear") {
    rope.type = RopeSpec::Type::linear;
  } else if (type == "llama3") {
    rope.type = RopeSpec::Type::llama3;
    rope.low_freq_factor = r.number("low_freq_factor");
    rope.high_freq_factor = r.number("high_freq_factor");
    rope.original_length = r.integer("original_max_position_embeddings");
    if (!(rope.high_freq_factor > rope.low_freq_factor))
      throw FormatError("[model] {}: high_freq_factor must exceed low_freq_factor; found {} and {}",
                        name, rope.high_freq_factor, rope.low_freq_factor);
  } else if (type == "yarn") {
    rope.type = RopeSpec::Type::yarn;
    rope.beta_fast = r.number("beta_fast", 32.0);
    rope.beta_slow = r.number("beta_slow", 1.0);
    rope.attention_factor = r.number("attention_factor", 0.0);
    rope.original_length = r.integer("original_max_position_embeddings", context);
    if (!r.boolean("truncate", true)) r.wrong("truncate", "true");
    for (const char* key : {"mscale", "mscale_all_dim"})
      if (r.has(key))
        throw FormatError("[model] {}: rope {} is not supported; found {}", name, key,
                          r.number(key));
  } else {
    throw FormatError("[model] {}: rope_type must be default, linear, llama3 or yarn; found \"{}\"",
                      name, type);
  }
  return rope;
}

std::pair<RopeSpec, RopeSpec> read_ropes(const Reader& r, const Family& family, int64_t context) {
  const json& o = r.object();
  const double theta = r.number("rope_theta", family.theta);
  const double local = r.number("rope_local_base_freq", 1e4);
  if (r.has("rope_parameters")) {
    const json& p = o["rope_parameters"];
    if (!p.is_object()) r.wrong("rope_parameters", "an object");
    if (p.contains("full_attention") || p.contains("sliding_attention")) {
      const auto at = [&](const char* key) { return p.contains(key) ? &p[key] : nullptr; };
      return {read_rope(at("full_attention"), theta, context, r.name()),
              read_rope(at("sliding_attention"), local, context, r.name())};
    }
    const RopeSpec both = read_rope(&p, theta, context, r.name());
    if (!family.gemma) return {both, both};
    return {both, read_rope(nullptr, local, context, r.name())};
  }
  const json* scaling = r.has("rope_scaling") ? &o["rope_scaling"] : nullptr;
  const RopeSpec full = read_rope(scaling, theta, context, r.name());
  if (!family.gemma) return {full, full};
  return {full, read_rope(nullptr, local, context, r.name())};
}

std::vector<LayerKind> read_layer_kinds(const Reader& r, const Family& family,
                                        const std::string& type, int64_t count) {
  int64_t window = r.integer("sliding_window", family.gemma ? 4096 : 0);
  if (family.window_by_layer && !r.boolean("use_sliding_window", false)) window = 0;
  const LayerKind ring{LayerKind::Type::ring, window};
  std::vector<LayerKind> kinds(count);
  if (r.has("layer_types")) {
    const json& types = r.object()["layer_types"];
    if (!types.is_array() || static_cast<int64_t>(types.size()) != count)
      throw FormatError("[model] {}: layer_types must list {} layers", r.name(), count);
    for (int64_t l = 0; l < count; ++l) {
      const std::string word = types[l].is_string() ? types[l].get<std::string>() : types[l].dump();
      if (word == "sliding_attention") {
        if (window < 1)
          throw FormatError("[model] {}: layer {} slides but sliding_window is {}", r.name(), l,
                            window);
        kinds[l] = ring;
      } else if (word != "full_attention") {
        throw FormatError(
            "[model] {}: layer_types[{}] must be full_attention or sliding_attention; "
            "found \"{}\"",
            r.name(), l, word);
      }
    }
    return kinds;
  }
  if (window < 1) return kinds;
  const int64_t pattern = r.integer("sliding_window_pattern", 6);
  const int64_t first = r.integer("max_window_layers", 28);
  if (family.gemma && pattern < 1) r.wrong("sliding_window_pattern", "at least 1");
  for (int64_t l = 0; l < count; ++l) {
    const bool slides = family.gemma             ? (l + 1) % pattern != 0
                        : family.window_by_layer ? l >= first
                                                 : type == "mistral";
    if (slides) kinds[l] = ring;
  }
  return kinds;
}

void read_eos(const json& o, const std::string& name, std::vector<int32_t>& eos) {
  auto it = o.find("eos_token_id");
  if (it == o.end() || it->is_null()) return;
  const auto add = [&](const json& v) {
    if (!v.is_number_integer() || v.get<int64_t>() < 0 || v.get<int64_t>() > INT32_MAX)
      throw FormatError("[model] {}: eos_token_id must hold token ids; found {}", name, v.dump());
    const auto id = v.get<int32_t>();
    if (std::find(eos.begin(), eos.end(), id) == eos.end()) eos.push_back(id);
  };
  if (it->is_array()) {
    for (const json& v : *it) add(v);
  } else {
    add(*it);
  }
}

Activation read_activation(const Reader& r, bool gemma) {
  const std::string word = r.has("hidden_activation")
                               ? r.text("hidden_activation")
                               : r.text("hidden_act", gemma ? "gelu_pytorch_tanh" : "silu");
  if (word == "silu") return Activation::silu;
  if (word == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  throw FormatError("[model] {}: activation must be silu or gelu_pytorch_tanh; found \"{}\"",
                    r.name(), word);
}

}  // namespace

ModelSpec spec_from_config(std::string_view text, const std::string& name) {
  const json whole = parse_object(text, name);
  const json& o = whole.contains("text_config") && whole["text_config"].is_object()
                      ? whole["text_config"]
                      : whole;
  for (const json* level : {&whole, &o})
    if (level->contains("quantization_config") && !(*level)["quantization_config"].is_null())
      throw FormatError(
          "[model] {}: quantization_config is not supported; use the unquantised model or "
          "a GGUF file",
          name);
  const Reader r(o, name);
  std::string type = r.text("model_type", Reader(whole, name).text("model_type"));
  if (type == "gemma3") type = "gemma3_text";
  const Family family = family_of(type, name);
  const bool gemma = family.gemma;

  ModelSpec s;
  s.family = type;
  s.hidden = r.integer("hidden_size", gemma ? std::optional<int64_t>(2304) : std::nullopt);
  s.intermediate =
      r.integer("intermediate_size", gemma ? std::optional<int64_t>(9216) : std::nullopt);
  s.query_heads =
      r.integer("num_attention_heads", gemma ? std::optional<int64_t>(8) : std::nullopt);
  s.kv_heads = r.integer("num_key_value_heads", gemma ? 4 : s.query_heads);
  if (s.query_heads < 1) r.wrong("num_attention_heads", "at least 1");
  const int64_t derived = gemma ? 256 : type == "qwen3" ? 128 : s.hidden / s.query_heads;
  s.head_dim = r.integer("head_dim", derived);
  s.vocabulary = r.integer("vocab_size", gemma ? std::optional<int64_t>(262208) : std::nullopt);
  s.context_length = r.integer("max_position_embeddings", family.context);
  s.norm_eps = r.number("rms_norm_eps", family.eps);
  s.softmax_scale = gemma ? 1.0 / std::sqrt(r.number("query_pre_attn_scalar", 256.0))
                          : 1.0 / std::sqrt(static_cast<double>(s.head_dim));
  s.embedding_scale = gemma ? std::sqrt(static_cast<double>(s.hidden)) : 1.0;
  const bool attention_bias = r.boolean("attention_bias", false);
  s.qkv_bias = family.qkv_bias || attention_bias;
  s.output_bias = !family.qkv_bias && attention_bias;
  s.mlp_bias = r.boolean("mlp_bias", false);
  s.qk_norm = family.qk_norm;
  s.norm_plus_one = gemma;
  s.sandwich_norms = gemma;
  s.tied_head = o.contains("tie_word_embeddings")
                    ? r.boolean("tie_word_embeddings", family.tied)
                    : Reader(whole, name).boolean("tie_word_embeddings", family.tied);
  s.activation = read_activation(r, gemma);
  if (const double part = r.number("partial_rotary_factor", 1.0); part != 1.0)
    throw FormatError("[model] {}: rope must cover the whole head; found partial_rotary_factor {}",
                      name, part);
  if (r.boolean("use_bidirectional_attention", false))
    r.wrong("use_bidirectional_attention", "false");
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (r.has(key))
      throw FormatError("[model] {}: {} is not supported; found {}", name, key, r.number(key));

  const int64_t count =
      r.integer("num_hidden_layers", gemma ? std::optional<int64_t>(26) : std::nullopt);
  if (count < 1 || count > 1024) r.wrong("num_hidden_layers", "in [1, 1024]");
  const auto kinds = read_layer_kinds(r, family, type, count);
  const auto [full, sliding] = read_ropes(r, family, s.context_length);
  for (const LayerKind& kind : kinds)
    s.layers.push_back({kind, kind.type == LayerKind::Type::ring ? sliding : full});
  read_eos(whole, name, s.eos);
  if (&o != &whole) read_eos(o, name, s.eos);
  if (r.has("bos_token_id") && o["bos_token_id"].is_number_integer())
    s.bos = static_cast<int32_t>(r.integer("bos_token_id"));
  spec_validate(s, name);
  return s;
}

GenerationDefaults read_generation_config(std::string_view text, const std::string& name,
                                          ModelSpec& spec) {
  const json o = parse_object(text, name);
  read_eos(o, name, spec.eos);
  const Reader r(o, name);
  GenerationDefaults d;
  if (!r.boolean("do_sample", false)) return d;
  d.temperature = r.number("temperature", 1.0);
  d.top_p = r.number("top_p", 1.0);
  d.top_k = r.integer("top_k", 0);
  d.repetition_penalty = r.number("repetition_penalty", 1.0);
  return d;
}

}  // namespace limbeck
