#include "limbeck/model/language_model.h"

#include "limbeck/base/error.h"
#include "limbeck/io/safetensors.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace limbeck {
namespace {

using nlohmann::json;
using test::error_text;
using test::ScratchFolder;
using Shapes = std::map<std::string, std::vector<int64_t>>;

json config() {
  return {{"model_type", "llama"},    {"hidden_size", 8},           {"intermediate_size", 12},
          {"num_attention_heads", 2}, {"num_key_value_heads", 1},   {"num_hidden_layers", 1},
          {"vocab_size", 5},          {"tie_word_embeddings", true}};
}

Shapes shapes() {
  const std::string p = "model.layers.0.";
  return {{"model.embed_tokens.weight", {5, 8}},   {"model.norm.weight", {8}},
          {p + "input_layernorm.weight", {8}},     {p + "post_attention_layernorm.weight", {8}},
          {p + "self_attn.q_proj.weight", {8, 8}}, {p + "self_attn.k_proj.weight", {4, 8}},
          {p + "self_attn.v_proj.weight", {4, 8}}, {p + "self_attn.o_proj.weight", {8, 8}},
          {p + "mlp.gate_proj.weight", {12, 8}},   {p + "mlp.up_proj.weight", {12, 8}},
          {p + "mlp.down_proj.weight", {8, 12}}};
}

/// A folder with a model whose weights are 0.125.
std::filesystem::path write_model(const ScratchFolder& scratch, const json& config,
                                  const Shapes& shapes) {
  const std::filesystem::path folder = scratch.path() / "tiny";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << config.dump();
  std::vector<std::vector<float>> data;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, shape] : shapes) {
    size_t n = 1;
    for (int64_t extent : shape) n *= static_cast<size_t>(extent);
    data.emplace_back(n, 0.125F);
    tensors.push_back({name, DType::f32, shape, std::as_bytes(std::span(data.back()))});
  }
  write_safetensors(folder / "model.safetensors", std::move(tensors), {});
  return folder;
}

std::string load_refusal(const std::filesystem::path& path) {
  return error_text<FormatError>([&] { load_model(path); });
}

TEST(LoadModelTest, ReadsAFolder) {
  ScratchFolder scratch;
  const Model model = load_model(write_model(scratch, config(), shapes()), {.dtype = DType::f32});
  EXPECT_EQ(model.spec().head_dim, 4);
  EXPECT_EQ(model.weights().layers[0].qkv.size(0), 16);
  EXPECT_TRUE(model.weights().head.is_same(model.weights().embedding));
  EXPECT_EQ(model.weights().bytes(), 4 * (5 * 8 + 3 * 8 + 16 * 8 + 8 * 8 + 24 * 8 + 8 * 12));
  EXPECT_EQ(model.fingerprint().size(), 32U);
}

TEST(LoadModelTest, FingerprintsTellModelsApart) {
  ScratchFolder a, b, c;
  const auto first = load_model(write_model(a, config(), shapes())).fingerprint();
  EXPECT_EQ(first, load_model(write_model(b, config(), shapes())).fingerprint());
  json other = config();
  other["rope_theta"] = 5e5;
  EXPECT_NE(first, load_model(write_model(c, other, shapes())).fingerprint());
}

TEST(LoadModelTest, NamesTheFirstMissingTensorAndCountsThem) {
  ScratchFolder scratch;
  Shapes some = shapes();
  some.erase("model.norm.weight");
  some.erase("model.layers.0.mlp.up_proj.weight");
  const auto folder = write_model(scratch, config(), some);
  EXPECT_EQ(load_refusal(folder),
            fmt::format("[model] {}: tensor \"model.norm.weight\" missing; 2 of 11 expected "
                        "tensors not found",
                        folder.string()));
}

TEST(LoadModelTest, AnUntiedHeadMustBeThere) {
  ScratchFolder scratch;
  json untied = config();
  untied["tie_word_embeddings"] = false;
  const auto folder = write_model(scratch, untied, shapes());
  EXPECT_EQ(load_refusal(folder),
            fmt::format("[model] {}: tensor \"lm_head.weight\" missing; 1 of 12 expected "
                        "tensors not found",
                        folder.string()));
}

TEST(LoadModelTest, RefusesTensorsOfAnotherShape) {
  ScratchFolder scratch;
  Shapes wrong = shapes();
  wrong["model.layers.0.self_attn.k_proj.weight"] = {8, 8};
  const auto folder = write_model(scratch, config(), wrong);
  EXPECT_EQ(
      load_refusal(folder),
      fmt::format(
          "[model] {}: tensor \"model.layers.0.self_attn.k_proj.weight\" must have shape [4,8]; "
          "found [8,8]",
          folder.string()));
}

TEST(LoadModelTest, ChecksShapesBeforeItAllocates) {
  ScratchFolder scratch;
  json huge = config();
  huge["vocab_size"] = huge["hidden_size"] = 1 << 24;  // 512 TiB of embeddings
  huge["head_dim"] = 4;
  const auto folder = write_model(scratch, huge, shapes());
  EXPECT_EQ(load_refusal(folder),
            fmt::format("[model] {}: tensor \"model.embed_tokens.weight\" must have shape "
                        "[16777216,16777216]; found [5,8]",
                        folder.string()));
}

TEST(LoadModelTest, RefusesPathsWithoutAModel) {
  ScratchFolder scratch;
  const auto nowhere = scratch.path() / "nowhere";
  EXPECT_EQ(error_text<ResourceError>([&] { load_model(nowhere); }),
            fmt::format("[model] {} does not exist", nowhere.string()));
  EXPECT_EQ(error_text<ResourceError>([&] { load_model(scratch.path()); }),
            fmt::format("[model] cannot read {}: No such file or directory",
                        (scratch.path() / "config.json").string()));
  const auto noise = scratch.write("noise.gguf", "not a model");
  EXPECT_THROW(load_model(noise), FormatError);
}

TEST(LoadModelTest, WeightsAreBfloat16OrFloat32) {
  ScratchFolder scratch;
  EXPECT_EQ(error_text<InvalidArgument>([&] { load_model(scratch.path(), {.dtype = DType::f16}); }),
            "[model] weights are held as BF16 or F32; found F16");
}

TEST(ModelDirectoryTest, ListsFoldersAndFilesByName) {
  ScratchFolder scratch;
  write_model(scratch, config(), shapes());
  scratch.write("b.gguf", "123");
  scratch.write("readme.txt", "x");
  std::filesystem::create_directories(scratch.path() / "empty");
  const auto models = list_models(scratch.path());
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].name, "b");
  EXPECT_EQ(models[0].kind, "gguf");
  EXPECT_EQ(models[0].bytes, 3);
  EXPECT_EQ(models[1].name, "tiny");
  EXPECT_EQ(models[1].kind, "folder");
  EXPECT_GT(models[1].bytes, 2000);
  EXPECT_TRUE(list_models(scratch.path() / "nowhere").empty());
}

TEST(ModelDirectoryTest, FindsByPathOrNameAndElseSaysWhatThereIs) {
  ScratchFolder scratch;
  const auto file = scratch.write("b.gguf", "123");
  scratch.write("a.gguf", "123");
  EXPECT_EQ(find_model("b", scratch.path()), file);
  EXPECT_EQ(find_model(file.string(), scratch.path() / "nowhere"), file);
  EXPECT_EQ(error_text<ResourceError>([&] { find_model("c", scratch.path()); }),
            fmt::format("[model] no file, folder or known name \"c\"; {} holds: a, b; `limbeck "
                        "models` says how to "
                        "add one",
                        scratch.path().string()));
}

}  // namespace
}  // namespace limbeck
