#include "limbeck/model/config.h"

#include "limbeck/base/error.h"
#include "limbeck/io/gguf_builder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace limbeck {
namespace {

using nlohmann::json;
using test::error_text;
using test::GgufBuilder;
using test::raw;

json base(const std::string& type) {
  return {{"model_type", type},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"num_hidden_layers", 6},
          {"max_position_embeddings", 512},
          {"vocab_size", 100}};
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

ModelSpec read(const json& config) { return spec_from_config(config.dump(), "c.json"); }

std::string refusal(const json& config) {
  return error_text<FormatError>([&] { read(config); });
}

std::string kinds(const ModelSpec& spec) {
  std::string out;
  for (const LayerSpec& l : spec.layers)
    out += l.attention.type == LayerKind::Type::ring ? 'r' : 'f';
  return out;
}

TEST(ConfigTest, LlamaDefaultsFillWhatIsAbsent) {
  json config = base("llama");
  config.erase("num_key_value_heads");
  config.erase("max_position_embeddings");
  const ModelSpec s = read(config);
  EXPECT_EQ(s.family, "llama");
  EXPECT_EQ(s.kv_heads, 4);
  EXPECT_EQ(s.head_dim, 16);
  EXPECT_EQ(s.context_length, 2048);
  EXPECT_DOUBLE_EQ(s.norm_eps, 1e-6);
  EXPECT_DOUBLE_EQ(s.softmax_scale, 0.25);
  EXPECT_EQ(s.activation, Activation::silu);
  EXPECT_FALSE(s.qkv_bias || s.output_bias || s.mlp_bias || s.qk_norm || s.tied_head);
  EXPECT_DOUBLE_EQ(s.layers[0].rope.theta, 1e4);
  EXPECT_EQ(kinds(s), "ffffff");
}

TEST(ConfigTest, HeadDimensionIsNeverDerivedWhenGiven) {
  EXPECT_EQ(read(with(base("qwen3"), {{"head_dim", 32}})).head_dim, 32);
  EXPECT_EQ(read(base("qwen3")).head_dim, 128);
  EXPECT_EQ(read(base("qwen2")).head_dim, 16);
}

TEST(ConfigTest, NullCountsAsAbsent) {
  const ModelSpec s =
      read(with(base("mistral"), {{"head_dim", nullptr}, {"sliding_window", nullptr}}));
  EXPECT_EQ(s.head_dim, 16);
  EXPECT_EQ(kinds(s), "ffffff");
}

TEST(ConfigTest, BiasesFollowTheFamily) {
  const ModelSpec qwen2 = read(base("qwen2"));
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.output_bias);
  const ModelSpec llama = read(with(base("llama"), {{"attention_bias", true}, {"mlp_bias", true}}));
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias && llama.mlp_bias);
  const ModelSpec qwen3 = read(base("qwen3"));
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.qkv_bias);
}

TEST(ConfigTest, GemmaDefaultsAreTheFamilys) {
  const ModelSpec s = read({{"model_type", "gemma3"},
                            {"text_config",
                             {{"model_type", "gemma3_text"},
                              {"hidden_size", 2560},
                              {"intermediate_size", 10240},
                              {"num_hidden_layers", 7}}}});
  EXPECT_EQ(s.query_heads, 8);
  EXPECT_EQ(s.kv_heads, 4);
  EXPECT_EQ(s.head_dim, 256);
  EXPECT_EQ(s.vocabulary, 262208);
  EXPECT_EQ(kinds(s), "rrrrrfr");
  EXPECT_EQ(s.layers[0].attention.window, 4096);
  EXPECT_DOUBLE_EQ(s.layers[5].rope.theta, 1e6);
  EXPECT_DOUBLE_EQ(s.layers[0].rope.theta, 1e4);
  EXPECT_DOUBLE_EQ(s.softmax_scale, 1.0 / 16.0);
  EXPECT_DOUBLE_EQ(s.embedding_scale, std::sqrt(2560.0));
  EXPECT_EQ(s.activation, Activation::gelu_tanh);
  EXPECT_TRUE(s.tied_head && s.norm_plus_one && s.sandwich_norms && s.qk_norm);
}

TEST(ConfigTest, QueryScalarReplacesTheHeadDimension) {
  const ModelSpec s =
      read(with(base("gemma3_text"), {{"query_pre_attn_scalar", 168}, {"head_dim", 128}}));
  EXPECT_DOUBLE_EQ(s.softmax_scale, 1.0 / std::sqrt(168.0));
}

TEST(ConfigTest, LayerTypesDecideOverEveryRule) {
  const json types = {"full_attention", "sliding_attention", "full_attention",
                      "full_attention", "full_attention",    "sliding_attention"};
  EXPECT_EQ(kinds(read(with(base("gemma3_text"), {{"layer_types", types}, {"sliding_window", 8}}))),
            "frfffr");
  EXPECT_EQ(kinds(read(with(
                base("qwen2"),
                {{"layer_types", types}, {"sliding_window", 8}, {"use_sliding_window", true}}))),
            "frfffr");
}

TEST(ConfigTest, WindowsFollowTheFamilysRule) {
  const json window = {{"sliding_window", 8}, {"max_window_layers", 4}};
  EXPECT_EQ(kinds(read(with(base("qwen2"), window))), "ffffff");
  EXPECT_EQ(kinds(read(with(with(base("qwen2"), window), {{"use_sliding_window", true}}))),
            "ffffrr");
  EXPECT_EQ(kinds(read(with(base("mistral"), window))), "rrrrrr");
  EXPECT_EQ(kinds(read(with(base("llama"), window))), "ffffff");
  EXPECT_EQ(kinds(read(with(base("gemma3_text"), {{"sliding_window_pattern", 3}}))), "rrfrrf");
}

TEST(ConfigTest, RopeScalingAndRopeParametersMeanTheSame) {
  const json llama3 = {{"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192}};
  const ModelSpec old = read(with(
      base("llama"), {{"rope_theta", 5e5}, {"rope_scaling", with(llama3, {{"type", "llama3"}})}}));
  const ModelSpec flat = read(
      with(base("llama"),
           {{"rope_parameters", with(llama3, {{"rope_type", "llama3"}, {"rope_theta", 5e5}})}}));
  EXPECT_EQ(old.layers[0].rope, flat.layers[0].rope);
  EXPECT_EQ(old.layers[0].rope.describe(),
            "llama3 theta=500000 factor=8 low=1 high=4 original=8192");
}

TEST(ConfigTest, YarnTakesItsLengthFromTheContextWhenSilent) {
  const json yarn = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_EQ(read(with(base("qwen2"), {{"rope_scaling", yarn}})).layers[0].rope.original_length,
            512);
  EXPECT_EQ(read(with(base("qwen2"),
                      {{"rope_scaling", with(yarn, {{"original_max_position_embeddings", 99}})}}))
                .layers[0]
                .rope.original_length,
            99);
}

TEST(ConfigTest, RopeParametersByLayerKind) {
  const ModelSpec s = read(
      with(base("gemma3_text"),
           {{"sliding_window_pattern", 2},
            {"rope_parameters",
             {{"full_attention", {{"rope_type", "linear"}, {"rope_theta", 2e6}, {"factor", 8.0}}},
              {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 3e4}}}}}}));
  EXPECT_DOUBLE_EQ(s.layers[0].rope.theta, 3e4);
  EXPECT_EQ(s.layers[0].rope.type, RopeSpec::Type::plain);
  EXPECT_DOUBLE_EQ(s.layers[1].rope.theta, 2e6);
  EXPECT_DOUBLE_EQ(s.layers[1].rope.factor, 8.0);
}

TEST(ConfigTest, GemmaScalesOnlyItsFullLayers) {
  const ModelSpec s = read(
      with(base("gemma3_text"), {{"sliding_window_pattern", 2},
                                 {"rope_local_base_freq", 2e4},
                                 {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}}));
  EXPECT_EQ(s.layers[0].rope.describe(), "plain theta=20000");
  EXPECT_EQ(s.layers[1].rope.describe(), "linear theta=1000000 factor=8");
}

TEST(ConfigTest, EndsOfSequenceAreTheUnionOfBothFiles) {
  ModelSpec s = read(with(base("llama"), {{"eos_token_id", 7}}));
  read_generation_config(R"({"eos_token_id": [9, 7, 11]})", "g.json", s);
  EXPECT_EQ(s.eos, (std::vector<int32_t>{7, 9, 11}));
}

TEST(ConfigTest, GenerationDefaultsNeedDoSample) {
  ModelSpec s = read(base("llama"));
  EXPECT_EQ(read_generation_config(R"({"temperature": 0.6})", "g.json", s).temperature, 0.0);
  const auto d = read_generation_config(
      R"({"do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 20})", "g.json", s);
  EXPECT_DOUBLE_EQ(d.temperature, 0.6);
  EXPECT_DOUBLE_EQ(d.top_p, 0.9);
  EXPECT_EQ(d.top_k, 20);
}

TEST(ConfigTest, RefusesWhatIsNotAModel) {
  EXPECT_EQ(error_text<FormatError>([] { spec_from_config("[1]", "c.json"); }),
            "[model] c.json: must hold a JSON object");
  EXPECT_EQ(error_text<FormatError>([] {
              spec_from_config("{", "c.json");
            }).rfind("[model] c.json: not valid JSON", 0),
            0U);
  EXPECT_EQ(refusal(base("gpt2")),
            "[model] c.json: model_type must be llama, mistral, qwen2, qwen3, gemma3 or "
            "gemma3_text; found \"gpt2\"");
  EXPECT_EQ(refusal(with(base("llama"), {{"quantization_config", {{"bits", 4}}}})),
            "[model] c.json: quantization_config is not supported; use the unquantised model or a "
            "GGUF file");
  EXPECT_EQ(refusal(with(base("llama"), {{"hidden_act", "relu"}})),
            "[model] c.json: activation must be silu or gelu_pytorch_tanh; found \"relu\"");
}

TEST(ConfigTest, RefusesImpossibleSizes) {
  EXPECT_EQ(refusal(with(base("llama"), {{"num_key_value_heads", 3}})),
            "[model] c.json: query heads must be a multiple of KV heads; found 4 and 3");
  EXPECT_EQ(refusal(with(base("llama"), {{"head_dim", 15}})),
            "[model] c.json: head dimension must be even and at most 512; found 15");
  EXPECT_EQ(refusal(with(base("llama"), {{"num_attention_heads", 0}})),
            "[model] c.json: num_attention_heads must be at least 1; found 0");
  EXPECT_EQ(refusal(with(base("llama"), {{"num_key_value_heads", 0}})),
            "[model] c.json: KV heads must be in [1, 16777216]; found 0");
  EXPECT_EQ(refusal(with(base("llama"), {{"hidden_size", -64}})),
            "[model] c.json: hidden size must be in [1, 16777216]; found -64");
  EXPECT_EQ(refusal(with(base("llama"), {{"num_hidden_layers", 5000}})),
            "[model] c.json: num_hidden_layers must be in [1, 1024]; found 5000");
  EXPECT_EQ(refusal(with(base("llama"), {{"vocab_size", "many"}})),
            "[model] c.json: vocab_size must be a whole number; found \"many\"");
  json config = base("llama");
  config.erase("hidden_size");
  EXPECT_EQ(refusal(config), "[model] c.json: hidden_size is missing");
}

TEST(ConfigTest, RefusesRopesItDoesNotKnow) {
  for (const char* type : {"dynamic", "longrope"})
    EXPECT_EQ(refusal(with(base("llama"), {{"rope_scaling", {{"type", type}, {"factor", 2.0}}}})),
              fmt::format(
                  "[model] c.json: rope_type must be default, linear, llama3 or yarn; found \"{}\"",
                  type));
  EXPECT_EQ(refusal(with(base("llama"), {{"partial_rotary_factor", 0.5}})),
            "[model] c.json: rope must cover the whole head; found partial_rotary_factor 0.5");
  EXPECT_EQ(refusal(with(base("llama"), {{"rope_parameters", {{"partial_rotary_factor", 0.25}}}})),
            "[model] c.json: rope must cover the whole head; found partial_rotary_factor 0.25");
  EXPECT_EQ(
      refusal(with(base("qwen2"),
                   {{"rope_scaling", {{"type", "yarn"}, {"factor", 2.0}, {"truncate", false}}}})),
      "[model] c.json: truncate must be true; found false");
  EXPECT_EQ(refusal(with(base("llama"), {{"rope_scaling", {{"type", "linear"}, {"factor", 0.0}}}})),
            "[model] c.json: rope theta must exceed 1 and its factor 0; found 10000 and 0");
  EXPECT_EQ(refusal(with(base("llama"), {{"rope_scaling", {{"type", "linear"}}}})),
            "[model] c.json: factor is missing");
}

TEST(ConfigTest, RefusesAttentionItDoesNotHave) {
  EXPECT_EQ(refusal(with(base("gemma3_text"), {{"final_logit_softcapping", 30.0}})),
            "[model] c.json: final_logit_softcapping is not supported; found 30");
  EXPECT_EQ(refusal(with(base("gemma3_text"), {{"use_bidirectional_attention", true}})),
            "[model] c.json: use_bidirectional_attention must be false; found true");
  EXPECT_EQ(refusal(with(base("gemma3_text"), {{"layer_types", {"full_attention"}}})),
            "[model] c.json: layer_types must list 6 layers");
  EXPECT_EQ(refusal(with(base("gemma3_text"),
                         {{"layer_types", json::array({"chunked", 1, 1, 1, 1, 1})}})),
            "[model] c.json: layer_types[0] must be full_attention or sliding_attention; found "
            "\"chunked\"");
}

/// Metadata of a small model; `skip` leaves one key out.
std::string gguf_bytes(const std::string& arch, const std::string& extra_key = {},
                       uint32_t extra = 0) {
  GgufBuilder b;
  b.key("general.architecture", 8, b.text(arch));
  const auto number = [&](const std::string& key, uint32_t v) { b.key(key, 4, raw(v)); };
  number(arch + ".embedding_length", 8);
  number(arch + ".feed_forward_length", 12);
  number(arch + ".attention.head_count", 2);
  number(arch + ".attention.head_count_kv", 1);
  number(arch + ".context_length", 64);
  number(arch + ".block_count", 2);
  if (!extra_key.empty()) number(extra_key, extra);
  b.tensor("token_embd.weight", 0, {8, 5}, 0);
  return b.build(std::string(8 * 5 * 4, '\0'));
}

std::string gguf_refusal(const std::string& bytes) {
  return error_text<FormatError>(
      [&] { spec_from_gguf(GgufFile::parse(test::as_bytes(bytes), "m.gguf")); });
}

TEST(ConfigTest, GgufMetadataFillTheSameSpec) {
  const std::string bytes = gguf_bytes("llama", "tokenizer.ggml.eos_token_id", 3);
  const GgufFile file = GgufFile::parse(test::as_bytes(bytes), "m.gguf");
  const ModelSpec s = spec_from_gguf(file);
  EXPECT_EQ(s.vocabulary, 5);
  EXPECT_EQ(s.head_dim, 4);
  EXPECT_EQ(s.group(), 2);
  EXPECT_TRUE(s.tied_head);
  EXPECT_EQ(s.eos, std::vector<int32_t>{3});
  EXPECT_TRUE(gguf_interleaved_rope(file));
}

TEST(ConfigTest, RefusesGgufModelsItCannotRun) {
  EXPECT_EQ(gguf_refusal(gguf_bytes("phi3")),
            "[model] m.gguf: general.architecture must be llama, qwen2 or qwen3; found \"phi3\"");
  EXPECT_EQ(
      gguf_refusal(gguf_bytes("llama", "llama.rope.dimension_count", 2)),
      "[model] m.gguf: rope must cover the whole head of 4; found llama.rope.dimension_count 2");
  EXPECT_EQ(gguf_refusal(gguf_bytes("qwen2", "qwen2.attention.sliding_window", 9)),
            "[model] m.gguf: sliding windows in GGUF are not supported; found 9");
  EXPECT_EQ(gguf_refusal(gguf_bytes("llama", "llama.attention.value_length", 6)),
            "[model] m.gguf: key and value lengths must be equal; found 4 and 6");
}

}  // namespace
}  // namespace limbeck
