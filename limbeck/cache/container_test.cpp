#include "limbeck/cache/container.h"

#include "limbeck/base/error.h"
#include "limbeck/cache/block_hash.h"
#include "limbeck/cache/container_json.h"
#include "limbeck/cache/test_caches.h"
#include "limbeck/cache/test_forgery.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>

namespace limbeck {
namespace {

using test::append;
using test::compact;
using test::error_text;
using test::kFull;
using test::read_file;
using test::rich_cache;
using test::ring_of;
using test::ScratchFolder;
using test::shape_of;

ContainerHeader sample_header() {
  ContainerHeader header;
  header.model = {"qwen3", "3f2a77", 6, 0.088388347648318447, "{\"theta\":1e6}"};
  header.tokenizer_fingerprint = "ab12";
  header.producer = "limbeck test";
  header.notes = {{"prefix", "<|user|>\n\u00e9"}, {"suffix", ""}};
  return header;
}

/// Makes writes beyond `bytes` of a file fail: a full disk cannot be had without privileges.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class ContainerTest : public ::testing::Test {
 protected:
  void expect_round_trip(const KvCache& cache) {
    cache_save(cache, sample_header(), path_);
    const ModelIdentity model = sample_header().model;
    const LoadedCache loaded = cache_load(path_, &model, &cache.shape());
    EXPECT_TRUE(cache_equal(loaded.cache, cache));
    EXPECT_EQ(loaded.cache.bytes().keys_values, cache.bytes().keys_values);
    EXPECT_EQ(loaded.header.model.family, "qwen3");
    EXPECT_EQ(loaded.header.model.fingerprint, "3f2a77");
    EXPECT_EQ(loaded.header.model.query_heads, 6);
    EXPECT_EQ(loaded.header.model.scale, sample_header().model.scale);
    EXPECT_EQ(loaded.header.model.rope, sample_header().model.rope);
    EXPECT_EQ(loaded.header.tokenizer_fingerprint, "ab12");
    EXPECT_EQ(loaded.header.template_fingerprint, "");
    EXPECT_EQ(loaded.header.producer, "limbeck test");
    EXPECT_EQ(loaded.header.notes, sample_header().notes);
  }

  ScratchFolder folder_;
  std::filesystem::path path_ = folder_.path() / "book.kvc";
};

TEST_F(ContainerTest, RoundTripsEveryFieldInBothTypes) {
  for (const DType dtype : {DType::bf16, DType::f32}) expect_round_trip(rich_cache(dtype));
}

TEST_F(ContainerTest, RoundTripsTailsSegmentsAndRingsAlone) {
  Random random(1);
  for (const auto& layers : std::vector<std::vector<LayerKind>>{
           {kFull}, {ring_of(5)}, {ring_of(1)}, {kFull, ring_of(300)}}) {
    KvCache cache(shape_of(2, 4, DType::bf16, layers));
    append(cache, 1, random);
    expect_round_trip(cache);
    append(cache, 22, random);
    cache.seal();
    expect_round_trip(cache);
    append(cache, 4, random);
    expect_round_trip(cache);
  }
}

TEST_F(ContainerTest, RoundTripsHeadsAndLayersWithoutSlots) {
  Random random(2);
  KvCache cache(shape_of(2, 4, DType::f32, {kFull, kFull}));
  append(cache, 10, random);
  compact(cache, 0, 1, 0, random, {.bias = true});
  expect_round_trip(cache);
  append(cache, 6, random);
  compact(cache, 1, 2, 1, random);
  expect_round_trip(cache);
}

TEST_F(ContainerTest, RoundTripsNumbersThatJsonHasNot) {
  Random random(2);
  KvCache cache(shape_of(1, 4, DType::f32, {kFull}));
  append(cache, 4, random);
  cache.seal();
  SegmentInfo info = cache.segments()[0];
  info.statistics = {
      {"nan", NAN}, {"inf", HUGE_VAL}, {"-inf", -HUGE_VAL}, {"tiny", 5e-324}, {"-0", -0.0}};
  std::vector<KvCache::NewSegment> list;
  list.push_back({info, {cache.layer(0).segments[0]}});
  cache.replace_segments(0, 1, std::move(list));
  expect_round_trip(cache);
}

TEST_F(ContainerTest, ARestoredCacheGoesOnLikeTheOriginal) {
  KvCache cache = rich_cache(DType::bf16);
  cache_save(cache, {}, path_);
  KvCache loaded = cache_load(path_).cache;
  for (KvCache* c : {&cache, &loaded}) {
    Random random(5);
    append(*c, 40, random);
    c->seal();
    compact(*c, 0, 2, 3, random);
  }
  EXPECT_TRUE(cache_equal(cache, loaded));
}

TEST_F(ContainerTest, ALoadedCacheOutlivesItsFile) {
  const KvCache cache = rich_cache(DType::f32);
  cache_save(cache, {}, path_);
  const KvCache loaded = cache_load(path_).cache;
  std::ofstream(path_, std::ios::binary | std::ios::in) << std::string(4000, 'x');
  std::filesystem::remove(path_);
  EXPECT_TRUE(cache_equal(loaded, cache));
}

TEST_F(ContainerTest, TheSameCacheGivesTheSameBytes) {
  const KvCache cache = rich_cache(DType::bf16);
  cache_save(cache, sample_header(), path_);
  const std::string first = read_file(path_);
  const KvCache copy = cache_load(path_).cache;
  cache_save(copy, sample_header(), folder_.path() / "other.kvc");
  EXPECT_EQ(read_file(folder_.path() / "other.kvc"), first);
}

TEST_F(ContainerTest, SavingLeavesTheCacheAlone) {
  const KvCache cache = rich_cache(DType::bf16);
  const KvCache before = cache.clone();
  cache_save(cache, {}, path_);
  EXPECT_TRUE(cache_equal(cache, before));
  EXPECT_EQ(folder_.count(), 1u) << "no temporary file is left";
}

TEST_F(ContainerTest, TheFileIsWhatTheFormatSays) {
  cache_save(rich_cache(DType::bf16), sample_header(), path_);
  const std::string bytes = read_file(path_);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  EXPECT_EQ((8 + header) % 64, 0u) << "data starts aligned";
  const auto file = SafetensorsFile::open(path_);
  EXPECT_EQ(file.metadata().at("format"), "kvc");
  EXPECT_EQ(file.metadata().at("version"), "1.0");
  const std::string& text = file.metadata().at("kvc");
  EXPECT_EQ(file.metadata().at("kvc_xxh3"), hash_hex(xxh3_64(test::as_bytes(text))));
  EXPECT_EQ(cache_describe(path_), text);
  EXPECT_EQ(file.at("tokens").shape, (std::vector<int64_t>{318}));
  EXPECT_EQ(file.at("seg.0.0.offsets").dtype, DType::i64);
  EXPECT_EQ(file.at("seg.0.0.k").shape, (std::vector<int64_t>{3, 8}));
  EXPECT_EQ(file.at("seg.0.2.x.odd.name").dtype, DType::f32);
  EXPECT_EQ(file.at("seg.3.0.k").shape, (std::vector<int64_t>{39, 8})) << "the tail comes last";
  EXPECT_EQ(file.find("seg.1.0.beta"), nullptr);
  EXPECT_EQ(file.find("seg.0.1.k"), nullptr) << "a ring";
  EXPECT_EQ(file.at("ring.1.k").shape, (std::vector<int64_t>{3, 8, 8}));
  EXPECT_EQ(file.at("ring.3.pos").shape, (std::vector<int64_t>{0}));
  const auto document = nlohmann::json::parse(text);
  EXPECT_EQ(document["tail"], true);
  EXPECT_EQ(document["segments"][0]["lengths"][0], (nlohmann::json{2, 1, 0}));
  EXPECT_EQ(document["tokens"]["blocks"].size(), 1u);
}

TEST_F(ContainerTest, BlockHashesChainUnderTheFingerprint) {
  std::vector<int32_t> tokens(600);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i);
  const auto hashes = block_hashes(tokens, "fp");
  ASSERT_EQ(hashes.size(), 2u) << "whole blocks only";
  // Computed with Python's xxhash from docs/cache-format.md.
  EXPECT_EQ(hash_hex(hashes[0]), "d57cc4f62281fa3e67642ca9cf88b861");
  EXPECT_EQ(hash_hex(hashes[1]), "acc0f3b50c3eda77b418b1abf862254d");
  EXPECT_EQ(block_hashes(std::span(tokens).first(256), "fp")[0], hashes[0]);
  EXPECT_NE(block_hashes(tokens, "other")[1], hashes[1]);
  tokens[0] = 9;
  EXPECT_NE(block_hashes(tokens, "fp")[1], hashes[1]) << "a hash stands for everything before it";
  EXPECT_TRUE(block_hashes(std::span(tokens).first(255), "fp").empty());
}

TEST_F(ContainerTest, SaveRefusesWhatLoadWouldRefuse) {
  const CacheShape shape = shape_of(1, 4, DType::f32, {kFull});
  EXPECT_EQ(error_text<InvalidArgument>([&] { cache_save(KvCache(shape), {}, path_); }),
            "[kvc.save] a cache must hold at least one token; found none");
  Random random(3);
  KvCache cache(shape);
  append(cache, 5, random);
  compact(cache, 0, 1, 2, random, {.bias = true});
  ContainerHeader header;
  header.notes["bad"] = "\xff";
  EXPECT_EQ(error_text<InvalidArgument>([&] { cache_save(cache, header, path_); }),
            "[kvc.save] names, options and notes must be UTF-8; found other bytes");
  cache.layer(0).segments[0]->bias.data_ptr<float>()[1] = -HUGE_VALF;
  EXPECT_EQ(error_text<InvalidArgument>([&] { cache_save(cache, {}, path_); }),
            "[kvc.save] seg.0.0.beta must be finite; found -inf in row 1");
  cache.layer(0).segments[0]->positions.data_ptr<int32_t>()[0] = 5;
  EXPECT_EQ(error_text<InvalidArgument>([&] { cache_save(cache, {}, path_); }),
            "[kvc.save] seg.0.0.pos must lie in [0, 5); found 5 in row 0");
  EXPECT_EQ(folder_.count(), 0u);
}

TEST_F(ContainerTest, AFailedSaveLeavesNothingBehind) {
  const KvCache cache = rich_cache(DType::bf16);
  const auto missing = folder_.path() / "no" / "such.kvc";
  EXPECT_NE(error_text<ResourceError>([&] { cache_save(cache, {}, missing); }), "");
  std::filesystem::create_directory(path_);
  EXPECT_NE(error_text<ResourceError>([&] { cache_save(cache, {}, path_); }), "");
  EXPECT_EQ(folder_.count(), 1u) << "the folder alone";
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(ContainerTest, ASaveThatRunsOutOfDiskKeepsTheOldFile) {
  cache_save(rich_cache(DType::bf16, 7), {}, path_);
  const std::string before = read_file(path_);
  const KvCache big = rich_cache(DType::f32);
  std::string text;
  {
    const FileSizeLimit limit(4096);
    text = error_text<ResourceError>([&] { cache_save(big, {}, path_); });
  }
  EXPECT_NE(text.find("write failed after"), std::string::npos) << text;
  EXPECT_EQ(read_file(path_), before);
  EXPECT_EQ(folder_.count(), 1u);
}

TEST_F(ContainerTest, LoadRefusesFilesThatCannotBeOpened) {
  EXPECT_NE(error_text<ResourceError>([&] { cache_load(path_); }), "");
  EXPECT_NE(error_text<ResourceError>([&] { cache_load(folder_.path()); }), "");
}

}  // namespace
}  // namespace limbeck
