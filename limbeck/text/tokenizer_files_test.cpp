// Real vocabularies with published vectors; the data lies outside the repository.
#include "limbeck/base/error.h"
#include "limbeck/text/tokenizer_samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace limbeck {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<TokenId>;

fs::path data_folder() {
  const char* folder = std::getenv("LIMBECK_TEST_DATA");
  return fs::path(folder != nullptr ? folder : "../shared/data") / "tokenizers";
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void check_vectors(const Tokenizer& tokenizer, const std::string& name) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string inputs = read(data_folder() / "vectors" / (name + ".gguf.inp"));
  std::istringstream outputs(read(data_folder() / "vectors" / (name + ".gguf.out")));
  ASSERT_FALSE(inputs.empty());
  size_t begin = 0, count = 0;
  std::string line;
  for (; begin < inputs.size(); ++count) {  // a separator ends the last text, too
    const size_t end = std::min(inputs.find(kSeparator, begin), inputs.size());
    const std::string text = inputs.substr(begin, end - begin);
    begin = end + kSeparator.size();
    ASSERT_TRUE(std::getline(outputs, line)) << "vector " << count;
    std::istringstream numbers(line);
    const Ids expected(std::istream_iterator<TokenId>(numbers), {});
    const Ids found = tokenizer.encode(text);
    EXPECT_EQ(found, expected) << "vector " << count << ": " << text;
    EXPECT_EQ(tokenizer.decode(found), text);
  }
  EXPECT_GT(count, 40u);
}

TEST(TokenizerFilesTest, Qwen2VectorsPass) {
  const fs::path folder = data_folder() / "qwen2";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const Tokenizer tokenizer = Tokenizer::from_folder(folder, "qwen2");
  check_vectors(tokenizer, "ggml-vocab-qwen2");
  EXPECT_EQ(tokenizer.eos(), (Ids{151645}));
  EXPECT_EQ(tokenizer.encode("<|im_start|>", {.parse_special = true}), (Ids{151644}));
}

TEST(TokenizerFilesTest, Llama3VectorsPass) {
  const fs::path folder = data_folder() / "llama3";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  check_vectors(Tokenizer::from_folder(folder, "llama"), "ggml-vocab-llama-bpe");
}

TEST(TokenizerFilesTest, DefaultModelSplitsDigitsAndAddsNoBos) {
  const char* models = std::getenv("LIMBECK_MODELS");
  const char* home = std::getenv("HOME");
  const fs::path path =
      (models != nullptr ? fs::path(models)
                         : fs::path(home != nullptr ? home : ".") / ".cache/limbeck/models") /
      "smollm2-135m.gguf";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is absent";
  const Tokenizer tokenizer = Tokenizer::from_gguf(GgufFile::open(path));
  EXPECT_EQ(tokenizer.vocabulary_size(), 49'152);
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  EXPECT_EQ(tokenizer.eos(), (Ids{2}));
  // Computed with PyPI tokenizers from the same vocabulary and merges.
  EXPECT_EQ(
      tokenizer.encode("Hello world 123 <|im_end|>", {.add_special = true, .parse_special = true}),
      (Ids{19556, 905, 216, 33, 34, 35, 216, 2}));
}

class TokenizerFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / ("limbeck_tokenizer_" + std::to_string(std::rand()) + "_" +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const char* name, std::string_view text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  void write_lists(std::string_view merges) {
    write("vocab.json", test::sample_json()["model"]["vocab"].dump());
    write("merges.txt", merges);
  }
  fs::path folder_;
};

TEST_F(TokenizerFolderTest, ReadsListsWithAHeadingInTheFirstLineOnly) {
  write_lists("#version: 0.2\nh e\nl l\n");
  EXPECT_EQ(Tokenizer::from_folder(folder_, "gpt2").encode("hell"), (Ids{256, 257}));
  write_lists("h e\n#version: 0.2\n");
  EXPECT_THROW(Tokenizer::from_folder(folder_, "gpt2"), FormatError);
}

TEST_F(TokenizerFolderTest, TakesAddedTokensAndEosFromTheConfiguration) {
  write_lists("h e\n");
  write(
      "tokenizer_config.json",
      R"({"eos_token": {"content": "<e>"}, "bos_token": "<b>", "add_bos_token": true,)"
      R"("added_tokens_decoder": {"261": {"content": "<e>", "special": true, "normalized": false}}})");
  write("added_tokens.json", R"({"<b>": 262, "<t>": 263})");
  const Tokenizer tokenizer = Tokenizer::from_folder(folder_, "gpt2");
  EXPECT_EQ(tokenizer.eos(), (Ids{261}));
  EXPECT_EQ(tokenizer.bos(), 262);
  EXPECT_TRUE(tokenizer.is_special(262));
  EXPECT_FALSE(tokenizer.is_special(263));
}

TEST_F(TokenizerFolderTest, RefusesFoldersItCannotRead) {
  EXPECT_THROW(Tokenizer::from_folder(folder_, "gpt2"), ResourceError);
  write_lists("h e\n");
  EXPECT_THROW(Tokenizer::from_folder(folder_, "nonesuch"), FormatError);
  EXPECT_THROW(Tokenizer::from_folder(folder_, "llama"), FormatError);  // not Llama 3's vocabulary
  write("tokenizer.json", "{");
  EXPECT_THROW(Tokenizer::from_folder(folder_, "gpt2"), FormatError);
}

}  // namespace
}  // namespace limbeck
